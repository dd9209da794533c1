// Characters that cannot be seen, or that move or hide others: they are shown as escapes, as the terminal does.

import { html } from './preact.js';

/** Control characters but for tabs and ends of lines, what directs the text, and other lines' ends. */
const HIDDEN =
  /[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\u{e0000}-\u{e007f}]/gu;

/** How one of them is written: `\x1b`, `\u202e`. */
function escapeOf(character) {
  const code = character.codePointAt(0);
  const named = { '\r': '\\r' }[character];
  if (named) return named;
  const hex = code.toString(16);
  if (code < 0x100) return `\\x${hex.padStart(2, '0')}`;
  return code < 0x10000 ? `\\u${hex.padStart(4, '0')}` : `\\U${hex.padStart(8, '0')}`;
}

/** A text without any of them, for titles and what screen readers say. */
export const escaped = (text) => text.replace(HIDDEN, escapeOf);

/** The same for what is shown: what is selected and copied has the characters themselves. */
export function visible(text) {
  const parts = [];
  let at = 0;
  for (const found of text.matchAll(HIDDEN)) {
    const shown = escapeOf(found[0]);
    parts.push(text.slice(at, found.index), html`<span class="escape" data-shown=${shown}>${found[0]}</span>`);
    at = found.index + found[0].length;
  }
  return at ? [...parts, text.slice(at)] : text;
}
