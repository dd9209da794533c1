// What the doctor says, and the last lines that were not stored: who sent them, and why they were not.

import { html, useState } from '../preact.js';
import { escaped, visible } from '../escapes.js';
import { showCount, showSpan } from './figures.js';
import { when } from './moments_here.js';
import { findingsOf, mistakesOf } from './verdict.js';

/** Senders that are named, and mistakes that are shown before somebody wants more. */
const NAMED = 5;
const FIRST = 10;

/** Props: `store`. */
export function Findings({ store }) {
  const findings = findingsOf(store);
  if (!findings.length) return null;
  return html`<section class="findings" aria-labelledby="findings-title">
    <h2 id="findings-title">What the doctor says</h2>
    <ul>${findings.map((each) => html`<${Finding} finding=${each} />`)}</ul>
  </section>`;
}

function Finding({ finding }) {
  const { problem, receivers, senders, says } = finding;
  const more = senders.length - NAMED;
  return html`<li class=${problem ? 'problem' : 'note'}>
    <span class="what"><b class="kind">${problem ? 'problem' : 'note'}</b> ${receivers.length > 0 && html`<span class="at">${receivers.join(', ')}</span> `}${says}</span>
    ${finding.do && html`<span class="do">${finding.do}</span>`}
    ${senders.length > 0 && html`<span class="who">from ${senders.slice(0, NAMED).join(', ')}${more > 0 ? ` and ${more} more` : ''}</span>`}
  </li>`;
}

/** Props: `store`, `isUtc`. */
export function Mistakes({ store, isUtc }) {
  const [isWhole, setWhole] = useState(false);
  const mistakes = mistakesOf(store);
  if (!mistakes.length) return null;
  const shown = isWhole ? mistakes : mistakes.slice(0, FIRST);
  return html`<section class="mistakes" aria-labelledby="mistakes-title">
    <h2 id="mistakes-title">The last lines that were not stored</h2>
    <table>
      <thead><tr><th scope="col">when</th><th scope="col">sender</th><th scope="col">receiver</th><th scope="col">why</th>
        <th scope="col" class="number">lines</th></tr></thead>
      <tbody>${shown.map((each) => html`<${Mistake} mistake=${each} now=${store.time} isUtc=${isUtc} />`)}</tbody>
    </table>
    ${mistakes.length > FIRST && html`<button type="button" class="plain" aria-expanded=${isWhole}
      onClick=${() => setWhole(!isWhole)}>${isWhole ? 'Fewer' : `All ${mistakes.length}`}</button>`}
  </section>`;
}

function Mistake({ mistake, now, isUtc }) {
  const { sender, host, receiver, outcome, reason, detail, text, count, last } = mistake;
  return html`<tr>
    <td data-label="when" title=${when(last, isUtc)}>${showSpan(Math.max(0, now - last))} ago</td>
    <td data-label="sender" class="from" title=${host ? escaped(host) : null}><span>${visible(sender)}${host && host !== sender && html`<br /><span class="hint">host ${visible(host)}</span>`}</span></td>
    <td data-label="receiver">${receiver}</td>
    <td data-label="why" class="why"><b class=${outcome}>${outcome}</b> ${reason.replaceAll('_', ' ')}${detail && html`: ${visible(detail)}`}
      ${text && html`<code>${visible(text)}</code>`}</td>
    <td data-label="lines" class="number">${showCount(count)}</td>
  </tr>`;
}
