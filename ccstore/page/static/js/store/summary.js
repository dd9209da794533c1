// The answers to what is asked at three in the morning: stored, not stored, disk, what is deleted next.

import { html } from '../preact.js';
import { counted, showBytes, showCount, showPart, showRate, showShortly, showSpan } from './figures.js';
import { when } from './moments_here.js';
import { findingsOf, isStuck, totals, worst } from './verdict.js';

/** Props: `store`, `isUtc`. */
export function Summary({ store, isUtc }) {
  return html`<div class="summary">
    <${Stored} store=${store} />
    <${NotStored} store=${store} />
    <${Disk} store=${store} />
    <${Deleted} store=${store} isUtc=${isUtc} />
  </div>`;
}

function Tile({ title, value, level = '', children }) {
  return html`<section class=${`tile ${level}`} aria-label=${title}>
    <h2>${title}</h2>
    <p class="answer">${value}</p>
    ${children}
  </section>`;
}

const PARTS = ['stored', 'waiting', 'dropped', 'rejected'];

function Stored({ store }) {
  const { queue, ready } = store;
  const all = totals(store.receivers);
  const stuck = isStuck(store);
  // What waits is neither stored nor lost, and would make it look worse than it is.
  const settled = all.received - all.waiting;
  const value = stuck ? `${showShortly(all.waiting)} waiting` : settled ? showPart(all.stored, settled) : 'nothing yet';
  return html`<${Tile} title="Stored of received" value=${value} level=${stuck ? (ready ? 'warning' : 'bad') : ''}>
    <div class="parts" aria-hidden="true">
      ${PARTS.map((name) => all[name] > 0 && html`<i class=${name} style=${{ flexGrow: all[name] }}></i>`)}
    </div>
    <p>${showCount(all.received)} received = ${showCount(all.stored)} stored + ${showCount(all.rejected)} rejected
      + ${showCount(all.dropped)} dropped + ${showCount(all.waiting)} waiting</p>
    <p class="hint">${showRate(all.rates.received)} come in, over the last minute${queue.oldest >= 2 ? html`; <strong>the oldest waits for ${showSpan(queue.oldest)}</strong>` : ''}</p>
  <//>`;
}

function NotStored({ store }) {
  const all = totals(store.receivers);
  const count = all.rejected + all.dropped;
  const isProblem = findingsOf(store).some((each) => each.problem && each.receivers.length);
  const most = worst(store);
  return html`<${Tile} title="Not stored" value=${count ? counted(count, 'line') : 'none'} level=${isProblem ? 'warning' : ''}>
    ${most && html`<p>most of it from <strong>${most.sender}</strong>${most.host && most.host !== most.sender ? ` (host ${most.host})` : ''}: ${most.reason.replaceAll('_', ' ')}</p>`}
    <p class="hint">${count ? html`${showCount(all.rejected)} rejected (wrong), ${showCount(all.dropped)} dropped (right, but not kept)` : 'no line was rejected or dropped since the start'}</p>
  <//>`;
}

/** Days below which a full disk is near. */
const NEAR = 7 * 86_400;

function Disk({ store }) {
  const { disk, versions } = store;
  if (disk.disk_free_bytes === null) {
    return html`<${Tile} title="Disk" value=${showBytes(disk.bytes)}>
      <p>tables and indexes${growing(disk)}</p>
      <p class="hint">${versions.backend === 'sqlite' ? '' : 'How full its disk is, the PostgreSQL server does not say.'}</p>
    <//>`;
  }
  const free = disk.disk_free_bytes / disk.disk_bytes;
  const isNear = disk.full_in !== null && disk.full_in < NEAR;
  const level = free < 0.02 ? 'bad' : isNear || free < 0.1 ? 'warning' : '';
  return html`<${Tile} title="Disk" value=${`${showBytes(disk.disk_free_bytes)} free`} level=${level}>
    <div class="parts" aria-hidden="true">
      <i class="database" style=${{ flexGrow: disk.bytes + disk.journal_bytes + disk.reserve_bytes }}></i>
      <i class="others" style=${{ flexGrow: Math.max(0, disk.disk_bytes - disk.disk_free_bytes - disk.bytes - disk.journal_bytes - disk.reserve_bytes) }}></i>
      <i class="free" style=${{ flexGrow: disk.disk_free_bytes }}></i>
    </div>
    <p>${full(disk, isYoung(store))}</p>
    <p class="hint">database ${showBytes(disk.bytes)}${disk.free_bytes ? `, ${showBytes(disk.free_bytes)} of it free` : ''}; journal ${showBytes(disk.journal_bytes)}; reserve ${showBytes(disk.reserve_bytes)}</p>
  <//>`;
}

/** Whether no events have been kept for as long as they are to be: it stops growing by them then. */
function isYoung({ retention, segments, time }) {
  const oldest = segments.kinds.event?.oldest ?? null;
  return oldest !== null && time - oldest < 0.9 * retention.seconds;
}

function full({ full_in: fullIn, growth }, isYoung) {
  if (growth === null) return 'when it is full is known after five minutes';
  if (growth <= 0) return 'does not grow';
  const later = isYoung ? '; it grows less when the first events expire' : '';
  const when = fullIn === null ? 'not full for years' : html`full in about <strong>${showSpan(fullIn)}</strong>`;
  return html`${when} at the growth of the last hour${later}`;
}

function growing({ growth }) {
  if (growth === null) return '';
  return growth > 0 ? `, growing by ${showBytes(growth * 86_400)} a day` : ', not growing';
}

function Deleted({ store, isUtc }) {
  const { retention, time, segments } = store;
  const [next] = retention.leaving;
  const kept = `events are kept for ${showSpan(retention.seconds)} and logs for ever, where no rule or hold says otherwise`;
  if (!next) {
    const oldest = segments.kinds.event?.oldest ?? null;
    const value = segments.unknown ? 'not known' : oldest === null ? 'nothing' : `not for ${showSpan(Math.max(60, oldest + retention.seconds - time))}`;
    const why = segments.unknown ?? (oldest === null ? 'there are no events' : `the oldest events are of ${when(oldest, isUtc)}`);
    return html`<${Tile} title="Deleted next" value=${value}><p>${why}</p><p class="hint">${kept}</p><//>`;
  }
  const left = next.at - time;
  return html`<${Tile} title="Deleted next" value=${left > 90 ? `in ${showSpan(left)}` : 'in a moment'}>
    <p>${next.rows === null ? 'the events' : counted(next.rows, 'event')} of ${when(next.oldest, isUtc)} to ${when(next.newest, isUtc)}</p>
    <p class="hint">${kept}</p>
  <//>`;
}
