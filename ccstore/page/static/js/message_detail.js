// All that there is about a message.

import { html } from './preact.js';
import { escaped, visible } from './escapes.js';
import { withValue } from './filters.js';
import { jobOf } from './job_hints.js';
import { CauseLinks } from './insight/asked_about.js';
import { nodeAt } from './insight/words.js';
import { called, COLUMNS, valueOf } from './labels.js';
import { marked } from './marking.js';
import { showTime, toMilliseconds, zoneAt } from './moments.js';
import { Payload, readPayload } from './payload.js';
import { getState, setState } from './url_state.js';
import { ViewLink } from './view_link.js';

/** Labels that a message has, the tags behind the columns. */
export function labelsOf(message) {
  const tags = Object.keys(message.tags ?? {}).map((tag) => `tag.${tag}`);
  return [...COLUMNS, ...tags].filter((label) => valueOf(message, label));
}

/** Only what has this value, or only what has not. */
export function filterBy(label, value, negated) {
  const state = getState();
  setState({ filters: withValue(state.filters, label, value, negated), m: '' });
}

/** Props: `message`, `state`, `found` (what is marked), `actions`. */
export function MessageDetail({ message, state, found, actions }) {
  const payload = readPayload(message.text);
  const ms = toMilliseconds(message.time_ns);
  const { hostname, cluster } = message;
  const job = jobOf(message, payload);
  return html`<div class="detail">
    <div class="tools">
      <button type="button" onClick=${() => actions.context(message)}>Around it</button>
      <button type="button" onClick=${() => actions.copyLink(message)}>Copy link</button>
      <button type="button" onClick=${() => actions.copyText(message)}>Copy text</button>
      <button type="button" onClick=${() => actions.copyJson(message)}>Copy JSON</button>
      ${job && html`<${ViewLink} class="button" to=${{ view: 'job', job, of: cluster }}>Job ${visible(job)}<//>`}
      ${hostname && html`<${ViewLink} class="button" to=${nodeAt(hostname, cluster, message.time)}>Node ${visible(hostname)}<//>`}
      <${CauseLinks} class="button" what="this message and those like it" about=${{ about: message.id, from: state.from, to: state.to, filters: state.filters }} />
    </div>
    ${
      payload === undefined
        ? html`<pre class="whole">${marked(message.text, found)}</pre>`
        : html`<${Payload} value=${payload} found=${found} />`
    }
    <table class="labels">
      <caption class="unseen">Labels of the message</caption>
      <tbody>
        <tr>
          <th scope="row">time</th>
          <td>${showTime(ms, state.utc).slice(0, 19)}.${fraction(message.time_ns)} ${zoneAt(ms, state.utc)}</td>
          <td></td>
        </tr>
        ${labelsOf(message).map((label) => {
          const value = valueOf(message, label);
          const name = escaped(`${called(label)} ${value}`);
          return html`<tr>
            <th scope="row">${visible(called(label))}</th>
            <td>${visible(value)}</td>
            <td class="signs">
              <button type="button" title="only these" aria-label=${`Only ${name}`}
                onClick=${() => filterBy(label, value, false)}>+</button>
              <button type="button" title="none of these" aria-label=${`Without ${name}`}
                onClick=${() => filterBy(label, value, true)}>−</button>
            </td>
          </tr>`;
        })}
      </tbody>
    </table>
  </div>`;
}

const fraction = (ns) => ns.slice(-9).padStart(9, '0');
