// The messages of a question, page by page as they are looked at; pages far away are let go and had again.

import { ask } from './api.js';

/** Messages of the first page and of those behind it; pages that are held, about 20,000 messages. */
export const LIMITS = { first: 100, more: 500, held: 40 };

/**
 * Messages in the order of the question. `count` are known so far, `message(number)` is one, or null while it
 * is fetched (again); `isComplete` tells whether there are no more.
 */
export class Results {
  constructor(parameters, order, signal, onChange, onError, limits = LIMITS) {
    this.limits = limits;
    this.parameters = [...parameters, ['order', order]];
    this.signal = signal;
    this.onChange = onChange;
    this.onError = onError;
    this.pages = []; // {start, count, cursor, messages or null, used}
    this.count = 0;
    this.isComplete = false;
    this.notice = null;
    this.next = null; // the cursor behind the last page
    this.isLoading = false;
    this.clock = 0;
  }

  /** The first page. */
  async begin() {
    await this.more(this.limits.first);
  }

  /** The next page, if there is one and nobody is fetching it. */
  async more(limit = this.limits.more) {
    if (this.isLoading || this.isComplete) return;
    this.isLoading = true;
    try {
      const cursor = this.next;
      const answer = await this.fetch(cursor, limit);
      const { messages } = answer;
      if (messages.length) {
        this.pages.push({
          start: this.count,
          count: messages.length,
          limit,
          cursor,
          messages,
          used: this.tick(),
        });
      }
      this.count += messages.length;
      this.next = answer.cursor;
      this.notice = answer.notice ?? null;
      this.isComplete = !answer.cursor;
      this.release();
    } finally {
      this.isLoading = false;
    }
    this.onChange();
  }

  message(number) {
    const page = this.pageOf(number);
    if (!page) return null;
    page.used = this.tick();
    if (!page.messages) {
      this.fetchAgain(page);
      return null;
    }
    return page.messages[number - page.start];
  }

  /** What is held, for copying: the messages that were fetched and not let go. */
  get held() {
    return this.pages.flatMap((page) => page.messages ?? []);
  }

  pageOf(number) {
    let low = 0;
    let high = this.pages.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.pages[middle].start <= number) low = middle;
      else high = middle - 1;
    }
    const page = this.pages[low];
    return page && number < page.start + page.count ? page : null;
  }

  fetch(cursor, limit) {
    const more = [['limit', limit], ...(cursor ? [['cursor', cursor]] : [])];
    return ask('v1/messages', [...this.parameters, ...more], { signal: this.signal });
  }

  async fetchAgain(page) {
    if (page.isLoading) return;
    page.isLoading = true;
    try {
      const { messages } = await this.fetch(page.cursor, page.count);
      // What has expired meanwhile, or came late, must not move what is shown.
      page.messages = messages.slice(0, page.count);
      this.release();
      this.onChange();
    } catch (error) {
      this.onError(error);
    } finally {
      page.isLoading = false;
    }
  }

  tick() {
    this.clock += 1;
    return this.clock;
  }

  /** Let go of the pages that were not looked at for longest. */
  release() {
    // The first one has no cursor by which it would be the same again.
    const held = this.pages.slice(1).filter((page) => page.messages);
    const gone = held.length - this.limits.held;
    if (gone <= 0) return;
    held.sort((one, other) => one.used - other.used);
    for (const page of held.slice(0, gone)) page.messages = null;
  }
}
