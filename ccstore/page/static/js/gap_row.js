// What was left out of a tail: how much, and on request the messages themselves.

import { html, useState } from './preact.js';
import { ask } from './api.js';
import { visible } from './escapes.js';
import { marked } from './marking.js';
import { showTime, toMilliseconds } from './moments.js';
import { showNumber } from './numbers.js';
import { valueOf } from './labels.js';

const PAGE = 200;

/** Props: `gap`, `number`, `state`, `found`, `parameters` (of the question), `isShown(id)`. */
export function GapRow({ gap, number, state, found, parameters, isShown }) {
  const [{ messages, cursor, isDone, error, isLoading }, set] = useState({ messages: [], cursor: null });
  const more = async () => {
    set((now) => ({ ...now, isLoading: true, error: null }));
    try {
      // Up to the last moment, included: what is shown already is left out by its id.
      const range = [
        ['from', gap.from],
        ['to', behind(gap.to)],
        ['order', 'oldest'],
        ['limit', PAGE],
      ];
      const answer = await ask('v1/messages', [
        ...parameters,
        ...range,
        ...(cursor ? [['cursor', cursor]] : []),
      ]);
      const others = answer.messages.filter((message) => !isShown(message.id));
      set((now) => ({
        messages: [...now.messages, ...others],
        cursor: answer.cursor,
        isDone: !answer.cursor,
      }));
    } catch (failure) {
      set((now) => ({ ...now, isLoading: false, error: failure.message }));
    }
  };
  return html`<div class="row gap" role="listitem" data-row=${number}>
    <p>${showNumber(gap.messages)} messages are not shown here: ${gap.reason}.${' '}
      ${!isDone && html`<button type="button" disabled=${isLoading}
        onClick=${more}>${messages.length ? 'Fetch more' : 'Fetch them'}</button>`}
      ${error && html`<span class="problem">${error}</span>`}</p>
    ${messages.map(
      (message) => html`<div class="line" key=${message.id}>
      <span></span>
      <time class="cell" datetime=${message.time}>${showTime(toMilliseconds(message.time_ns), state.utc)}</time>${' '}
      ${state.cols.map((label) => html`<span class="cell">${visible(valueOf(message, label))}</span> `)}
      <span class="text">${marked(message.text, found)}</span>
    </div>`,
    )}
    ${isDone && html`<p class="hint">That is all of them.</p>`}
  </div>`;
}

/** A moment later than this one, by as little as a time of the API can be. */
function behind(time) {
  const found = /^(.*\.)(\d{9})Z$/.exec(time);
  if (!found || found[2] === '999999999') return time;
  return `${found[1]}${String(Number(found[2]) + 1).padStart(9, '0')}Z`;
}
