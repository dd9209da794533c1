// From the state of the page to a question of the API.

import { toParameters } from './filters.js';
import { isRelative, readMoment, toState } from './moments.js';
import { readLine } from './search_language.js';

/**
 * The question of a state at a moment: `{parameters, begin, end, texts}`; begin and end in milliseconds, null
 * if there is no such bound. Throws an Error for a time that is none.
 */
export function questionOf(state, now = Date.now()) {
  const begin = readMoment(state.from, now, state.utc);
  const end = readMoment(state.to, now, state.utc);
  if (begin && end && begin.ms >= end.ms) throw new Error('the time range ends before it begins');
  const { texts, filters } = readLine(state.q, { isRegex: state.regex, isCaseSensitive: state.case });
  const parameters = [
    // Without it, counts would look at the last day only.
    ['from', begin?.param ?? '0'],
    ...(end ? [['to', end.param]] : []),
    ...toParameters(state.filters),
    ...filters.map(({ label, negated, value }) => [label + (negated ? '!' : ''), value]),
    ...texts.map(({ op, value }) => [op, value]),
  ];
  return { parameters, begin: begin?.ms ?? null, end: end?.ms ?? null, texts };
}

/** What decides which messages are shown; if it stays, nothing has to be asked again. */
export function keyOf(state) {
  const { from, to, q, regex, case: isCaseSensitive, filters, order } = state;
  // The zone decides what a clock time means.
  const zone = isRelative(from) && isRelative(to || 'now') ? state.utc && /day/.test(from + to) : false;
  return JSON.stringify([
    from,
    to,
    q,
    regex,
    isCaseSensitive,
    filters.filter((each) => !each.off),
    order,
    zone,
  ]);
}

/** The same state with a range that stays what it is, for a link. */
export function settled(state, question) {
  const end = question.end ?? Date.now();
  return {
    ...state,
    tail: false,
    from: question.begin === null ? '' : isRelative(state.from) ? toState(question.begin) : state.from,
    to: !state.to || isRelative(state.to) ? toState(end) : state.to,
  };
}

/** The label-filters of a question without those of one label, for its own facet. */
export const parametersWithout = (parameters, label) =>
  parameters.filter(([name]) => name !== label && name !== `${label}!`);
