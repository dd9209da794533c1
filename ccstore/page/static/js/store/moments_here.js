// Moments of the daemon, in seconds, as this view shows them.

import { showShort } from '../moments.js';

/** `2026-01-31 12:00`; a dash for what is not known. */
export function when(seconds, isUtc) {
  return seconds === null || seconds === undefined ? '–' : showShort(Math.floor(seconds) * 1000, isUtc).slice(0, 16);
}

/** The time of the day, to the second. */
export const clock = (ms, isUtc) => showShort(ms - (ms % 1000) + 0.5, isUtc).slice(11, 19);
