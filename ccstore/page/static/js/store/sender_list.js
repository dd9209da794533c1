// Who sends: hosts that are silent first, or all of them, with what is usual for each.

import { html } from '../preact.js';
import { useAnswer } from '../answers.js';
import { visible } from '../escapes.js';
import { NodeLink } from '../insight/words.js';
import { setState } from '../url_state.js';
import { showCount, showSpan } from './figures.js';
import { when } from './moments_here.js';

/** Milliseconds between two looks, and senders that are shown. */
const EVERY = 10_000;
const LIMIT = 100;
/** What can be shown, as the state has it: a name, and the parameters of the API. */
const CHOICES = {
  silent: ['those that are silent', [['silent', 'true'], ['order', 'silence']]],
  host: ['all, by host', [['order', 'host']]],
  last: ['all, by their last message', [['order', 'last']]],
  messages: ['all, by messages', [['order', 'messages']]],
  rate: ['all, by what they send now', [['order', 'rate']]],
  skew: ['all, by how wrong their clock is', [['order', 'skew']]],
};

/** Props: `state`. */
export function Senders({ state }) {
  const chosen = Object.hasOwn(CHOICES, state.senders) ? state.senders : 'silent';
  const { answer, error } = useAnswer('v1/senders', [...CHOICES[chosen][1], ['limit', LIMIT]], { every: EVERY });
  return html`<section class="senders" aria-labelledby="senders-title">
    <div class="head"><h2 id="senders-title">Who sends</h2>
      <label>shown: <select value=${chosen} onChange=${(event) => setState({ senders: event.target.value }, { replace: true })}>
        ${Object.entries(CHOICES).map(([name, [text]]) => html`<option value=${name}>${text}</option>`)}
      </select></label></div>
    ${error && html`<p class="problem">Not known: ${error.message}</p>`}
    ${answer && html`<${Known} answer=${answer} isSilent=${chosen === 'silent'} isUtc=${state.utc} />`}
  </section>`;
}

function Known({ answer, isSilent, isUtc }) {
  const { senders, clusters, outages, cut, left_out: leftOut } = answer;
  // Hosts that fell silent at once are said as one.
  const shown = isSilent ? senders.filter((each) => !each.outage) : senders;
  return html`
    ${clusters.length > 0 && html`<ul class="clusters">${clusters.map((each) => html`<li class=${each.silent ? 'warning' : ''}><b>${visible(each.cluster)}</b>
      ${' '}${showCount(each.hosts)} hosts, ${each.silent ? html`<strong>${showCount(each.silent)} silent</strong>` : 'none silent'}${each.skewed ? html`, <strong>${showCount(each.skewed)} with a wrong clock</strong> (the worst by ${showSkew(each.worst_skew)})` : ''}</li>`)}</ul>`}
    ${outages.map((each) => html`<p class="outage" role="status"><b>${showCount(each.silent)} of ${showCount(each.of)} hosts of ${visible(each.cluster)}</b> are silent since ${when(Date.parse(each.since) / 1000, isUtc)}: a maintenance, or what they all send through is down.</p>`)}
    ${
      shown.length
        ? html`<table><thead><tr><th scope="col">host</th><th scope="col">receiver</th><th scope="col" class="number">messages</th><th scope="col">last</th>
          <th scope="col">what is usual</th><th scope="col" class="number">last minute</th><th scope="col">clock</th></tr></thead>
          <tbody>${shown.map((each) => html`<${SenderRow} key=${`${each.cluster} ${each.host} ${each.receiver}`} sender=${each} now=${Date.parse(answer.time)} />`)}</tbody></table>`
        : html`<p>${isSilent ? (outages.length ? 'No other host is silent.' : 'Nobody whose habit is known is silent.') : 'Nothing has been heard of any host yet.'}</p>`
    }
    ${cut && html`<p class="hint">${cut}; the first ${LIMIT} are shown, <code>ccstore senders</code> has all.</p>`}
    ${leftOut > 0 && html`<p class="hint">${showCount(leftOut)} messages are of senders that are not told apart, as there are too many.</p>`}`;
}

function SenderRow({ sender, now }) {
  const { cluster, host, receiver, messages, last, silent, says, rate, skew, skewed } = sender;
  const since = Math.max(0, (now - Date.parse(last)) / 1000);
  return html`<tr>
    <th scope="row"><${NodeLink} host=${host} cluster=${cluster} /> <span class="hint">${visible(cluster)}</span>${silent && html` <b class="dropped">silent</b>`}</th>
    <td data-label="receiver">${receiver ?? 'before the start'}</td>
    <td data-label="messages" class="number">${showCount(messages)}</td>
    <td data-label="last">${showSpan(since)} ago</td>
    <td data-label="usual" class="says">${visible(says)}</td>
    <td data-label="last minute" class="number">${showCount(rate.now)}${['high', 'low'].includes(rate.is) ? html` <b class="dropped">${rate.is}</b>` : ''}</td>
    <td data-label="clock">${skewed ? html`<b class="rejected">${showSkew(skew)}</b>` : skew === null ? '–' : 'ok'}</td>
  </tr>`;
}

/** How far a clock is ahead or behind. */
const showSkew = (seconds) => `${showSpan(Math.abs(seconds))} ${seconds > 0 ? 'ahead' : 'behind'}`;
