// Which messages the views of causes are about: as a question to the daemon, as links that ask, and as their head.

import { html, useMemo } from '../preact.js';
import { useAnswer } from '../answers.js';
import { escaped, visible } from '../escapes.js';
import { Pills } from '../pills.js';
import { questionOf } from '../question.js';
import { messagesOf } from '../templates.js';
import { setRange, TimeRange } from '../time_range.js';
import { setState } from '../url_state.js';
import { ViewLink } from '../view_link.js';
import { Template } from './template_rows.js';
import { Trouble } from './trouble.js';

/** The views that ask for causes, as they call each other. */
const CALLED = { before: 'What came before', cause: 'What the hosts have in common' };

/** Names of the state that say what is asked about. */
const kept = ({ template, about, from, to, q, regex, case: isCaseSensitive, filters }) => ({
  ...{ template, about, from, to, q, regex, case: isCaseSensitive, filters },
});

/**
 * The links that ask about messages. Props: `about` (of the state: `template` or `about`, `from`, `to`, `filters`), `burst` (what
 * is different where hosts have it in common), `what` (how they are called), `isShort`: a word each; others of a link.
 */
export function CauseLinks({ about, burst, what, isShort = false, ...others }) {
  const link = (view, name, title) => html`<${ViewLink} to=${{ view, ...about, ...(view === 'cause' ? burst : {}) }} title=${title}
    aria-label=${escaped(`${name} ${view === 'cause' ? 'of ' : ''}${what}`)} ...${others}>${isShort ? view : name}<//>`;
  return html`${link('before', 'What came before', 'on the same host, and how often it comes without it')} ${link('cause', 'Common cause', 'of its hosts: a rack, a switch, a job, a user')}`;
}

/** `{question, error}` of a state; no question if it says of nothing. `more` are parameters of the call. */
function useQuestion(state, more) {
  const asked = kept(state);
  const hasTarget = Boolean(state.template || state.about || state.q);
  return useMemo(() => {
    if (!hasTarget) return {};
    try {
      const question = questionOf(state);
      const target = state.about ? [['message', state.about]] : state.template ? [['template', state.template]] : [];
      return { question: { ...question, parameters: [...question.parameters, ...target, ...more] } };
    } catch (error) {
      return { error: { kind: 'wrong', message: error.message } };
    }
  }, [JSON.stringify([asked, state.utc, more])]);
}

/**
 * The screen of a view. Props: `view`, `state`, `more` (parameters of the call), `choice` (props of the choice of a span),
 * `waiting` (what is said meanwhile), `templateIn` (of an answer), `shown` (what is shown of an answer and its question).
 */
export function CauseScreen({ view, state, more, choice, waiting, templateIn, shown }) {
  const { question, error: mistake } = useQuestion(state, more);
  const { answer, error, isRunning, again } = useAnswer(question && `v1/${view}`, question?.parameters);
  const isOfNothing = !question && !mistake;
  return html`<div class="insight" tabindex="0" role="region" aria-label=${CALLED[view]} aria-busy=${isRunning}>
    ${isOfNothing
      ? html`<${AskedOfNothing} />`
      : html`<${AskedAbout} view=${view} state=${state} question=${question} template=${(answer && templateIn(answer)) ?? state.template}>
        <${SpanChoice} ...${choice} state=${state} /><//>`}
    ${isRunning && html`<p class="sentence hint" role="status">${waiting}</p>`}
    ${(error ?? mistake) && html`<${Trouble} error=${error ?? mistake} state=${state} what="template" onAgain=${again} />`}
    ${answer && shown(answer, question)}
  </div>`;
}

/** Props: `view`, `state`, `question`, `template` (as far as it is known), `children` (what else is chosen). */
function AskedAbout({ view, state, question, template, children }) {
  const other = view === 'before' ? 'cause' : 'before';
  const { from, to, filters } = state;
  return html`<div class="finding"><${TimeRange} state=${state} question=${question} />${children}</div>
    <${Pills} filters=${filters} />
    <header class="head">
      <h1>${CALLED[view]}</h1>
      <div class="ways">
        <${ViewLink} class="button" to=${{ view: other, ...kept(state) }}>${CALLED[other]}<//>
        ${template && html`<${ViewLink} class="button" to=${{ ...messagesOf({ template, from, to }), filters }}>The messages<//>`}
        <${ViewLink} class="button" to=${{ fold: true, from, to, filters }}>All templates<//>
      </div>
    </header>
    <p class="asked-about">${asked(template, state.q)}</p>`;
}

function asked(template, q) {
  if (template) return html`<${Template} text=${template} />`;
  return q ? html`messages that match <code>${visible(q)}</code>` : 'this message, and those that are equal but for numbers and names';
}

/** What is said where nobody has said which messages are meant. */
function AskedOfNothing() {
  return html`<div class="sentence" role="status"><h2>Of which messages?</h2>
    <p>Messages that are equal have one template: in a row of the folded messages, and in a message that is laid out, there is
      a way here.</p>
    <p class="ways"><${ViewLink} class="button" to=${{ fold: true }}>The folded messages<//></p></div>`;
}

const LONGER = [
  ['-24h', 'the last 24 hours'],
  ['-7d', 'the last 7 days'],
  ['-30d', 'the last 30 days'],
  ['', 'all times'],
];

/** Ways to a longer time than that of the question. Props: `question`. */
export function LongerTimes({ question }) {
  const span = question.begin === null ? Infinity : Date.now() - question.begin;
  const longer = LONGER.filter(([from]) => !from || parseInt(from.slice(1), 10) * (from.endsWith('h') ? 3_600_000 : 86_400_000) > span * 1.01);
  if (question.begin === null) return null;
  return html`<p class="ways">${longer.map(([from, name]) => html`<button type="button" onClick=${() => setRange(from, '')}>Look at ${name}</button>`)}
    </p>`;
}

/** What was not looked at, of what an answer says in `cut`; that more was found than is told of is none of it. Props: `cut`. */
export function NotLookedAt({ cut }) {
  const left = partsOf(cut).filter((each) => !TOLD.test(each));
  return left.length > 0 && html`<p class="banner" role="status">Not all of it was looked at: ${left.join('; ')}.</p>`;
}

/** That more was found than is told of. Props: `cut`. */
export function NotTold({ cut }) {
  const told = partsOf(cut).find((each) => TOLD.test(each));
  return told && html`<p class="hint">These are ${told}.</p>`;
}

const TOLD = /^the first \d/;
const partsOf = (cut) => (cut ?? '').split('; ').filter(Boolean);

/** One of some spans, in the address. Props: `label`, `spans` (`[value, name]`, the first is there by itself), `state`. */
function SpanChoice({ label, spans, state }) {
  const value = spans.some(([each]) => each === state.window) ? state.window : spans[0][0];
  return html`<label>${label} <select value=${value}
    onChange=${(event) => setState({ window: event.target.value === spans[0][0] ? '' : event.target.value })}>
    ${spans.map(([each, name]) => html`<option value=${each}>${name}</option>`)}</select></label>`;
}
