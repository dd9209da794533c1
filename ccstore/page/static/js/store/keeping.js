// What is deleted next, by rule, and what is held: kept until somebody releases it.

import { html, useRef, useState } from '../preact.js';
import { request } from '../api.js';
import { useAnswer } from '../answers.js';
import { announce } from '../announcements.js';
import { visible } from '../escapes.js';
import { showBytes, showCount, showSpan } from './figures.js';
import { when } from './moments_here.js';

/** Milliseconds between two looks: all rules are counted. */
const EVERY = 60_000;

/** Props: `isUtc`. */
export function Keeping({ isUtc }) {
  const { answer, error, again } = useAnswer('v1/retention', [], { every: EVERY });
  return html`<section class="keeping" aria-labelledby="keeping-title">
    <h2 id="keeping-title">How long it is kept</h2>
    ${error && html`<p class="problem">Not known: ${error.message}</p>`}
    ${answer && html`<${Rules} rules=${answer.rules} /><${Holds} holds=${answer.holds} isUtc=${isUtc} onChange=${again} />`}
  </section>`;
}

function Rules({ rules }) {
  return html`<table><thead><tr><th scope="col">what</th><th scope="col" class="number">kept for</th><th scope="col" class="number">deleted now</th>
      <th scope="col" class="number">within a day</th><th scope="col" class="number">held</th></tr></thead>
    <tbody>${rules.map((rule) => html`<tr key=${`${rule.kind} ${rule.match.join()}`}>
      <th scope="row">${rule.match.length === 1 && rule.match[0] === 'retention_time' ? `${rules.length > 1 ? 'all other ' : ''}${rule.kind}s` : html`<code>${visible(rule.match.join(', '))}</code> <span class="hint">${rule.kind}s</span>`}</th>
      <td data-label="kept for" class="number">${showSpan(rule.period)}</td>
      <td data-label="deleted now" class="number">${amount(rule.now)}</td>
      <td data-label="within a day" class="number">${amount(rule.within_a_day)}</td>
      <td data-label="held" class="number">${showCount(rule.within_a_day.held)}</td></tr>`)}</tbody></table>`;
}

const amount = ({ rows, bytes }) => (rows ? `${showCount(rows)} (about ${showBytes(bytes)})` : '0');

function Holds({ holds, isUtc, onChange }) {
  const [problem, setProblem] = useState('');
  const change = async (path, parameters, method, done) => {
    try {
      await request(path, parameters, { method });
      setProblem('');
      announce(done);
      onChange();
      return true;
    } catch (error) {
      setProblem(error.message);
      return false;
    }
  };
  return html`<h3>What is held</h3>
    ${
      holds.length
        ? html`<table><thead><tr><th scope="col">what</th><th scope="col">from</th><th scope="col">to</th><th scope="col">why</th><th scope="col">by</th><th scope="col">since</th><td></td></tr></thead>
          <tbody>${holds.map((hold) => html`<tr key=${hold.id}>
            <th scope="row">${visible(hold.match)}</th>
            <td data-label="from">${edge(hold.from, 'the beginning', isUtc)}</td><td data-label="to">${edge(hold.to, 'open', isUtc)}</td>
            <td data-label="why">${visible(hold.reason)}</td><td data-label="by">${visible(hold.who)}</td>
            <td data-label="since">${edge(hold.created, '–', isUtc)}</td>
            <td><${Release} hold=${hold} onRelease=${() => change(`v1/holds/${hold.id}`, [], 'DELETE', `Hold ${hold.id} is released`)} /></td>
          </tr>`)}</tbody></table>`
        : html`<p>Nothing. What is held is not deleted, and stays to be seen, until somebody releases it.</p>`
    }
    ${problem && html`<p class="problem" role="alert">${visible(problem)}</p>`}
    <${NewHold} onHold=${(parameters) => change('v1/holds', parameters, 'POST', 'It is held')} />`;
}

const edge = (time, none, isUtc) => (time ? when(Date.parse(time) / 1000, isUtc) : none);

/** Releasing lets messages go for ever: it takes a second click. Props: `hold`, `onRelease`. */
function Release({ hold, onRelease }) {
  const [isAsked, setAsked] = useState(false);
  if (!isAsked) return html`<button type="button" aria-label=${`Release hold ${hold.id}`} onClick=${() => setAsked(true)}>release</button>`;
  return html`<button type="button" class="primary" aria-label=${`Release hold ${hold.id}, so that it is deleted`} onClick=${onRelease}>let it go</button>
    ${' '}<button type="button" onClick=${() => setAsked(false)}>keep</button>`;
}

const FIELDS = [
  ['cluster', 'cluster', 'alex'],
  ['host', 'hosts', 'a[0101-0116]'],
  ['from', 'from', '-2h, 2026-01-31 12:00'],
  ['to', 'to', 'now'],
  ['reason', 'why', 'ticket 4711'],
  ['who', 'who', ''],
];

/** Props: `onHold(parameters)`, which tells whether it was done. */
function NewHold({ onHold }) {
  const form = useRef();
  const submit = async (event) => {
    event.preventDefault();
    const given = [...new FormData(form.current)].map(([name, value]) => [name, value.trim()]);
    if (await onHold(given.filter(([, value]) => value))) form.current.reset();
  };
  return html`<details class="new-hold"><summary>Hold something</summary>
    <form ref=${form} onSubmit=${submit}>${FIELDS.map(([name, label, hint]) => html`<label>${label}
      <input name=${name} placeholder=${hint} required=${name === 'reason'} spellcheck="false" autocomplete="off" /></label>`)}
      <button type="submit" class="primary">Hold it</button></form></details>`;
}
