// The screen about what came before some messages on the same host, and how often it comes without them.

import { html } from '../preact.js';
import { visible } from '../escapes.js';
import { showNumber } from '../numbers.js';
import { counted, showPart, showSpan } from '../store/figures.js';
import { messagesOf } from '../templates.js';
import { ViewLink } from '../view_link.js';
import { CauseScreen, LongerTimes, NotLookedAt, NotTold } from './asked_about.js';
import { chanceOf, timesOf } from './chance.js';
import { Template } from './template_rows.js';
import { at, Hosts } from './words.js';

const WINDOWS = [
  ['10m', '10 minutes'],
  ['1m', '1 minute'],
  ['30m', '30 minutes'],
  ['1h', '1 hour'],
  ['6h', '6 hours'],
  ['1d', '1 day'],
];
/** Cases of which fewer tell little. */
const FEW = 4;

export function BeforeView({ state }) {
  return html`<${CauseScreen} view="before" state=${state} more=${state.window ? [['window', state.window]] : []}
    choice=${{ label: 'looking back', spans: WINDOWS }} waiting="Looking at what came before, and at times without it …"
    templateIn=${(answer) => answer.template}
    shown=${(answer, question) => html`<${Found} found=${answer} state=${state} question=${question} />`} />`;
}

function Found({ found, state, question }) {
  const { count, hosts, first, last, cases, controls, before, cut, notice } = found;
  if (!cases) {
    const why = count ? 'These messages are of no host, so that nothing came before on it.' : (/from=/.test(notice ?? '') ? '' : notice);
    return html`<div class="sentence" role="status"><h2>${count ? 'Nothing to look at' : 'No such message in this time'}</h2>
      ${why && html`<p>${why}${why.endsWith('.') ? '' : '.'}</p>`}<${LongerTimes} question=${question} /></div>`;
  }
  const sure = before.filter((row) => row.is_significant);
  const others = before.filter((row) => !row.is_significant);
  const span = showSpan(found.window);
  const list = { cases, controls, state, last };
  return html`
    <${NotLookedAt} cut=${cut} />
    <p class="answer" role="status">${answerOf(sure, cases, controls)}</p>
    <dl class="facts-line">
      <div><dt>it came</dt><dd>${counted(count, 'time')}${count > 1 ? `, from ${at(first, state.utc)} to ${at(last, state.utc)}` : `, at ${at(first, state.utc)}`}</dd></div>
      <div><dt>hosts</dt><dd class="who"><span><${Hosts} hosts=${hosts} cluster=${clusterOf(state)} when=${last} /></span></dd></div>
      <div><dt>looked at</dt><dd>${span} before it, in ${counted(cases, 'case')}</dd></div>
      <div><dt>compared with</dt><dd>${showNumber(controls)} times ${span} without it: earlier on the same host, or then on others of its rack</dd></div>
    </dl>
    ${cases < FEW && html`<p class="hint">So few cases tell little: a longer time may have more.</p><${LongerTimes} question=${question} />`}
    <section aria-labelledby="sure-title"><h2 id="sure-title">Comes more often before it than without it</h2>
      ${sure.length
        ? html`<${Rows} rows=${sure} caption="What came before" ...${list} />`
        : html`<p>Nothing, but by chance.</p>`}
    </section>
    ${others.length > 0 && html`<details class="doubtful" open=${!sure.length}><summary>${counted(others.length, 'template')} of which that may be chance</summary>
      <${Rows} rows=${others} caption="What may have come before by chance" ...${list} /></details>`}
    <${NotTold} cut=${cut} />`;
}

/** The answer in one sentence. */
function answerOf([first], cases, controls) {
  if (!first) return html`<b>Nothing stands out:</b> what came before it comes as often without it, or may have come by chance.`;
  const without = `without it in ${first.controls ? showNumber(first.controls) : 'none'} of ${showNumber(controls)}`;
  return html`<b><${Template} text=${first.template} /> stands out:</b> in ${showNumber(first.cases)} of ${counted(cases, 'case')}, mostly ${showSpan(first.lead)} before; ${without}.`;
}

/** The cluster that is asked about; an empty text for any. */
const clusterOf = ({ filters }) =>
  filters.find((each) => each.label === 'cluster' && !each.negated && !each.off)?.values[0] ?? '';

function Rows({ rows, caption, cases, controls, state, last }) {
  const cluster = clusterOf(state);
  const messages = ({ template, hosts }) => messagesOf({ template, cluster, hosts: hosts.list, from: state.from, to: state.to });
  return html`<table class="templates causes"><caption class="unseen">${caption}</caption>
    <thead><tr><th scope="col">what came</th><th scope="col">before it</th><th scope="col">without it</th><th scope="col">more often</th>
      <th scope="col">how long before</th><th scope="col">by chance</th></tr></thead>
    <tbody>${rows.map((row) => html`<tr key=${row.template} class=${row.is_significant ? '' : 'background'}>
      <td class="what"><${ViewLink} to=${messages(row)} title="its messages"><${Template} text=${row.template} /><//>
        <${ViewLink} class="example" to=${{ ...messages(row), m: row.example.id }} title="one of them, and what came around it">${visible(row.example.text.slice(0, 300))}<//>
        <span class="on-hosts hint">on <${Hosts} hosts=${row.hosts} cluster=${cluster} when=${last} /></span></td>
      <td data-label="before it">${share(row.cases, cases)}</td>
      <td data-label="without it">${share(row.controls, controls)}</td>
      <td data-label="more often"><b class=${`surprise ${row.is_significant ? '' : 'weak'}`}>${row.controls ? timesOf(row.lift) : 'only before it'}</b></td>
      <td class="when" data-label="how long before">${showSpan(row.lead)}</td>
      <td data-label="by chance" title=${`p = ${row.p.toPrecision(2)}, for all templates q = ${row.q.toPrecision(2)}`}>${chanceOf(row.q)}</td>
    </tr>`)}</tbody></table>`;
}

const share = (part, all) => html`<span><span class="when">${showNumber(part)} of ${showNumber(all)}</span> <span class="hint">${part ? showPart(part, all) : ''}</span></span>`;
