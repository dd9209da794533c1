// Where a text matched what was asked for.

import { visible } from './escapes.js';
import { html } from './preact.js';

/** Hits that are marked in one text. */
const MOST = 200;

/** What finds the conditions of a question in a text; those that no text has to have are left out. */
export function finders(texts) {
  return texts.flatMap(({ op, value }) => {
    if (op === 'text') return [new RegExp(value.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&'), 'giu')];
    if (op !== 'regex') return [];
    const ignoresCase = value.startsWith('(?i)');
    try {
      return [new RegExp(ignoresCase ? value.slice(4) : value, ignoresCase ? 'gi' : 'g')];
    } catch {
      return []; // RE2 knows some things that JavaScript does not
    }
  });
}

/** Pairs of where hits begin and end, in order and apart. */
export function hits(text, found) {
  const ranges = [];
  for (const finder of found) {
    finder.lastIndex = 0;
    for (let hit; ranges.length < MOST && (hit = finder.exec(text));) {
      if (hit[0]) ranges.push([hit.index, hit.index + hit[0].length]);
      else finder.lastIndex += 1;
    }
  }
  ranges.sort((one, other) => one[0] - other[0]);
  const apart = [];
  for (const range of ranges) {
    const last = apart[apart.length - 1];
    if (last && range[0] <= last[1]) last[1] = Math.max(last[1], range[1]);
    else apart.push(range);
  }
  return apart;
}

/** A text with its hits marked, and what cannot be seen of it escaped. */
export function marked(text, found) {
  const ranges = found.length ? hits(text, found) : [];
  if (!ranges.length) return visible(text);
  const parts = [];
  let at = 0;
  for (const [start, end] of ranges) {
    parts.push(visible(text.slice(at, start)), html`<mark>${visible(text.slice(start, end))}</mark>`);
    at = end;
  }
  parts.push(visible(text.slice(at)));
  return parts;
}
