// What the database holds, what is deleted next, and what runs here.

import { html } from '../preact.js';
import { counted, showBytes, showCount, showSpan } from './figures.js';
import { clock, when } from './moments_here.js';
import { totals } from './verdict.js';

/** Props: `store`, `isUtc`. */
export function Holdings({ store, isUtc }) {
  const { segments, versions } = store;
  const kinds = Object.entries(segments.kinds);
  const called = versions.backend === 'postgres' ? 'partitions' : 'segments';
  const hasSizes = kinds.some(([, each]) => each.bytes !== null);
  return html`<section class="holdings" aria-labelledby="holdings-title">
    <h2 id="holdings-title">What it holds</h2>
    ${segments.unknown && html`<p class="problem">Not known: ${segments.unknown}</p>`}
    ${kinds.length > 0 && html`<table>
      <thead><tr><th scope="col">kind</th><th scope="col" class="number">messages, about</th><th scope="col" class="number">${called}</th>
        ${hasSizes && html`<th scope="col" class="number">bytes</th>`}<th scope="col">oldest</th><th scope="col">newest</th></tr></thead>
      <tbody>${kinds.map(([kind, each]) => html`<tr>
        <th scope="row">${kind}s</th>
        <td class="number" data-label="messages">${showCount(each.rows)}</td>
        <td class="number" data-label=${called}>${showCount(each.segments)}</td>
        ${hasSizes && html`<td class="number" data-label="bytes">${showBytes(each.bytes)}</td>`}
        <td data-label="oldest">${when(each.oldest, isUtc)}</td>
        <td data-label="newest">${when(each.newest, isUtc)}</td>
      </tr>`)}</tbody>
    </table>`}
    <${Leaving} store=${store} isUtc=${isUtc} />
  </section>`;
}

function Leaving({ store, isUtc }) {
  const { retention } = store;
  return html`<h3>Deleted next</h3>
    ${retention.leaving.length
      ? html`<ol>${retention.leaving.map((each) => html`<li><b>${when(each.at, isUtc)}</b>
          ${each.rows === null ? ' events' : ` ${counted(each.rows, 'event')}`} of ${when(each.oldest, isUtc)} to ${when(each.newest, isUtc)}
          <span class="hint"> ${each.segment}</span></li>`)}</ol>`
      : html`<p>Nothing so far. Events go together with those that came at about the same time, when the last of them has expired.</p>`}
    <p class="hint">Events expire after ${showSpan(retention.seconds)}: those before ${when(retention.cutoff, isUtc)} are not shown any
      more, and what can be deleted is looked for again at ${clock(retention.next_look * 1000, isUtc)}. ${retention.expired ? `${counted(retention.expired, 'event')} have gone since the start.` : ''}</p>`;
}

/** Props: `store`. */
export function Facts({ store }) {
  const { versions, daemon, queue, receivers, disk } = store;
  const connections = receivers.reduce((sum, each) => sum + (each.connections ?? 0), 0);
  const facts = [
    ['ccstore', `${versions.ccstore}, up for ${showSpan(daemon.uptime)}`],
    ['Database', [versions.database ?? versions.backend, versions.schema !== null && `schema ${versions.schema}`].filter(Boolean).join(', ')],
    ['Python, Twisted', `${versions.python}, ${versions.twisted}`],
    ['Queue', `${showCount(queue.waiting)} of ${showCount(queue.limit)} messages`],
    ...(queue.spooled === null ? [] : [['Spool', `${counted(queue.spooled, 'message')}, ${showBytes(queue.spooled_bytes)} of ${showBytes(queue.spooled_bytes_limit)}`]]),
    ['Connections', `${showCount(connections)} (open files: ${showCount(daemon.open_files_limit)} at most)`],
    ['Memory', showBytes(daemon.memory_bytes)],
    ['Lines stored', showCount(totals(receivers).stored)],
    ['Growth', disk.growth === null ? 'known after five minutes' : `${showBytes(disk.growth * 86_400)} a day`],
    ['Instance', daemon.instance],
  ];
  return html`<section class="facts" aria-labelledby="facts-title">
    <h2 id="facts-title">What runs here</h2>
    <dl>${facts.map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>
  </section>`;
}
