// From the answer of the histogram to what is drawn: steps without gaps, series upon each other.

import { LEVEL, levelClass } from './labels.js';

const RANKS = ['error', 'warning', 'info', 'debug', ''];
/** Steps that are drawn at most. */
const MOST = 2000;

/** Seconds of a step such as `60s` or `0.5s`. */
export const stepOf = (answer) => Number(answer.step.slice(0, -1));

/** What a series is called: the value of its label, `other` for the rest, `none` for no value. */
function nameOf(series, by) {
  if (!by) return 'messages';
  if (series.by === null) return 'other';
  return series.by[by] || 'none';
}

/**
 * `{times, series}` with `series` of `{name, value, total, counts, tops, colour}`: how many there are in each
 * step, and up to where the stack reaches with them. `colour` is the name of one in the style sheets.
 */
export function stacksOf(answer, by, begin, end) {
  const step = stepOf(answer);
  const points = answer.series.flatMap((each) => each.points.map(([at]) => at));
  const aligned = (at) => Math.floor(at / step + 1e-9) * step;
  const first = Math.min(aligned(begin ?? Infinity), ...spread(points, Math.min));
  const last = Math.max(aligned(end ?? -Infinity), ...spread(points, Math.max));
  if (!Number.isFinite(first) || !Number.isFinite(last)) return { times: [], series: [], step };
  const number = Math.min(MOST, Math.round((last - first) / step) + 1);
  const times = Array.from({ length: number }, (_, at) => first + at * step);
  const series = answer.series.map((each) => {
    const counts = new Array(number).fill(0);
    for (const [at, count] of each.points) {
      const place = Math.round((at - first) / step);
      if (place >= 0 && place < number) counts[place] += count;
    }
    const name = nameOf(each, by);
    const value = each.by?.[by] ?? null;
    return { name, value, total: each.total, counts, kind: by === LEVEL ? levelClass(name) : '' };
  });
  if (by === LEVEL) series.sort((one, other) => RANKS.indexOf(one.kind) - RANKS.indexOf(other.kind));
  let place = 0;
  const taken = new Set();
  const sums = new Array(number).fill(0);
  for (const each of series) {
    if (by === LEVEL && each.kind) {
      // Two levels may be equally bad, such as info and notice.
      each.colour = `--${each.kind}${taken.has(each.kind) ? '-also' : ''}`;
      taken.add(each.kind);
    } else if (each.value === null || each.name === 'none') each.colour = by ? '--plot-rest' : '--plot-0';
    else each.colour = `--plot-${place++ % 8}`;
    each.tops = each.counts.map((count, at) => (sums[at] += count));
  }
  return { times, series, step };
}

/** The outermost of many numbers, as a list of none or one. */
const spread = (values, outer) => (values.length ? [values.reduce((one, other) => outer(one, other))] : []);
