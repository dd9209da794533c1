// The search line: words, "phrases", /expressions/, and key=value.

import { labelOf } from './labels.js';

const FILTER = /^([A-Za-z_][\w.-]*)(!?=)/;

/**
 * What a line asks for: `{texts, filters, rest}`.
 *
 * `texts` are `{op, value}` with the names of the API (`text`, `text!`, `regex`, `regex!`); `filters` are
 * `{label, negated, value}`; `rest` is the line without these.
 */
export function readLine(line, { isRegex = false, isCaseSensitive = false } = {}) {
  if (isRegex) {
    const value = line.trim();
    const prefix = isCaseSensitive ? '' : '(?i)';
    return { texts: value ? [{ op: 'regex', value: prefix + value }] : [], filters: [], rest: line };
  }
  const texts = [];
  const filters = [];
  let rest = '';
  for (const word of words(line)) {
    if (word.filter) {
      filters.push(word.filter);
      continue;
    }
    rest += `${rest ? ' ' : ''}${word.raw}`;
    const not = word.negated ? '!' : '';
    if (word.regex) texts.push({ op: `regex${not}`, value: word.value });
    else if (isCaseSensitive) texts.push({ op: `regex${not}`, value: quote(word.value) });
    else texts.push({ op: `text${not}`, value: word.value });
  }
  return { texts, filters, rest };
}

/** What somebody may have meant who writes as for another search engine; an empty text if nothing looks so. */
export function habitOf(line, { isRegex = false } = {}) {
  if (isRegex) return '';
  const plain = line.replace(/"(?:[^"\\]|\\.)*"/g, '""');
  if (/(^|\s)(OR|\|\|?)(\s|$)/.test(plain)) return 'All words are needed, also OR. One of two is /a|b/.';
  if (/(^|\s)NOT(\s|$)/.test(plain)) return 'All words are needed, also NOT. Without a word is -word.';
  if (/(^|\s)(AND|&&?)(\s|$)/.test(plain)) return 'All words are needed anyway, also AND and &&: leave these out.';
  return '';
}

/** A regular expression that matches just this text. */
export const quote = (text) => text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');

/** A text as one word of the line. */
export const asWord = (text) =>
  /^[^\s"/!-][^\s"=]*$/.test(text) ? text : `"${text.replace(/["\\]/g, '\\$&')}"`;

function* words(line) {
  let at = 0;
  while (at < line.length) {
    if (/\s/.test(line[at])) {
      at += 1;
      continue;
    }
    const start = at;
    const negated = /[-!]/.test(line[at]) && /\S/.test(line[at + 1] ?? ' ');
    if (negated) at += 1;
    const filter = negated ? null : FILTER.exec(line.slice(at));
    if (filter) {
      const [value, end] = until(line, at + filter[0].length);
      at = end;
      yield { filter: { label: labelOf(filter[1]), negated: filter[2] === '!=', value } };
      continue;
    }
    const expression = /^\/((?:[^/\\]|\\.)+)\/(i?)(?=\s|$)/.exec(line.slice(at));
    if (expression) {
      at += expression[0].length;
      const value = (expression[2] ? '(?i)' : '') + expression[1].replace(/\\\//g, '/');
      yield { regex: true, negated, value, raw: line.slice(start, at) };
      continue;
    }
    const [value, end] = until(line, at);
    at = Math.max(end, at + 1);
    if (value) yield { negated, value, raw: line.slice(start, at) };
  }
}

/** A value and where it ends: up to a space, or in quotes. */
function until(line, start) {
  if (line[start] !== '"') {
    const end = line.slice(start).search(/\s/);
    const stop = end < 0 ? line.length : start + end;
    return [line.slice(start, stop), stop];
  }
  let value = '';
  let at = start + 1;
  while (at < line.length && line[at] !== '"') {
    if (line[at] === '\\' && at + 1 < line.length) at += 1;
    value += line[at];
    at += 1;
  }
  return [value, at + 1];
}
