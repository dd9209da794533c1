// All that the page shows follows from one state, and that stands in the URL.

import { useEffect, useState } from './preact.js';
import { withValue } from './filters.js';
import { COLUMNS } from './labels.js';

export const DEFAULTS = {
  view: 'search',
  from: '-24h',
  to: '',
  q: '',
  regex: false,
  case: false,
  filters: [],
  by: 'level',
  order: 'newest',
  cols: null, // those that the messages differ in
  wrap: false,
  utc: false,
  tail: false,
  fold: false,
  sort: 'count', // of what is folded
  m: '',
  job: '',
  node: '',
  of: '', // the cluster of the job or node
  run: '', // which run of the job, or when the node is looked at
  senders: 'silent', // which of them are shown
  since: '-3d', // the node is looked at
  all: false,
  template: '', // of the messages whose cause is asked for
  about: '', // the id of one of them, instead
  window: '', // how long before them is looked, or which burst of them
  fresh: false, // of what is folded, only what is new
  facets: null, // labels whose values are shown; null: the usual ones
  open: [], // messages that are laid out
  same: 'host',
  within: false,
};
/** Switches, and what they are called in the URL. */
const FLAGS = { regex: 're', case: 'case', wrap: 'wrap', utc: 'utc', tail: 'tail', fold: 'fold', within: 'within', all: 'all', fresh: 'new' };
const WORDS = ['view', 'from', 'to', 'q', 'by', 'order', 'm', 'same', 'job', 'node', 'of', 'run', 'since', 'sort', 'senders', 'template', 'about', 'window'];
const isLabel = (name) => COLUMNS.includes(name) || /^tag\../.test(name);
/** Lists, what may stand in each, and what is there if nothing is. */
const LISTS = { cols: isLabel, facets: isLabel, open: (id) => /^[\w-]+$/.test(id) };
/** Messages that are laid out in a link at most. */
const MOST_OPEN = 20;
/** What decides which rows there are: with others of it, none is laid out. */
const OF_ROWS = ['view', 'from', 'to', 'q', 'regex', 'case', 'filters', 'tail', 'fold'];

/** The state that a query string stands for; what is not known there is kept in `others`. */
export function readState(search) {
  const state = { ...DEFAULTS, others: [] };
  for (const [name, value] of new URLSearchParams(search)) {
    const bare = name.replace(/!$/, '');
    const flag = Object.keys(FLAGS).find((each) => FLAGS[each] === name);
    if (flag) state[flag] = value === '1';
    else if (WORDS.includes(name)) state[name] = value;
    else if (Object.hasOwn(LISTS, name)) state[name] = value.split(',').filter(LISTS[name]);
    else if (isLabel(bare)) state.filters = withValue(state.filters, bare, value, bare !== name);
    else if (name === 'off') {
      const found = /^(.+?)(!?)=(.*)$/s.exec(value);
      if (found && isLabel(found[1])) {
        state.filters = withValue(state.filters, found[1], found[3], found[2] === '!', true);
      }
    } else state.others.push([name, value]);
  }
  return state;
}

/** The query string of a state: only what is not as it is by itself. */
export function writeState(state) {
  const parts = new URLSearchParams();
  for (const name of WORDS) if (state[name] !== DEFAULTS[name]) parts.append(name, state[name]);
  for (const { label, negated, values, off } of state.filters) {
    for (const value of values) {
      if (off) parts.append('off', `${label}${negated ? '!' : ''}=${value}`);
      else parts.append(label + (negated ? '!' : ''), value);
    }
  }
  for (const [flag, name] of Object.entries(FLAGS)) if (state[flag]) parts.append(name, '1');
  if (state.cols) parts.append('cols', state.cols.join());
  if (state.facets) parts.append('facets', state.facets.join());
  if (state.open.length) parts.append('open', state.open.slice(-MOST_OPEN).join());
  for (const [name, value] of state.others ?? []) parts.append(name, value);
  const text = parts
    .toString()
    .replaceAll('%2C', ',')
    .replaceAll('%3A', ':')
    .replaceAll('%5B', '[')
    .replaceAll('%5D', ']')
    .replaceAll('%21', '!');
  return text ? `?${text}` : '';
}

/** The link to a state, for others. */
export const linkTo = (state) => new URL(writeState(state) || '?', location.href.split(/[?#]/)[0]).href;

const watchers = new Set();
let current = readState(location.search);
addEventListener('popstate', () => told(readState(location.search)));

function told(state) {
  current = state;
  for (const watcher of watchers) watcher(state);
}

/** The state at this moment. */
export const getState = () => current;

/**
 * Change some of it. A change is a step that the browser's back button undoes, unless `replace` says that it
 * belongs to the one before.
 */
export function setState(change, { replace = false } = {}) {
  const next = { ...current, ...change };
  const isOther = OF_ROWS.some((name) => next[name] !== current[name]);
  if (isOther && !change.open && next.open.length) next.open = [];
  const search = writeState(next);
  if (search !== writeState(current)) {
    history[replace ? 'replaceState' : 'pushState'](null, '', search || location.pathname);
  }
  told(next);
}

/** The state, for a component. */
export function useUrlState() {
  const [state, set] = useState(current);
  useEffect(() => {
    watchers.add(set);
    set(current);
    return () => watchers.delete(set);
  }, []);
  return state;
}
