// From the answer of the histogram to what is drawn: steps without gaps, series upon each other.

import { LEVEL, levelClass } from './labels.js';

const RANKS = ['error', 'warning', 'info', 'debug', ''];
/** Steps that are drawn at most. */
const MOST = 2000;
/** Steps where there would be more. */
const FEW = 200;
/** The levels that have the plain colour of their kind. */
const USUAL = /^(err(or)?|warn(ing)?|info|debug|[3467])$/i;

/** Seconds of a step such as `60s` or `0.5s`. */
export const stepOf = (answer) => Number(answer.step.slice(0, -1));

/** What a series is called: the value of its label, `other` for the rest, `none` for no value. */
function nameOf(series, by) {
  if (!by) return 'messages';
  if (series.by === null) return 'other';
  return series.by[by] || 'none';
}

/**
 * `{times, series, step, later}` with `series` of `{name, value, total, counts, tops, colour}`: how many there
 * are in each step, and up to where the stack reaches with them. `colour` is the name of one in the style sheets.
 *
 * `begin`, `end` and `limit` in seconds. What is more than a step behind `limit` is not drawn: `later` are how
 * many. All else is, in steps so long that there are not more than {@link MOST}.
 */
export function stacksOf(answer, by, begin, end, limit = Infinity) {
  const given = stepOf(answer);
  const points = answer.series.flatMap((each) => each.points);
  const isDrawn = ([at]) => at <= limit + given;
  const drawn = points.filter(isDrawn).map(([at]) => at);
  const later = points.reduce((sum, point) => sum + (isDrawn(point) ? 0 : point[1]), 0);
  const { first, number, step } = axis(given, begin, end, drawn);
  if (!number) return { times: [], series: [], step, later };
  const times = Array.from({ length: number }, (_, at) => first + at * step);
  const series = answer.series.map((each) => {
    const counts = new Array(number).fill(0);
    for (const [at, count] of each.points.filter(isDrawn)) counts[placeOf(at, first, step)] += count;
    const name = nameOf(each, by);
    const value = each.by?.[by] ?? null;
    return { name, value, total: each.total, counts, kind: by === LEVEL ? levelClass(name) : '' };
  });
  if (by === LEVEL) series.sort((one, other) => RANKS.indexOf(one.kind) - RANKS.indexOf(other.kind));
  colourThem(series, by);
  const sums = new Array(number).fill(0);
  for (const each of series) each.tops = each.counts.map((count, at) => (sums[at] += count));
  return { times, series, step, later };
}

/** Where the first step begins, how many there are, and how long each is, in seconds. */
function axis(given, begin, end, points) {
  const aligned = (at, step) => Math.floor(at / step + 1e-9) * step;
  const outermost = (step) => [
    Math.min(aligned(begin ?? Infinity, step), ...spread(points, Math.min)),
    Math.max(aligned(end ?? -Infinity, step), ...spread(points, Math.max)),
  ];
  let step = given;
  let [first, last] = outermost(step);
  if (!Number.isFinite(first) || !Number.isFinite(last)) return { number: 0, step };
  const steps = Math.round((last - first) / step) + 1;
  if (steps > MOST) {
    step *= Math.ceil(steps / FEW);
    [first, last] = outermost(step);
    first = aligned(first, step);
  }
  return { first, number: placeOf(last, first, step) + 1, step };
}

/** The step in which a moment is. */
const placeOf = (at, first, step) => Math.max(0, Math.floor((at - first) / step + 1e-6));

/** Places of values in the colours of a plot, so that a value looks the same in each search. */
const kept = new Map();
const COLOURS = 8;

/** Give each series its colour: that of its level, or one that stays with its name. */
function colourThem(series, by) {
  const taken = new Set();
  const keyOf = ({ name }) => `${by}\0${name}`;
  const named = [];
  for (const each of series) {
    // Levels that are equally bad, such as info and notice, differ a little.
    if (by === LEVEL && each.kind) each.colour = `--${each.kind}${USUAL.test(each.name) ? '' : '-also'}`;
    else if (each.value === null || each.name === 'none') each.colour = by ? '--plot-rest' : '--plot-0';
    else named.push(each);
  }
  named.sort((one, other) => kept.has(keyOf(other)) - kept.has(keyOf(one)) || (one.name < other.name ? -1 : 1));
  for (const each of named) {
    let place = kept.get(keyOf(each)) ?? numberOf(each.name) % COLOURS;
    for (let tries = 0; taken.has(place) && tries < COLOURS; tries += 1) place = (place + 1) % COLOURS;
    if (!kept.has(keyOf(each))) kept.set(keyOf(each), place);
    taken.add(place);
    each.colour = `--plot-${place}`;
  }
}

/** A number that is always the same for a text. */
const numberOf = (text) => [...text].reduce((sum, each) => (sum * 31 + each.codePointAt(0)) % 1_000_003, 7);

/** The outermost of many numbers, as a list of none or one. */
const spread = (values, outer) => (values.length ? [values.reduce((one, other) => outer(one, other))] : []);
