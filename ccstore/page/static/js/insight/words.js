// Moments, spans and hosts of jobs and nodes, in words.

import { html } from '../preact.js';
import { showShort } from '../moments.js';
import { showSpan } from '../store/figures.js';
import { ViewLink } from '../view_link.js';
import { visible } from '../escapes.js';

/** Milliseconds of a time of the API. */
export const msOf = (time) => Date.parse(time);

/** `2026-01-31 12:00:05`; a dash for none. */
export const at = (time, isUtc) =>
  time ? showShort(Math.floor(msOf(time) / 1000) * 1000, isUtc) : '–';

/** How long something took, `–` if nobody knows. */
export const took = (seconds) => (seconds === null || seconds === undefined ? '–' : showSpan(seconds));

/** A moment as a bound of a search, some seconds later. */
export const bound = (time, seconds = 0) => new Date(msOf(time) + seconds * 1000).toISOString();

/** Props: `hosts` (`{list, count}`), `cluster`, `when`: one host is a link to what is known of it, as it was then. */
export function Hosts({ hosts, cluster, when }) {
  if (hosts.count === 1) return html`<${NodeLink} host=${hosts.list} cluster=${cluster} when=${when} />`;
  return html`<span class="hosts" title=${hosts.list}>${visible(hosts.list)}</span> <span class="hint">${hosts.count} hosts</span>`;
}

/** Milliseconds: what is not longer ago is looked at up to now. */
const RECENT = 2 * 86_400_000;

/** A node as a state of the page, as it was around a moment (of the API). */
export function nodeAt(host, cluster, time) {
  const isRecent = !time || Date.now() - msOf(time) < RECENT;
  return { view: 'node', node: host, of: cluster, run: isRecent ? '' : time };
}

/** Props: `host`, `cluster`, `when`: which jobs ran then. */
export function NodeLink({ host, cluster, when = '' }) {
  return html`<${ViewLink} to=${nodeAt(host, cluster, when)}>${visible(host)}<//>`;
}

/** Props: `job` (of the API), `isRun`: this run and not the newest. */
export function JobLink({ job, isRun = true, children }) {
  const to = { view: 'job', job: job.id, of: job.cluster, run: isRun ? job.start : '' };
  return html`<${ViewLink} to=${to}>${children ?? job.id}<//>`;
}

const BAD = /fail|timeout|cancel|boot|lost|memory|preempt|deadline|down|drain|error/i;
/** The class of a state: `bad`, `good`, or nothing. */
export const stateClass = (state) =>
  BAD.test(state ?? '') ? 'bad' : /complet|run|idle|alloc|mix/i.test(state ?? '') ? 'good' : '';
