// The payload of an event: JSON laid out, so that its members can be read.

import { html } from './preact.js';
import { visible } from './escapes.js';
import { marked } from './marking.js';

/** The value of a text that is a JSON object or list; undefined if it is none. */
export function readPayload(text) {
  const first = text.trimStart()[0];
  if (first !== '{' && first !== '[') return undefined;
  try {
    return JSON.parse(text, exact);
  } catch {
    return undefined;
  }
}

/** Numbers that JavaScript would round stay the digits that they are, where the browser tells of these. */
function exact(key, value, context) {
  const isRounded = typeof value === 'number' && /^-?\d{16,}$/.test(context?.source ?? '');
  return isRounded ? { digits: context.source } : value;
}

/** A value, laid out. */
export function Payload({ value, found }) {
  return html`<div class="payload">${laidOut(value, found, 0)}</div>`;
}

function laidOut(value, found, depth) {
  if (value === null || typeof value !== 'object')
    return html`<span class=${kindOf(value)}>${shown(value, found)}</span>`;
  if (typeof value.digits === 'string' && Object.keys(value).length === 1) {
    return html`<span class="number">${value.digits}</span>`;
  }
  const entries = Array.isArray(value) ? value.map((each, at) => [at, each]) : Object.entries(value);
  if (!entries.length) return html`<span class="empty">${Array.isArray(value) ? '[ ]' : '{ }'}</span>`;
  const isFlat = Array.isArray(value) && value.every((each) => each === null || typeof each !== 'object');
  if (isFlat) {
    return html`<span
      class="flat">${value.map((each, at) => [at ? ', ' : '', laidOut(each, found, depth + 1)])}</span>`;
  }
  return html`<dl class="members">
    ${entries.map(([key, each]) => html`<div><dt>${visible(String(key))}</dt><dd>${laidOut(each, found, depth + 1)}</dd></div>`)}
  </dl>`;
}

const kindOf = (value) => (value === null ? 'null' : typeof value);
const shown = (value, found) => (typeof value === 'string' ? marked(value, found) : String(value));
