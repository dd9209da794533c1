// The receivers and their books: received = stored + rejected + dropped + waiting, for each.

import { html } from '../preact.js';
import { showCount, showRate, sumOf } from './figures.js';
import { totals } from './verdict.js';

const COLUMNS = ['received', 'stored', 'rejected', 'dropped', 'waiting'];

/** Props: `receivers`. */
export function Receivers({ receivers }) {
  return html`<section class="receivers" aria-labelledby="receivers-title">
    <h2 id="receivers-title">Receivers</h2>
    <table>
      <thead><tr>
        <th scope="col">receiver</th>
        ${COLUMNS.map((name) => html`<th scope="col" class="number">${name}</th>`)}
        <th scope="col" class="number">coming in</th>
        <th scope="col" class="number">connections</th>
      </tr></thead>
      <tbody>${receivers.map((each) => html`<${Receiver} key=${each.name} receiver=${each} />`)}</tbody>
    </table>
  </section>`;
}

function Receiver({ receiver }) {
  const { name, type, rates, connections } = receiver;
  const books = totals([receiver]);
  const called = type === 'api' ? 'the REST interface' : type;
  return html`<tr class=${books.isBalanced ? '' : 'unbalanced'}>
    <th scope="row">${name}${called !== name && html` <span class="hint">${called}</span>`}</th>
    ${COLUMNS.map((column) => html`<td class=${`number ${column} ${books[column] ? '' : 'nought'}`} data-label=${column}
      title=${reasons(receiver[column])}>${showCount(books[column])}</td>`)}
    <td class=${`number ${rates.received ? '' : 'nought'}`} data-label="coming in">${showRate(rates.received)}</td>
    <td class=${`number ${connections ? '' : 'nought'}`} data-label="connections">${showCount(connections)}</td>
  </tr>`;
}

/** Counts by reason in words; nothing for a plain number. */
function reasons(counts) {
  if (typeof counts !== 'object' || !sumOf(counts)) return null;
  return Object.entries(counts).map(([reason, count]) => `${showCount(count)} ${reason.replaceAll('_', ' ')}`).join(', ');
}
