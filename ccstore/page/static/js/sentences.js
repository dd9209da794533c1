// What is said where there are no messages: why, and what can be done.

import { html } from './preact.js';
import { escaped } from './escapes.js';
import { showAgo, showTime, toMilliseconds, toState } from './moments.js';
import { JobHints } from './job_hints.js';
import { withoutValue, withValue } from './filters.js';
import { asWord, habitOf } from './search_language.js';
import { token } from './session.js';
import { setRange } from './time_range.js';
import { DEFAULTS, setState } from './url_state.js';
import { Command } from './copying.js';

const root = () => location.href.split(/[?#]/)[0].replace(/\/$/, '');
const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

/** The command that sends a first event; it works as it stands. */
export function firstEvent() {
  const line = 'job,cluster=test,hostname=node01,function=start_job event="a first event"';
  const secret = token() ? ' -H "Authorization: Bearer $TOKEN"' : '';
  return `curl${secret} --data-binary ${quoted(line)} ${quoted(`${root()}/api/write`)}`;
}

/** Props: `search`, `state`. */
export function NoMessages({ search, state }) {
  if (search.newest === false) return html`<${EmptyStore} />`;
  const { newest, future, results } = search;
  const ms = newest && toMilliseconds(newest.time_ns);
  const nearest = nearestOf(results?.notice ?? '');
  const hasConditions = state.q || state.filters.some((each) => !each.off);
  const mistaken = state.filters.filter(
    (each) => each.label.startsWith('tag.') && !each.off && !each.negated,
  );
  return html`<div class="sentence" role="status">
    <h2>No messages${hasConditions ? ' match' : ' in this time'}</h2>
    ${results?.notice && html`<p>${capital(results.notice)}.</p>`}
    <${Habit} state=${state} />
    ${newest &&
      html`<p>The newest message that is stored is of ${showTime(ms, state.utc).slice(0, 19)}, ${showAgo(ms)}.</p>`}
    ${future && html`<p>${newest ? 'But there are' : 'There are'} messages of a wrong clock, up to ${showTime(toMilliseconds(future.time_ns), state.utc).slice(0, 19)}, which is ${showAgo(toMilliseconds(future.time_ns))}.</p>`}
    <p class="ways">
      ${state.from && html`<button type="button" onClick=${() => setRange('', '')}>Look at all times</button>`}
      ${newest && html`<button type="button"
        onClick=${() => setRange(toState(ms - 3_600_000), toState(ms + 1000))}>Show the hour before the newest</button>`}
      ${hasConditions && html`<button type="button"
        onClick=${() => setState({ q: '', filters: [] })}>Without search and filters</button>`}
      ${nearest && html`<button type="button"
        onClick=${() => instead(state, nearest)}>Look for ${nearest.label}=${nearest.value}</button>`}
      <${JobHints} state=${state} />
      ${mistaken.map((each) => html`<button type="button"
        onClick=${() => asText(state, each)}>Look for “${each.label.slice(4)}=${each.values[0]}” in the text</button>`)}
    </p>
  </div>`;
}

/** `{label, wrong, value}` of a notice that names what is nearest to something that is not there. */
function nearestOf(notice) {
  const found = /^there is no (cluster|host|name) '(.*)', the nearest is '(.*)'$/i.exec(notice);
  return found && { label: found[1], wrong: found[2], value: found[3] };
}

/** The nearest one, and not what is not there. */
function instead(state, { label, wrong, value }) {
  setState({ filters: withValue(withoutValue(state.filters, label, wrong), label, value) });
}

/** Props: `state`: says how it is written here what is written otherwise elsewhere. */
export function Habit({ state }) {
  const said = habitOf(state.q, { isRegex: state.regex });
  return said && html`<p class="habit">${said}</p>`;
}

function asText(state, filter) {
  const words = filter.values.map((value) => asWord(`${filter.label.slice(4)}=${value}`));
  setState({
    q: [state.q, ...words].filter(Boolean).join(' '),
    filters: state.filters.filter((each) => each !== filter),
  });
}

function EmptyStore() {
  return html`<div class="sentence" role="status">
    <h2>The store is empty</h2>
    <p>Nothing has been stored yet, or all of it has expired. This sends a first event:</p>
    <${Command} text=${firstEvent()} />
    ${token() && html`<p>The shell has to know a token that may write as <code>TOKEN</code>.</p>`}
    <p>Then search again. If lines are sent and nothing appears, <code>ccstore doctor</code> says what is the matter.</p>
  </div>`;
}

/** Props: `error`, `state`, `onAgain`. */
export function Failed({ error, state, onAgain }) {
  const [head, said] = SAID[error.kind] ?? SAID.failed;
  return html`<div class="sentence" role="alert">
    <h2>${head}</h2>
    <p>${capital(error.message)}.</p>
    ${said && html`<p>${said}</p>`}
    <p class="ways">
      ${error.kind === 'slow' && html`<button type="button"
        onClick=${() => setRange('-1h', '')}>Only the last hour</button>`}
      ${error.kind === 'slow' && state.from !== '-24h' && html`<button type="button"
        onClick=${() => setRange('-24h', '')}>Only the last 24 hours</button>`}
      ${
        error.kind === 'wrong'
          ? html`<${Mend} state=${state} />`
          : html`<button type="button" onClick=${onAgain}>${error.kind === 'token' ? 'Give a token' : 'Try again'}</button>`
      }
    </p>
  </div>`;
}

/** Ways out of a question that cannot be asked: the same again is as wrong. */
function Mend({ state }) {
  return html`
    ${state.q && html`<button type="button"
      onClick=${() => document.getElementById('search').select()}>Edit the search</button>
    <button type="button" onClick=${() => setState({ q: '' })}>Without the search “${escaped(state.q)}”</button>`}
    ${state.filters.some((each) => !each.off) && html`<button type="button"
      onClick=${() => setState({ filters: [] })}>Without the filters</button>`}
    ${(state.from !== DEFAULTS.from || state.to) && html`<button type="button"
      onClick=${() => setRange(DEFAULTS.from, '')}>The last 24 hours</button>`}
  `;
}

const SAID = {
  gone: [
    'The daemon does not answer',
    'It is asked again every few seconds, and the page goes on when it is back.',
  ],
  token: ['A token is needed', ''],
  forbidden: ['The token does not allow this', 'Ask for one whose roles include “read”.'],
  slow: [
    'This took too long',
    'A shorter time, one host, or a word that is in the text make it quick; a regular expression has to look at each text.',
  ],
  busy: ['The daemon is busy', 'It has other questions to answer first: try again in a few seconds.'],
  wrong: ['This cannot be searched for', ''],
  missing: ['It is not there', ''],
  failed: ['The daemon could not answer', ''],
};

const capital = (text) => text[0].toUpperCase() + text.slice(1).replace(/\.$/, '');
