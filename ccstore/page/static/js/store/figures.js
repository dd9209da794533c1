// Numbers, bytes, spans and rates as people read them.

const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const BYTES = [[1e12, 'TB'], [1e9, 'GB'], [1e6, 'MB'], [1e3, 'kB']];
const SPANS = [[365 * 86_400, 'year'], [86_400, 'day'], [3600, 'hour'], [60, 'minute'], [1, 'second']];

/** `12,345`; a dash for what is not known. */
export const showCount = (value) => (value === null || value === undefined ? '–' : whole.format(value));

/** Three digits at most: `12.3`, `1.2M`. */
export function showShortly(value) {
  if (value === null || value === undefined) return '–';
  for (const [size, unit] of [[1e9, 'G'], [1e6, 'M'], [1e4, 'k']]) {
    if (Math.abs(value) >= size) return `${digits(value / (unit === 'k' ? 1000 : size))}${unit}`;
  }
  return value >= 1000 ? whole.format(value) : digits(value);
}

/** `1.2 GB`. */
export function showBytes(value) {
  if (value === null || value === undefined) return '–';
  const [size, unit] = BYTES.find(([least]) => Math.abs(value) >= least) ?? [1, 'bytes'];
  return `${digits(value / size)} ${unit}`;
}

/** `5 hours`, in the largest unit of which there are two; `1 hour` where there is one. */
export function showSpan(seconds) {
  const [size, unit] = SPANS.find(([least]) => seconds >= 2 * least) ?? [1, 'second'];
  const count = Math.round(seconds / size);
  return `${count} ${unit}${count === 1 ? '' : 's'}`;
}

/** Lines per second: `12/s`, `3/min` where that says more, `0` for none at all. */
export function showRate(perSecond) {
  if (!perSecond) return '0/s';
  if (perSecond < 1) return `${digits(perSecond * 60)}/min`;
  return `${showShortly(perSecond)}/s`;
}

/** `0.4 ms`, `1.2 s`. */
export function showDuration(seconds) {
  if (seconds === null || seconds === undefined) return '–';
  return seconds >= 1 ? `${digits(seconds)} s` : `${digits(seconds * 1000)} ms`;
}

/** A part as a percentage, which is 100 only if it is all. */
export function showPart(part, all) {
  if (!all) return '–';
  if (part === all) return '100 %';
  const percent = Math.min(99.99, (100 * part) / all);
  return `${percent >= 99 ? (Math.floor(percent * 100) / 100).toFixed(2) : digits(percent)} %`;
}

/** A word in the singular or the plural, behind its number. */
export const counted = (count, word) => `${showCount(count)} ${word}${count === 1 ? '' : 's'}`;

/** The sum of the values of an object. */
export const sumOf = (values) => Object.values(values).reduce((sum, value) => sum + value, 0);

function digits(value) {
  const size = Math.abs(value);
  if (size >= 100 || Number.isInteger(value)) return String(Math.round(value));
  return String(Number(value.toFixed(size >= 10 ? 1 : 2)));
}
