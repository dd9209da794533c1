// The histogram and the facets of a search: asked for when the messages are there, given up with them.

import { ask, isAborted } from './api.js';
import { holds } from './host_lists.js';
import { LEVEL, USUAL_FACETS } from './labels.js';
import { parametersWithout } from './question.js';

const BUCKETS = 120;
const FEW = 50;
/** Milliseconds that a divided histogram is waited for, before one that is not. */
const GRACE = 500;
const TOP = 8;
/** Values of a facet that are asked for. */
const VALUES = 10;
const MANY = 100;
/** Milliseconds after a key. */
const TYPED = 150;
/** Tags take longer to count than what streams are called by. */
const isOfTags = (label) => label === LEVEL || label.startsWith('tag.');

/** Counts of a search: `histogram` and `facets` by label; each `{answer, error, isRunning}`. */
export class Counts {
  constructor() {
    this.histogram = { answer: null };
    this.facets = new Map();
    this.all = new Set(); // facets of which more values are wanted
    this.prefixes = new Map(); // how the values begin that are wanted
    this.known = new Set(); // labels that were found by asking for all there are
    this.isKnown = false;
    this.at = null; // milliseconds: when it was counted
    this.asked = new Map(); // what ends what is asked of the histogram, and of each facet
    this.tell = () => {};
  }

  /** Ask for all of it. */
  async run(state, search, signal) {
    this.state = state;
    this.search = search;
    this.signal = signal;
    this.tell = search.tell;
    this.isKnown = false;
    this.at = Date.now();
    // Two at a time: the next messages that somebody asks for must not wait behind all of them.
    const left = [...openOf(state)].sort((one, other) => isOfTags(one) - isOfTags(other));
    const some = async () => {
      while (left.length && !signal.aborted) await this.runFacet(left.shift());
    };
    await Promise.all([this.runHistogram().then(some), some()]);
  }

  /** The same question, but shown otherwise. */
  update(state, search) {
    if (!this.state || search.isRunning) return;
    const isOther = state.by !== this.state.by;
    const before = openOf(this.state);
    this.state = state;
    if (!this.signal) return;
    if (isOther) this.runHistogram();
    for (const label of openOf(state)) if (!before.includes(label)) this.runFacet(label);
  }

  stop() {
    this.signal = null;
    this.histogram = { ...this.histogram, isRunning: false };
  }

  /** Nothing is counted. */
  clear() {
    this.histogram = { answer: null };
    this.facets = new Map();
  }

  /** The histogram; over long times a tag, such as that of the level, takes long, and then first one that is not divided by it. */
  async runHistogram() {
    const { by } = this.state;
    const signal = this.instead('histogram');
    const from = await this.begin(this.search.question, signal);
    const divided = this.askHistogram(by, from, signal);
    if (!isOfTags(by)) return divided;
    const isThere = await Promise.race([
      divided.then(() => true),
      new Promise((done) => setTimeout(done, GRACE)),
    ]);
    return isThere || this.askHistogram('', from, signal, true);
  }

  /** `isMeanwhile`: only as long as there is no better one. */
  askHistogram(by, from, signal, isMeanwhile = false) {
    const { question } = this.search;
    const parameters = [
      ...question.parameters.filter(([name]) => name !== 'from'),
      ['from', from],
      ['buckets', matchMedia('(max-width: 640px)').matches ? FEW : BUCKETS],
      ...(by
        ? [
            ['by', by],
            ['top', TOP],
          ]
        : []),
    ];
    const hasBetter = () => isMeanwhile && this.histogram.question === question && this.histogram.by;
    return this.ask('v1/histogram', parameters, signal, (found) => {
      if (found.answer && !hasBetter()) {
        const { error, isRunning } = this.histogram;
        this.histogram = isMeanwhile ? { error, isRunning } : {};
        Object.assign(this.histogram, { by, question, answer: found.answer });
      } else if (!isMeanwhile) {
        this.histogram = { ...this.histogram, ...found };
      }
    });
  }

  /** Since when is counted: since the oldest message that is found, where nothing else is said. */
  async begin(question, signal) {
    if (question.begin !== null) return question.parameters.find(([name]) => name === 'from')[1];
    try {
      const oldest = [...question.parameters, ['order', 'oldest'], ['limit', 1]];
      const { messages } = await ask('v1/messages', oldest, { signal });
      return messages.length ? messages[0].time : '0';
    } catch {
      return '0'; // in long steps, then
    }
  }

  async runFacet(label) {
    const { question } = this.search;
    const signal = this.instead(`values of ${label}`);
    // Without its own filters: so the others can be chosen as well.
    const parameters = parametersWithout(question.parameters, label);
    const limit = this.all.has(label) ? MANY : VALUES;
    const prefix = this.prefixes.get(label);
    const more = [['limit', limit], ...(prefix ? [['prefix', prefix]] : [])];
    const path = `v1/values/${encodeURIComponent(label)}`;
    const chosen = question.parameters.filter(([name]) => name === label).map(([, value]) => value);
    const keep = (found) => this.facets.set(label, { ...this.facets.get(label), ...found });
    let answer;
    await this.ask(path, [...parameters, ...more], signal, (found) => {
      answer = found.answer && withFirst(label, chosen, found.answer);
      keep(answer ? { ...found, answer } : found);
    });
    // What is chosen stands first, however rare it is.
    if (!answer?.cut || chosen.every((value) => answer.values.some((each) => each.value === value))) return;
    await this.ask(path, [...question.parameters, ...more], signal, (found) => {
      if (!found.answer) return;
      const { values } = found.answer;
      const others = answer.values.filter((each) => !values.some((one) => one.value === each.value));
      keep({ answer: { ...answer, values: [...values, ...others] } });
    });
  }

  /** The signal for asking of something: what was asked of it before is given up, as its answer might come later. */
  instead(what) {
    this.asked.get(what)?.abort();
    const controller = new AbortController();
    this.asked.set(what, controller);
    if (!this.signal || this.signal.aborted) controller.abort();
    else this.signal.addEventListener('abort', () => controller.abort(), { signal: controller.signal });
    return controller.signal;
  }

  async ask(path, parameters, signal, keep) {
    if (signal.aborted) return;
    keep({ isRunning: true, error: null });
    try {
      const answer = await ask(path, parameters, { signal });
      keep({ answer, isRunning: false });
    } catch (error) {
      if (isAborted(error)) return;
      keep({ error, isRunning: false });
    }
    if (!signal.aborted) this.tell();
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

/** The labels whose values are shown. */
const openOf = (state) => state.facets ?? USUAL_FACETS;

/** An answer with those of its values first that are one of these, or in one of these lists. */
function withFirst(label, chosen, answer) {
  const isChosen = ({ value }) =>
    chosen.some((one) => one === value || (label === 'host' && holds(one, value)));
  const others = answer.values.filter((each) => !isChosen(each));
  return { ...answer, values: [...answer.values.filter(isChosen), ...others] };
}
