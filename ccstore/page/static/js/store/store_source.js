// Asks the daemon about itself every few seconds, as long as somebody can see it.

import { ask, isAborted } from '../api.js';

/** Milliseconds between two questions. */
const EVERY = 5000;
/** The last hour changes every ten seconds. */
const HISTORY_EVERY = 10_000;

/**
 * `store` and `history` are what was answered last, null before that, `at` when that was; `error` is what was
 * answered since instead, or null.
 */
export class StoreSource {
  constructor(onChange) {
    this.onChange = onChange;
    this.store = null;
    this.history = null;
    this.at = null;
    this.error = null;
    this.historyAt = 0;
    this.timer = null;
    this.onVisibility = () => this.again();
  }

  start() {
    document.addEventListener('visibilitychange', this.onVisibility);
    this.again();
  }

  stop() {
    document.removeEventListener('visibilitychange', this.onVisibility);
    this.cancel();
  }

  /** Ask now, and then every few seconds; nothing while the page is hidden. */
  again() {
    this.cancel();
    if (!document.hidden) this.run();
  }

  cancel() {
    clearTimeout(this.timer);
    this.asking?.abort();
    this.asking = null;
  }

  async run() {
    const asking = new AbortController();
    this.asking = asking;
    try {
      const isDue = Date.now() - this.historyAt >= HISTORY_EVERY;
      const answers = [ask('v1/store', [], asking), ...(isDue ? [ask('v1/store/history', [], asking)] : [])];
      const [store, history] = await Promise.all(answers);
      this.store = store;
      if (history) {
        this.history = history;
        this.historyAt = Date.now();
      }
      this.at = Date.now();
      this.error = null;
    } catch (error) {
      if (isAborted(error)) return;
      this.error = error;
    }
    if (this.asking !== asking) return;
    this.timer = setTimeout(() => this.run(), EVERY);
    this.onChange();
  }
}
