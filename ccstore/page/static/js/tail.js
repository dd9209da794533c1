// The messages that come: in the order in which they came, so many as can be held, and what is missing.

import { ApiError } from './api.js';
import { follow } from './event_stream.js';

/** Rows of the past that are shown first. */
const PAST = 100;
/** Rows that are held while the newest are looked at; of those above, so many go at a time. */
const HELD = 5000;
const PART = 500;
/** Rows that are held while somebody reads and nothing may move. */
const HELD_READING = 10_000;
/** Messages that wait for the next frame at most. */
const WAITING = 1000;
/** Milliseconds between two looks in a tab that nobody sees. */
const UNSEEN = 1000;

/**
 * A source for the list: rows `base` to `base + count`, each a message or `{gap}`. While `isReading`, nothing
 * above goes; what comes is appended, and beyond what can be held counted as a gap.
 */
export class Tail {
  constructor(onChange) {
    this.onChange = onChange;
    this.flush = this.flush.bind(this);
    this.clear();
  }

  clear() {
    this.rows = [];
    this.base = 0;
    this.unseen = 0; // that came while somebody reads
    this.waiting = [];
    this.isReading = false;
    this.state = null; // true, or why it is not connected
    this.left = null; // the gap that grows while nothing more can be held
    this.came = 0; // since the last flush
    this.arrivals = []; // [time, messages] of the last seconds
  }

  get count() {
    return this.rows.length;
  }

  /** Messages that came while somebody reads, and for which there was no room. */
  get missed() {
    return this.left?.messages ?? 0;
  }

  /** For how many more there is room while somebody reads. */
  get room() {
    return Math.max(0, HELD_READING - this.rows.length);
  }

  message(number) {
    return this.rows[number - this.base] ?? null;
  }

  get held() {
    return this.rows.filter((row) => !row.gap);
  }

  /** Begin to follow; what was is gone. */
  start(parameters) {
    this.stop();
    this.clear();
    const controller = (this.controller = new AbortController());
    const own =
      (act) =>
      (...given) =>
        controller === this.controller && act(...given);
    follow('v1/tail', [...parameters, ['limit', PAST]], {
      signal: controller.signal,
      onEvent: own((event, data, id) => this.take(event, data, id)),
      onState: own((state) => {
        this.state = state;
        this.onChange();
      }),
    });
  }

  stop() {
    this.controller?.abort();
    this.controller = null;
    cancelAnimationFrame(this.frame);
    clearTimeout(this.timer);
    this.frame = this.timer = undefined;
  }

  take(event, data, id) {
    if (event === 'message' && id) this.came += 1;
    if (event === 'message') this.waiting.push(JSON.parse(data));
    else if (event === 'gap') this.waiting.push({ gap: JSON.parse(data) });
    else if (event === 'end') this.state = new ApiError('gone', JSON.parse(data).reason);
    if (this.waiting.length >= WAITING) this.flush();
    else if (!this.frame && !this.timer) {
      // A tab that nobody sees has no frames.
      if (document.hidden) this.timer = setTimeout(this.flush, UNSEEN);
      else this.frame = requestAnimationFrame(this.flush);
    }
  }

  flush() {
    cancelAnimationFrame(this.frame);
    clearTimeout(this.timer);
    this.frame = this.timer = undefined;
    const came = this.waiting;
    this.waiting = [];
    const messages = came.reduce((sum, row) => sum + (row.gap ? row.gap.messages : 1), 0);
    this.note(this.came);
    this.came = 0;
    if (this.isReading) this.unseen += messages;
    const room = this.isReading ? this.room : Infinity;
    for (const row of came.slice(0, room)) this.rows.push(row);
    for (const row of came.slice(room)) this.leave(row);
    if (!this.isReading && this.rows.length > HELD + PART) {
      const gone = this.rows.length - HELD;
      this.rows.splice(0, gone);
      this.base += gone;
    }
    this.onChange();
  }

  /** Only count a message, in the gap that is the last row. */
  leave(row) {
    const { messages, from, to } = row.gap ?? { messages: 1, from: row.time, to: row.time };
    if (!this.left) {
      this.left = { messages: 0, from, to, reason: 'they came while older ones were read' };
      this.rows.push({ gap: this.left });
    }
    this.left.messages += messages;
    if (from < this.left.from) this.left.from = from;
    if (to > this.left.to) this.left.to = to;
  }

  /** Somebody reads what is not the newest, or has ended to. */
  setReading(isReading) {
    if (this.isReading === isReading) return;
    this.isReading = isReading;
    if (!isReading) {
      this.unseen = 0;
      this.left = null;
    }
    this.onChange();
  }

  note(messages) {
    const now = performance.now();
    this.arrivals.push([now, messages]);
    while (this.arrivals.length && now - this.arrivals[0][0] > 5000) this.arrivals.shift();
  }

  /** Messages a second, of the last five. */
  get rate() {
    const now = performance.now();
    const recent = this.arrivals.filter(([at]) => now - at <= 5000);
    return recent.reduce((sum, [, messages]) => sum + messages, 0) / 5;
  }
}
