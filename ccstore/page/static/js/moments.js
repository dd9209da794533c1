// Moments as people type them, as the API takes them, and as they are shown.

const UNITS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 };
const DURATION = /^(?:\d+(?:\.\d+)?(?:ms|[smhdw]))+$/;
const STAMP =
  /^(\d{4})-(\d{2})-(\d{2})(?:[Tt ](\d{1,2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?)?\s*([Zz]|[+-]\d{2}:?\d{2})?$/;

/** Milliseconds of a duration such as `1h30m`; null if it is none. */
export function readDuration(text) {
  if (!DURATION.test(text)) return null;
  let total = 0;
  for (const [, number, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ms|[smhdw])/g)) total += number * UNITS[unit];
  return total;
}

/**
 * The moment that a text means: `{ms, param}`, where `param` is what the API is given, with all of its digits.
 * Null for an empty text, which sets no bound. Throws an Error that says what would be right.
 */
export function readMoment(text, now, isUtc) {
  const word = text.trim();
  if (!word) return null;
  const ago = /^(?:now)?-(.+)$/.exec(word);
  const span = ago && readDuration(ago[1]);
  if (span !== null && ago) return at(now - span);
  const found = named(word.toLowerCase(), now, isUtc) ?? calendar(word, now, isUtc) ?? number(word);
  if (!found) {
    throw new Error(
      `“${word.slice(0, 40)}” is no time: try -2h, today, 09:00, 2026-01-31 or 2026-01-31 12:00`,
    );
  }
  return found;
}

/** Whether a text means another moment each time it is read. */
export const isRelative = (text) => /^(?:(?:now)?-.+|now|today|yesterday)$/i.test(text.trim());

function at(ms, param) {
  return Number.isFinite(ms) ? { ms, param: param ?? String(Math.round(ms)) } : null;
}

function named(word, now, isUtc) {
  if (word === 'now') return at(now);
  const days = { today: 0, yesterday: 1, tomorrow: -1 }[word];
  if (days === undefined) return null;
  const day = new Date(now);
  return at(
    isUtc
      ? Date.UTC(day.getUTCFullYear(), day.getUTCMonth(), day.getUTCDate() - days)
      : new Date(day.getFullYear(), day.getMonth(), day.getDate() - days).getTime(),
  );
}

function calendar(word, now, isUtc) {
  const clock = /^([01]?\d|2[0-3]):([0-5]\d)(?::([0-5]\d))?$/.exec(word);
  if (clock) {
    const start = named('today', now, isUtc).ms;
    return at(start + clock[1] * UNITS.h + clock[2] * UNITS.m + (clock[3] ?? 0) * UNITS.s);
  }
  const found = STAMP.exec(word);
  if (!found) return null;
  const [year, month, day, hour, minute, second] = found.slice(1, 7).map((part) => Number(part ?? 0));
  const fraction = Number(`0.${found[7] ?? 0}`) * 1000;
  const parts = [year, month - 1, day, hour, minute, second];
  let ms = isUtc || found[8] ? Date.UTC(...parts) : new Date(...parts).getTime();
  const zone = found[8];
  if (zone && zone.toUpperCase() !== 'Z') {
    const offset = zone.slice(1, 3) * UNITS.h + zone.slice(-2) * UNITS.m;
    ms -= zone[0] === '-' ? -offset : offset;
  }
  // The API has nanoseconds, a number of JavaScript has not.
  const param = found[7] ? `${new Date(ms).toISOString().slice(0, 19)}.${found[7]}Z` : undefined;
  return at(ms + fraction, param);
}

function number(word) {
  if (!/^\d{9,19}$/.test(word)) return null;
  const value = Number(word);
  const unit =
    [
      [1e11, 1000],
      [1e14, 1],
      [1e17, 1e-3],
    ].find(([most]) => value < most)?.[1] ?? 1e-6;
  return at(value * unit, word);
}

/** Milliseconds since the epoch of a message's `time_ns`. */
export const toMilliseconds = (ns) => Math.floor(Number(ns) / 1e6);

const two = (value) => String(value).padStart(2, '0');

/** `2026-01-31 12:00:00.123`, in the zone of the browser or in UTC. */
export function showTime(ms, isUtc) {
  const date = new Date(ms);
  if (Number.isNaN(date.getTime())) return '(no time)';
  return isUtc
    ? date.toISOString().replace('T', ' ').slice(0, -1)
    : `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ` +
        `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}.` +
        String(date.getMilliseconds()).padStart(3, '0');
}

/** The same without what is nought: for ends of ranges. */
export const showShort = (ms, isUtc) =>
  showTime(ms, isUtc)
    .replace(/\.000$/, '')
    .replace(/:00$/, '');

/** What the state and the URL have for a moment that was pointed at. */
export const toState = (ms) => new Date(Math.round(ms)).toISOString();

/** The name of the zone that times are shown in. */
export function zoneName(isUtc) {
  return isUtc ? 'UTC' : Intl.DateTimeFormat().resolvedOptions().timeZone || 'local time';
}

/** The same with how far it is from UTC at a moment: `Asia/Tokyo (UTC+9)`. */
export function zoneAt(ms, isUtc) {
  const [name, offset] = [zoneName(isUtc), offsetAt(ms, isUtc)];
  return name === offset ? name : `${name} (${offset})`;
}

/** How far the zone is from UTC at a moment: `UTC+5:30`. */
export function offsetAt(ms, isUtc) {
  const minutes = isUtc ? 0 : -new Date(ms).getTimezoneOffset();
  if (!minutes) return 'UTC';
  const [hours, rest] = [Math.floor(Math.abs(minutes) / 60), Math.abs(minutes) % 60];
  return `UTC${minutes < 0 ? '−' : '+'}${hours}${rest ? `:${two(rest)}` : ''}`;
}

/** How long ago a moment was, or that it is not yet, in words. */
export function showAgo(ms, now = Date.now()) {
  const span = now - ms;
  return span < -1000 ? `${showAge(-span)} in the future` : `${showAge(span)} ago`;
}

/** A time that passes or has passed, in a word. */
function showAge(ms) {
  const steps = [
    [86_400_000, 'day'],
    [3_600_000, 'hour'],
    [60_000, 'minute'],
    [1000, 'second'],
  ];
  const [unit, name] = steps.find(([size]) => ms >= size) ?? [1000, 'second'];
  const count = Math.max(0, Math.floor(ms / unit));
  return `${count} ${name}${count === 1 ? '' : 's'}`;
}
