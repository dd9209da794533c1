// Above the messages: how many there are, and how they are shown.

import { html } from '../vendor/preact-htm.js';
import { setState } from './url_state.js';

const number = new Intl.NumberFormat('en');
/** A number with its thousands apart. */
export const showNumber = (value) => number.format(value);

/** Props: `search`, `state`. */
export function ResultBar({ search, state }) {
  const { results } = search;
  return html`<div class="result-bar">
    <p class="how-many" role="status">${results && howMany(search)}</p>
    <div class="tools">
      <button type="button" onClick=${() => setState({ order: state.order === 'newest' ? 'oldest' : 'newest' })}>
        ${state.order === 'newest' ? 'newest first' : 'oldest first'}</button>
      <button type="button" aria-pressed=${state.wrap} onClick=${() => setState({ wrap: !state.wrap }, { replace: true })}>wrap</button>
      <button type="button" aria-pressed=${state.utc} onClick=${() => setState({ utc: !state.utc }, { replace: true })}>UTC</button>
    </div>
  </div>`;
}

function howMany({ results, question, counts }) {
  const { histogram } = counts;
  if (results.isComplete) return messages(results.count);
  if (histogram.question === question && histogram.answer) return messages(histogram.answer.total);
  return histogram.error ? `more than ${messages(results.count)}` : 'counting …';
}

const messages = (count) => `${showNumber(count)} message${count === 1 ? '' : 's'}`;
