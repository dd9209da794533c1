// A message as a row of the list, and laid out.

import { html } from './preact.js';
import { escaped, visible } from './escapes.js';
import { MessageDetail } from './message_detail.js';
import { levelOf, valueOf } from './labels.js';
import { marked } from './marking.js';
import { showTime, toMilliseconds } from './moments.js';

/** Characters of a text that a row shows; the rest is in its details. */
const SHORT = 1000;
const LONG = 20_000;

/** Props: `message` (null while it is fetched), `number`, `state`, `found`, `isOpen`, `isCurrent`, `actions`. */
export function MessageRow({ message, number, state, found, isOpen, isCurrent, actions }) {
  if (!message)
    return html`<div class="row waiting" role="listitem" data-row=${number}><div class="line">…</div></div>`;
  const time = showTime(toMilliseconds(message.time_ns), state.utc);
  const level = levelOf(message);
  const names = ['row', level && `level-${level}`, isOpen && 'open', isCurrent && 'current'];
  const toggle = () => actions.toggle(message, number);
  return html`<div class=${names.filter(Boolean).join(' ')} role="listitem" data-row=${number}>
    <div class="line" onClick=${(event) => isClick(event) && toggle()}>
      <button
        class="fold"
        type="button"
        aria-expanded=${isOpen}
        aria-label=${`Details of the message of ${time}`}
        tabindex=${isCurrent ? 0 : -1}
        onClick=${(event) => {
          event.stopPropagation();
          toggle();
        }}
      ></button>
      <time class="cell" datetime=${message.time}>${time}</time>${' '}
      ${state.cols.map((label) => {
        const value = valueOf(message, label);
        return html`<span class="cell" title=${value ? escaped(`${label}: ${value}`) : ''}>${visible(value)}</span> `;
      })}
      <span class="text">${marked(shortened(message.text, state.wrap ? LONG : SHORT), found)}</span>
    </div>
    ${isOpen && html`<${MessageDetail} message=${message} state=${state} found=${found} actions=${actions} />`}
  </div>`;
}

/** Whether somebody clicked, and did not select text. */
function isClick(event) {
  const selection = document.getSelection();
  return event.button === 0 && (!selection || selection.isCollapsed);
}

function shortened(text, most) {
  return text.length > most ? `${text.slice(0, most)} …` : text;
}
