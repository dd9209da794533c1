// One search after the other: what is asked, and what is known of the answer.

import { ApiError, ask, isAborted } from './api.js';
import { toMilliseconds } from './moments.js';
import { keyOf, questionOf } from './question.js';
import { Results } from './results.js';

/** Milliseconds between attempts while nobody answers. */
const AGAIN = [1000, 2000, 4000, 8000];
/** Milliseconds that clocks may differ. */
const SLACK = 60_000;

/**
 * The search of the page. The messages are asked for first; `counts` (see counts.js) when they are shown.
 *
 * `results` stay those of before until there are others; `error` is why there are none.
 */
export class Search {
  constructor(counts) {
    this.counts = counts;
    this.results = null;
    this.question = null;
    this.error = null;
    this.isRunning = false;
    this.newest = null; // of everything up to now, if there are no hits; false if nothing is stored
    this.future = null; // the newest of everything, if its time is not yet
    this.isGone = false; // nobody answers
    this.moreError = null; // why there are no more of them
    this.number = 0; // of the search
    this.version = 0; // the search that the results are of
    this.shownKey = null; // what they were asked for
    this.watchers = new Set();
    this.tell = this.tell.bind(this);
  }

  watch(watcher) {
    this.watchers.add(watcher);
    return () => this.watchers.delete(watcher);
  }

  tell() {
    for (const watcher of this.watchers) watcher();
  }

  /** Search if the state asks something else than before. */
  update(state) {
    this.state = state;
    if (keyOf(state) !== this.key) this.run(state);
    else this.counts.update(state, this);
  }

  /** Search, also for the same again. */
  async run(state) {
    this.stop();
    this.key = keyOf(state);
    this.number += 1;
    const controller = (this.controller = new AbortController());
    try {
      this.question = questionOf(state);
    } catch (error) {
      this.error = new ApiError('wrong', error.message);
      this.forget();
      this.tell();
      return;
    }
    this.isRunning = true;
    this.tell();
    const fail = (error) => this.fail(error, state, controller);
    const results = new Results(this.question.parameters, state.order, controller.signal, this.tell, fail);
    try {
      await results.begin();
    } catch (error) {
      fail(error);
      return;
    }
    if (controller !== this.controller) return;
    this.results = results;
    this.version = this.number;
    this.shownKey = this.key;
    this.moreError = null;
    this.shownAs = state;
    this.error = null;
    this.isGone = false;
    this.isRunning = false;
    this.attempt = 0;
    if (!results.count) await this.findNewest(controller);
    this.tell();
    afterPaint(() => {
      if (controller === this.controller) this.counts.run(this.state ?? state, this, controller.signal);
    });
  }

  /** Nothing is shown any more: it would look like an answer. */
  forget() {
    this.results = null;
    this.counts.clear();
  }

  /** Whether what is shown is the answer to another search, as there is none to this one. */
  get isOther() {
    return Boolean(this.error && this.results) && this.shownKey !== this.key;
  }

  /** More messages behind those that are known. */
  more() {
    const { results } = this;
    if (this.moreError) return;
    results?.more().catch((error) => {
      if (isAborted(error) || results !== this.results) return;
      this.moreError = error;
      this.tell();
    });
  }

  /** The same, after that has failed. */
  moreAgain() {
    this.moreError = null;
    this.more();
  }

  stop() {
    this.controller?.abort();
    clearTimeout(this.timer);
    this.counts.stop();
    this.isRunning = false;
  }

  fail(error, state, controller) {
    if (isAborted(error) || controller !== this.controller) return;
    this.isRunning = false;
    this.error = error instanceof ApiError ? error : new ApiError('failed', String(error));
    this.isGone = this.error.kind === 'gone';
    if (this.isGone) {
      this.attempt = (this.attempt ?? 0) + 1;
      this.timer = setTimeout(() => this.run(state), AGAIN[Math.min(this.attempt, AGAIN.length) - 1]);
    } else if (this.error.kind !== 'busy') {
      this.forget();
    }
    if (!(error instanceof ApiError)) console.error(error);
    this.tell();
  }

  /** Whether there is anything at all, for what is said if there are no hits. */
  async findNewest(controller) {
    this.newest = this.future = null;
    const newestOf = async (more) => {
      const { messages } = await ask('v1/messages', [['limit', 1], ...more], { signal: controller.signal });
      return messages[0];
    };
    try {
      const newest = await newestOf([]);
      if (newest && toMilliseconds(newest.time_ns) > Date.now() + SLACK) {
        this.future = newest;
        this.newest = (await newestOf([['to', String(Date.now())]])) ?? null;
      } else {
        this.newest = newest ?? false;
      }
    } catch {
      // Then that much is not said.
    }
  }
}

/** Call back when what was changed is on the screen. */
function afterPaint(callback) {
  // A tab that nobody sees paints nothing.
  if (document.hidden) setTimeout(callback);
  else requestAnimationFrame(() => setTimeout(callback));
}
