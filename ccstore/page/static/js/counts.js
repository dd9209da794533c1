// The histogram and the facets of a search: asked for when the messages are there, given up with them.

import { ask, isAborted } from './api.js';
import { facetLabels, LEVEL, meant } from './labels.js';
import { parametersWithout } from './question.js';

const BUCKETS = 120;
const FEW = 50;
const TOP = 8;
/** Values of a facet that are asked for. */
const VALUES = 10;
const MANY = 100;
/** Milliseconds after a key. */
const TYPED = 150;

/** Counts of a search: `histogram` and `facets` by label; each `{answer, error, isRunning}`. */
export class Counts {
  constructor() {
    this.histogram = { answer: null };
    this.facets = new Map();
    this.open = new Set(facetLabels());
    this.level = LEVEL;
    this.all = new Set(); // facets of which more values are wanted
    this.prefixes = new Map(); // how the values begin that are wanted
    this.known = new Set(); // labels that were found by asking for all there are
    this.isKnown = false;
    this.tell = () => {};
  }

  /** Ask for all of it. */
  async run(state, search, signal) {
    this.state = state;
    this.search = search;
    this.signal = signal;
    this.tell = search.tell;
    this.isKnown = false;
    if (this.level !== LEVEL && this.open.delete(this.level)) this.open = new Set([LEVEL, ...this.open]);
    this.level = LEVEL;
    // Two at a time: the next messages that somebody asks for must not wait behind all of them.
    const left = [...this.open];
    const some = async () => {
      while (left.length && !signal.aborted) await this.runFacet(left.shift());
    };
    await Promise.all([this.runHistogram().then(some), some()]);
  }

  /** The same question, but shown otherwise. */
  update(state, search) {
    if (!this.state || search.isRunning) return;
    const isOther = state.by !== this.state.by;
    this.state = state;
    if (isOther && this.signal) this.runHistogram();
  }

  stop() {
    this.signal = null;
    this.histogram = { ...this.histogram, isRunning: false };
  }

  async runHistogram() {
    const { question } = this.search;
    const by = meant(this.state.by);
    await this.ask('v1/histogram', [
      ...question.parameters.filter(([name]) => name !== 'from'),
      ['from', this.begin()],
      ['buckets', matchMedia('(max-width: 640px)').matches ? FEW : BUCKETS],
      ...(by ? [['by', by], ['top', TOP]] : []),
    ], (found) => {
      this.histogram = { ...this.histogram, by, question, ...found };
    });
  }

  /** Since when is counted: from the oldest message that there is, where nothing else is said. */
  begin() {
    const { question } = this.search;
    return question.begin === null ? '0' : question.parameters.find(([name]) => name === 'from')[1];
  }

  async runFacet(label) {
    const { question } = this.search;
    // Without its own filters: so the others can be chosen as well.
    const parameters = parametersWithout(question.parameters, label);
    const limit = this.all.has(label) ? MANY : VALUES;
    const prefix = this.prefixes.get(label);
    const more = [['limit', limit], ...(prefix ? [['prefix', prefix]] : [])];
    await this.ask(`v1/values/${encodeURIComponent(label)}`, [...parameters, ...more], (found) => {
      this.facets.set(label, { ...this.facets.get(label), ...found });
    });
  }

  async ask(path, parameters, keep) {
    const { signal } = this;
    if (!signal || signal.aborted) return;
    keep({ isRunning: true, error: null });
    try {
      const answer = await ask(path, parameters, { signal });
      keep({ answer, isRunning: false });
    } catch (error) {
      if (isAborted(error)) return;
      keep({ answer: null, error, isRunning: false });
    }
    if (signal === this.signal) this.tell();
  }

  /** Show or hide a facet. */
  toggle(label, isOpen) {
    if (isOpen) this.open.add(label);
    else this.open.delete(label);
    this.tell();
    if (isOpen) this.runFacet(label);
  }

  /** More values of a facet, or fewer. */
  showAll(label, isAll) {
    if (isAll) this.all.add(label);
    else this.all.delete(label);
    this.runFacet(label);
  }

  /** Only values that begin so. */
  setPrefix(label, prefix) {
    this.prefixes.set(label, prefix);
    this.tell();
    clearTimeout(this.typing);
    this.typing = setTimeout(() => this.runFacet(label), TYPED);
  }

  /** Which labels there are under the question. */
  async findLabels() {
    const { signal } = this;
    if (!signal) return;
    try {
      const { labels } = await ask('v1/labels', this.search.question.parameters, { signal });
      this.known = new Set(labels.map((each) => each.label));
      this.isKnown = true;
    } catch (error) {
      if (!isAborted(error)) this.isKnown = true;
    }
    this.tell();
  }
}
