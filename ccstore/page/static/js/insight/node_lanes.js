// A node over time: its states, jobs and silences as bars below each other, and how much it said.

import { html } from '../preact.js';
import { useAnswer } from '../answers.js';
import { escaped, visible } from '../escapes.js';
import { showShort } from '../moments.js';
import { JobLink, msOf, stateClass } from './words.js';

const BUCKETS = 160;
const TICKS = 6;
/** Parts of a hundred, in which a number has no room. */
const THIN = 6;

/** Props: `found` (the answer about the node), `range` (milliseconds), `isUtc`. */
export function NodeLanes({ found, range, isUtc }) {
  const [from, to] = range;
  const minute = (ms) => String(Math.floor(ms / 60_000) * 60_000); // so that it is not asked again and again
  const { answer } = useAnswer('v1/histogram', [
    ['cluster', found.cluster],
    ['host', found.host],
    ['from', minute(from)],
    ['to', minute(to + 60_000)],
    ['buckets', BUCKETS],
  ]);
  const place = (ms) => Math.min(100, Math.max(0, (100 * (ms - from)) / (to - from)));
  const widthOf = (begin, end) => Math.max(0.3, place(end ? msOf(end) : to) - place(msOf(begin)));
  const bar = (begin, end) => {
    const left = place(msOf(begin));
    return { left: `${left}%`, width: `${widthOf(begin, end)}%` };
  };
  const points = answer?.series[0]?.points ?? [];
  const most = Math.max(1, ...points.map(([, count]) => count));
  const step = answer ? parseFloat(answer.step) : 0;
  const lane = (name, bars, said) => html`<tr><th scope="row">${name}</th>
    <td><div class="lane tall" role=${said ? 'img' : null} aria-label=${said}>${bars}</div></td></tr>`;
  return html`<table class="lanes node-lanes"><caption class="unseen">The node over time</caption><tbody>
    ${lane('state', found.states.map((each) => html`<span class=${`bar state ${stateClass(each.state)}`} style=${bar(each.since, each.until)}
      title=${escaped([each.state, each.reason].filter(Boolean).join(': '))}>${visible(each.state)}</span>`))}
    ${lane('jobs', found.jobs.map((job) => html`<span class=${`bar job ${widthOf(job.start, job.end) < THIN ? 'thin' : ''}`} style=${bar(job.start, job.end)}
      title=${escaped(`${job.id} of ${job.user ?? '?'}: ${job.state ?? ''}`)}><${JobLink} job=${job} /></span>`))}
    ${lane('messages', points.map(([at, count]) => html`<i class="said" style=${{ left: `${place(at * 1000)}%`, width: `${Math.max(0.25, (100 * step * 1000) / (to - from))}%`, opacity: 0.3 + (0.7 * count) / most }}
      title=${escaped(`${showShort(at * 1000, isUtc)}: ${count}`)}></i>`), `${found.count} messages`)}
    ${found.silences.length > 0 && lane('silent', found.silences.map((each) => html`<span class="bar silent" style=${bar(each.from, each.to)}></span>`), `${found.silences.length} silences`)}
    ${found.reboots.length > 0 && lane('started', found.reboots.map((each) => html`<i class="mark boot" style=${{ left: `${place(msOf(each.time))}%` }} title=${showShort(msOf(each.time), isUtc)}></i>`), `started ${found.reboots.length} times`)}
    <tr class="axis"><th scope="row" class="hint">${showShort(from, isUtc).slice(0, 10)}</th><td><div class="ticks" aria-hidden="true">${Array.from({ length: TICKS }, (_, at) => html`<span>${showShort(Math.round((from + ((to - from) * at) / (TICKS - 1)) / 60_000) * 60_000, isUtc).slice(5, 16)}</span>`)}</div></td></tr>
  </tbody></table>`;
}
