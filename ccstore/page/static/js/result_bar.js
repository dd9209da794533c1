// Above the messages: how many there are, and how they are shown.

import { html } from './preact.js';
import { JobHints } from './job_hints.js';
import { ColumnsMenu, CopyMenu, ExportMenu } from './menus.js';
import { Habit } from './sentences.js';
import { offsetAt, zoneAt } from './moments.js';
import { showNumber } from './numbers.js';
import { setState } from './url_state.js';

/** Props: `search`, `state`, `labels`, `held()`, `facets` (`{isOpen, flip}`: the values beside, on a phone). */
export function ResultBar({ search, state, labels, held, facets }) {
  const { results, question } = search;
  return html`<div class="result-bar">
    <p class="how-many" role="status">${state.tail ? 'Live tail' : results && howMany(search)}</p>
    ${results?.count > 0 && !state.tail && html`<${JobHints} state=${state} /><${Habit} state=${state} />`}
    <div class="tools">
      <button type="button" class="for-phone" aria-expanded=${Boolean(facets.isOpen)}
        onClick=${facets.flip}>values</button>
      ${
        !state.tail && !state.fold &&
        html`<button type="button" onClick=${() => setState({ order: state.order === 'newest' ? 'oldest' : 'newest' })}>
        ${state.order === 'newest' ? 'newest first' : 'oldest first'}</button>`
      }
      <button type="button" aria-pressed=${state.tail} title="what comes, as it comes (t)"
        onClick=${() => setState({ tail: !state.tail, fold: false })}>tail</button>
      <button type="button" aria-pressed=${state.fold} title="messages that are equal but for numbers and names as one row each (f)"
        onClick=${() => setState({ fold: !state.fold, tail: false })}>fold</button>
      <button type="button" aria-pressed=${state.wrap}
        onClick=${() => setState({ wrap: !state.wrap }, { replace: true })}>wrap</button>
      <button type="button" title=${state.utc ? 'times are in UTC: show those of here' : 'times are those of here: show UTC'}
        onClick=${() => setState({ utc: !state.utc }, { replace: true })}>${state.utc ? 'UTC' : html`local: <span class="zone">${zoneAt(Date.now(), false)}</span><span class="offset">${offsetAt(Date.now(), false)}</span>`}</button>
      <${ColumnsMenu} state=${state} labels=${labels} />
      ${
        question &&
        html`<${CopyMenu} state=${state} question=${question} held=${held} />
      <${ExportMenu} state=${state} question=${question} />`
      }
    </div>
  </div>`;
}

function howMany(search) {
  if (search.isOther) return 'Of the search before';
  const { results, question, counts } = search;
  const { histogram } = counts;
  if (results.isComplete) return messages(results.count);
  if (histogram.question === question && histogram.answer) return messages(histogram.answer.total);
  return histogram.error ? `more than ${messages(results.count)}` : 'counting …';
}

const messages = (count) => `${showNumber(count)} message${count === 1 ? '' : 's'}`;
