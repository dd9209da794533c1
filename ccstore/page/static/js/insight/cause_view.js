// The screen about what the hosts of a burst of messages have in common: a rack, a switch, a job, a user.

import { html } from '../preact.js';
import { visible } from '../escapes.js';
import { showNumber } from '../numbers.js';
import { counted } from '../store/figures.js';
import { messagesOf } from '../templates.js';
import { ViewLink } from '../view_link.js';
import { CauseScreen, LongerTimes, NotLookedAt, NotTold } from './asked_about.js';
import { chanceOf } from './chance.js';
import { at, bound, Hosts, JobLink, NodeLink } from './words.js';

const PEAKS = [
  ['5m', 'the busiest 5 minutes'],
  ['1m', 'the busiest minute'],
  ['30m', 'the busiest half an hour'],
  ['1h', 'the busiest hour'],
];
const WHOLE = ['all', 'all of this time'];

/** Bursts that can be chosen: a time with an end is one by itself, else one is looked for. */
const burstsOf = (state) => (state.to ? [WHOLE, ...PEAKS] : [...PEAKS, WHOLE]);

function moreOf({ window }) {
  if (!window) return [];
  return window === 'all' ? [['burst', 'whole']] : [['burst', 'peak'], ['window', window]];
}

export function CauseView({ state }) {
  return html`<${CauseScreen} view="cause" state=${state} more=${moreOf(state)} choice=${{ label: 'burst', spans: burstsOf(state) }}
    waiting="Looking for racks, switches, jobs and users …" templateIn=${(answer) => answer.burst?.template}
    shown=${(answer, question) =>
      answer.burst ? html`<${Found} found=${answer} state=${state} />` : html`<${Nothing} notice=${answer.notice} question=${question} />`} />`;
}

function Nothing({ notice, question }) {
  return html`<div class="sentence" role="status"><h2>No such message in this time</h2>
    ${notice && !/from=/.test(notice) && html`<p>${notice}.</p>`}<${LongerTimes} question=${question} /></div>`;
}

function Found({ found, state }) {
  const { burst, bursts, population, causes, cut, everybody } = found;
  const { cluster, hosts, first, last, count, example } = burst;
  const [most, part, doubtful] = sorted(causes);
  const to = messagesOf({ template: burst.template, cluster, from: bound(first), to: bound(last, 1) });
  const groups = (rows, caption) => html`<${Groups} rows=${rows} found=${found} caption=${caption} />`;
  return html`
    <${NotLookedAt} cut=${cut} />
    <p class="answer" role="status">${answerOf(found, most)}</p>
    <dl class="facts-line">
      <div><dt>when</dt><dd>${at(first, state.utc)} – ${at(last, state.utc)}</dd></div>
      <div><dt>how often</dt><dd><${ViewLink} to=${to} title=${example.text}>${counted(count, 'message')}<//></dd></div>
      <div><dt>hosts</dt><dd class="who"><span><${Hosts} hosts=${hosts} cluster=${cluster} when=${first} /></span></dd></div>
      <div><dt>compared with</dt><dd>${counted(population, 'host')} of ${visible(cluster)} that were heard since the day before</dd></div>
      ${bursts > 1 && html`<div><dt>other bursts</dt><dd>${showNumber(bursts - 1)}, of fewer hosts</dd></div>`}
    </dl>
    ${most.length > 0 && html`<section aria-labelledby="groups-title"><h2 id="groups-title">What they have in common</h2>${groups(most, 'What they have in common')}</section>`}
    ${part.length > 0 && html`<details class="doubtful"><summary>${counted(part.length, 'group')} of a smaller part of them</summary>${groups(part, 'What a part of them has in common')}</details>`}
    ${doubtful.length > 0 && html`<details class="doubtful" open=${!most.length && !everybody}><summary>${counted(doubtful.length, 'group')} of which that may be chance</summary>
      ${groups(doubtful, 'What they may have in common by chance')}</details>`}
    <${NotTold} cut=${cut} />`;
}

/** Groups of which most hosts are, those of which fewer are, and those that may be chance. */
function sorted(causes) {
  const sure = causes.filter((row) => row.is_significant);
  const most = sure.filter((row) => row.touched >= row.outside);
  const first = most.length ? most : sure;
  return [first, sure.filter((row) => !first.includes(row)), causes.filter((row) => !row.is_significant)];
}

/** The answer in one sentence. */
function answerOf({ burst, population, everybody, causes }, [first, ...others]) {
  const { hosts, cluster } = burst;
  if (everybody) {
    return html`<b>Nearly everybody has it:</b> ${showNumber(hosts.count)} of ${showNumber(population)} hosts. So it is none of their racks, switches or jobs.`;
  }
  if (!hosts.count) return html`<b>These messages are of no host,</b> so that there is nothing to have in common.`;
  if (hosts.count === 1) return html`<b>Only one host has it:</b> <${NodeLink} host=${hosts.list} cluster=${cluster} when=${burst.first} />. There is nothing to have in common.`;
  if (!causes.length) return html`<b>Nothing in common:</b> no rack, switch, job or user that is known has two of its ${showNumber(hosts.count)} hosts.`;
  if (!first) return html`<b>Nothing in common:</b> what its ${showNumber(hosts.count)} hosts share may well be chance.`;
  const part = first.touched === first.hosts ? `all of its ${showNumber(first.hosts)} hosts have it` : `${showNumber(first.touched)} of its ${showNumber(first.hosts)} hosts have it`;
  // A project with one user is that user.
  const alike = [first, ...others.filter((row) => row.p_corrected === first.p_corrected && row.outside === first.outside)];
  const names = alike.slice(0, MOST_ALIKE).map((row) => `${KINDS[row.kind] ?? row.kind} ${row.name}`);
  return html`<b>Most likely ${visible(names.join(' or '))}:</b> ${part}, and ${first.outside ? counted(first.outside, 'other host') : 'no other host'}.`;
}

/** Groups with the same hosts that are named together. */
const MOST_ALIKE = 3;

const KINDS = { range: 'hosts' };

function Groups({ rows, found, caption }) {
  const { cluster, first } = found.burst;
  return html`<table class="templates causes"><caption class="unseen">${caption}</caption>
    <thead><tr><th scope="col">what</th><th scope="col">its hosts with it</th><th scope="col">other hosts with it</th><th scope="col">by chance</th>
      <th scope="col">its hosts without it</th></tr></thead>
    <tbody>${rows.map((row) => html`<tr key=${`${row.kind} ${row.name}`} class=${row.is_significant ? '' : 'background'}>
      <th scope="row" class="what"><span class="hint">${KINDS[row.kind] ?? row.kind}</span> ${row.kind === 'job'
        ? html`<${JobLink} job=${{ id: row.name, cluster }} isRun=${false} />`
        : visible(row.name)}</th>
      <td class="when" data-label="its hosts with it">${showNumber(row.touched)} of ${showNumber(row.hosts)}</td>
      <td class="when" data-label="other hosts with it">${row.outside ? showNumber(row.outside) : 'none'}</td>
      <td data-label="by chance" title=${`p = ${row.p.toPrecision(2)}, for all groups ${row.p_corrected.toPrecision(2)}`}>${chanceOf(row.p_corrected)}</td>
      <td class="who" data-label="its hosts without it">${row.untouched.count ? html`<span><${Hosts} hosts=${row.untouched} cluster=${cluster} when=${first} /></span>` : 'none'}</td>
    </tr>`)}</tbody></table>`;
}
