// The screen about one node: how it is, which jobs ran there, when it was silent, and what it alone says.

import { html } from '../preact.js';
import { useAnswer } from '../answers.js';
import { visible } from '../escapes.js';
import { showNumber } from '../numbers.js';
import { messagesOf } from '../templates.js';
import { setState } from '../url_state.js';
import { ViewLink } from '../view_link.js';
import { Finder } from './finder.js';
import { JobTable } from './job_table.js';
import { NodeLanes } from './node_lanes.js';
import { TemplateTable } from './template_rows.js';
import { Trouble } from './trouble.js';
import { at, bound, JobLink, msOf, stateClass, took } from './words.js';

const DAY = 86_400_000;
/** Days that are looked at, of which one can be chosen. */
const SPANS = [1, 3, 7, 30];

/** From when to when it is looked at, in milliseconds: some days around a moment, or up to now. */
function rangeOf(state) {
  const now = Date.now();
  if (!state.run) return [now - parseInt(sinceOf(state).slice(1), 10) * DAY, now];
  return [msOf(state.run) - 2 * DAY, Math.min(now, msOf(state.run) + DAY)];
}

/** Since when a node is looked at. */
const sinceOf = (state) => (/^-\d+d$/.test(state.since) ? state.since : '-3d');

export function NodeView({ state }) {
  const path = state.node && `v1/nodes/${encodeURIComponent(state.of || '*')}/${encodeURIComponent(state.node)}`;
  const around = state.run ? rangeOf(state).map(String) : [sinceOf(state)];
  const { answer, error, isRunning, again } = useAnswer(
    path,
    around.map((each, place) => [['from', 'to'][place], each]),
  );
  return html`<div class="insight" tabindex="0" role="region" aria-label="A node" aria-busy=${isRunning}>
    <div class="finding"><${Finder} what="node" label="Node" hint="a0107" state=${state} />
      ${state.node && html`<${Since} state=${state} />`}</div>
    ${!state.node && html`<div class="sentence" role="status"><h2>Which node?</h2>
      <p>Its jobs, its states, when it was silent or started again, and what it alone says: give its name above. Names of hosts
        in the other views lead here, too.</p></div>`}
    ${isRunning && html`<p class="sentence hint" role="status">Looking …</p>`}
    ${error && html`<${Trouble} error=${error} state=${state} what="node" onAgain=${again} />`}
    ${answer && html`<${Node} found=${answer} state=${state} />`}
  </div>`;
}

function Since({ state }) {
  if (state.run) {
    return html`<span class="hint">around ${at(state.run, state.utc)}</span>
      <button type="button" onClick=${() => setState({ run: '' })}>up to now</button>`;
  }
  return html`<label>of the last <select value=${sinceOf(state)} onChange=${(event) => setState({ since: event.target.value })}>
    ${SPANS.map((days) => html`<option value=${`-${days}d`}>${days === 1 ? 'day' : `${days} days`}</option>`)}
  </select></label>`;
}

function Node({ found, state }) {
  const { cluster, host, groups, count, first, last, state: now, jobs, states, silences, reboots, alone, habit, cut } = found;
  const to = messagesOf({ hosts: host, cluster, from: first ? bound(first) : '', to: last ? bound(last, 1) : '' });
  return html`
    <header class="head">
      <h1>${visible(host)} <span class="hint">of ${visible(cluster)}${groups.map((each) => `, ${each.kind} ${each.name}`).join('')}</span>${' '}
        ${now && html`<b class=${`state ${stateClass(now.state)}`}>${visible(now.state)}</b>`}</h1>
      ${count > 0 && html`<${ViewLink} class="button" to=${to}>its ${showNumber(count)} messages<//>`}
    </header>
    ${cut && html`<p class="banner" role="status">Not all of it was looked at: ${cut}.</p>`}
    <p>${now ? html`Since ${at(now.since, state.utc)} (${took(now.seconds)})${now.reason ? html`: <b>${visible(now.reason)}</b>` : ''}${now.by ? html`, by ${visible(now.by)}` : ''}.` : 'No event tells of its state.'}
      ${' '}${last ? html`Its last message is of ${at(last, state.utc)}.` : 'It has said nothing in this time.'}
      ${habit && html` <span class="hint">Usually it says something every ${took(habit.median)}; a silence is longer than ${took(habit.threshold)}.</span>`}</p>
    <${NodeLanes} found=${found} range=${rangeOf(state)} isUtc=${state.utc} />
    <div class="beside">
      <section aria-labelledby="node-jobs"><h2 id="node-jobs">Jobs that ran there</h2>
        ${jobs.length ? html`<${JobTable} jobs=${jobs} isUtc=${state.utc} />` : html`<p>None of which an event tells in this time.</p>`}</section>
      <section aria-labelledby="node-states"><h2 id="node-states">Its states</h2>
        ${states.length ? html`<${States} states=${states} cluster=${cluster} isUtc=${state.utc} />` : html`<p>No event tells of them: Slurm's node states come
          from cc-slurm-adapter, cc-backend, or the log of slurmctld.</p>`}</section>
    </div>
    ${silences.length > 0 && html`<section aria-labelledby="node-silences"><h2 id="node-silences">When it was silent</h2>
      ${silences.map((each) => html`<${Silence} key=${each.from} silence=${each} found=${found} state=${state} />`)}</section>`}
    ${reboots.length > 0 && html`<section aria-labelledby="node-reboots"><h2 id="node-reboots">When it was started again</h2>
      ${reboots.map((each) => html`<article key=${each.id}><h3>${at(each.time, state.utc)} <span class="hint">${visible(each.text)}</span></h3>
        <${Last} messages=${each.before} state=${state} /></article>`)}</section>`}
    <section aria-labelledby="node-alone"><h2 id="node-alone">What it alone says${alone?.group ? ` in ${alone.group.kind} ${alone.group.name}` : ''}</h2>
      ${alone?.templates.length
        ? html`<${TemplateTable} rows=${alone.templates} cluster=${cluster} isUtc=${state.utc} caption="What it alone says" />`
        : html`<p>Nothing in its last day.</p>`}</section>`;
}

function States({ states, cluster, isUtc }) {
  return html`<table class="states"><thead><tr><th scope="col">state</th><th scope="col">since</th><th scope="col">for</th><th scope="col">why</th>
    <th scope="col">jobs lost</th></tr></thead>
    <tbody>${states.map((each) => html`<tr>
      <th scope="row"><b class=${`state ${stateClass(each.state)}`}>${visible(each.state)}</b></th>
      <td data-label="since">${at(each.since, isUtc)}</td><td data-label="for">${took(each.seconds)}</td>
      <td data-label="why">${visible([each.reason, each.by && `by ${each.by}`].filter(Boolean).join(', ') || '–')}</td>
      <td data-label="jobs lost">${each.lost.length ? each.lost.map((id) => html`<${JobLink} job=${{ id, cluster }} isRun=${false} /> `) : '–'}</td></tr>`)}</tbody></table>`;
}

function Silence({ silence, found, state }) {
  const { from, to, seconds, before, shared } = silence;
  const who = `${showNumber(shared.silent)} of ${showNumber(shared.hosts)} hosts of ${found.cluster}`;
  return html`<article>
    <h3>${at(from, state.utc)} – ${to ? at(to, state.utc) : 'now'} <span class="hint">${took(seconds)}</span>
      ${shared.silent > 1 && html` <b class="surprise weak">${shared.is_maintenance ? 'a maintenance: ' : ''}${visible(who)} were silent</b>`}</h3>
    <${Last} messages=${before} state=${state} />
  </article>`;
}

/** The last messages before something, each a link to what was around it. Props: `messages`, `state`. */
function Last({ messages, state }) {
  if (!messages.length) return html`<p class="hint">Nothing is stored of before.</p>`;
  return html`<ol class="last">${messages.map((message) => html`<li key=${message.id}><span class="when">${at(message.time, state.utc)}</span>
    <${ViewLink} to=${{ view: 'search', from: bound(message.time, -1800), to: bound(message.time, 1800), filters: hostOf(state), m: message.id }}>${visible(message.text.slice(0, 400))}<//></li>`)}</ol>`;
}

const hostOf = (state) => [{ label: 'host', negated: false, off: false, values: [state.node] }];
