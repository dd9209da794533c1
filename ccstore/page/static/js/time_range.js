// The time range: presets, typed, and the way back to those before.

import { html, useEffect, useRef, useState } from './preact.js';
import { Popup } from './popup.js';
import { isRelative, readMoment, showShort, zoneName } from './moments.js';
import { getState, setState } from './url_state.js';

const PRESETS = [
  ['-5m', '', 'last 5 minutes'],
  ['-15m', '', 'last 15 minutes'],
  ['-1h', '', 'last hour'],
  ['-6h', '', 'last 6 hours'],
  ['-24h', '', 'last 24 hours'],
  ['-3d', '', 'last 3 days'],
  ['-7d', '', 'last 7 days'],
  ['-30d', '', 'last 30 days'],
  ['today', '', 'today'],
  ['yesterday', 'today', 'yesterday'],
  ['', '', 'everything'],
];
/** Ranges that can be gone back to. */
const MOST = 50;
const KEY = 'ccstore-ranges';
const before = kept();

/** Those of this tab, also when the page was loaded again. */
function kept() {
  try {
    const found = JSON.parse(sessionStorage.getItem(KEY) ?? '[]');
    return found.filter((each) => each?.length === 2 && each.every((end) => typeof end === 'string'));
  } catch {
    return [];
  }
}

function keep() {
  try {
    sessionStorage.setItem(KEY, JSON.stringify(before));
  } catch {
    // They are held as long as the page is.
  }
}

/** Another range; the one of now can be had back. */
export function setRange(from, to, options) {
  const state = getState();
  if (from === state.from && to === state.to) return;
  before.push([state.from, state.to]);
  if (before.length > MOST) before.shift();
  keep();
  setState({ from, to, tail: false }, options);
}

function undo() {
  const range = before.pop();
  keep();
  if (range) setState({ from: range[0], to: range[1] });
}

/** How a range is called. */
export function rangeName({ from, to, utc }) {
  const preset = PRESETS.find((each) => each[0] === from && each[1] === to);
  if (preset) return preset[2];
  return `${endName(from, utc) || 'the beginning'} – ${endName(to, utc) || 'now'}`;
}

function endName(text, isUtc) {
  if (!text || isRelative(text)) return text;
  try {
    return showShort(readMoment(text, Date.now(), isUtc).ms, isUtc);
  } catch {
    return text;
  }
}

/** Props: `state`, `question` (with the bounds that are shown at the moment). */
export function TimeRange({ state, question }) {
  return html`<div class="time-range">
    <${Popup} label=${html`<span class="clock" aria-hidden="true">◷</span> ${rangeName(state)}`}
      name=${`Time range: ${rangeName(state)}`} class="range-button">
      ${(close) => html`<${Choice} state=${state} question=${question} close=${close} />`}
    <//>
    <button type="button" class="icon" title="the range before" aria-label="Undo: the time range before"
      disabled=${!before.length} onClick=${undo}>↶</button>
    <button type="button" class="icon" title="twice as long" aria-label="Zoom out: twice as long"
      disabled=${!state.from} onClick=${() => zoomOut(state)}>⊖</button>
  </div>`;
}

function zoomOut(state) {
  const now = Date.now();
  const begin = readMoment(state.from, now, state.utc).ms;
  const end = state.to ? readMoment(state.to, now, state.utc).ms : now;
  const half = (end - begin) / 2;
  const last = end + half;
  setRange(new Date(begin - half).toISOString(), last > now ? '' : new Date(last).toISOString());
}

function Choice({ state, question, close }) {
  const [problem, setProblem] = useState('');
  const [from, to] = [useRef(), useRef()];
  useEffect(() => from.current.focus(), []);
  const typed = (text, bound) =>
    isRelative(text) || !text
      ? text
      : showShort(bound ?? readMoment(text, Date.now(), state.utc).ms, state.utc);
  const submit = (event) => {
    event.preventDefault();
    try {
      const ends = [from, to].map((input) => fixed(input.current.value, state.utc));
      const now = Date.now();
      const [begin, end] = ends.map((text) => readMoment(text, now, state.utc)?.ms);
      if (begin !== undefined && end !== undefined && begin >= end)
        throw new Error('it ends before it begins');
      setRange(...ends);
      close();
    } catch (error) {
      setProblem(error.message);
    }
  };
  return html`<div class="range-choice">
    <ul class="presets">
      ${PRESETS.map(
        ([first, last, name]) => html`<li>
          <button type="button" class="plain" aria-current=${state.from === first && state.to === last}
            onClick=${() => {
              setRange(first, last);
              close();
            }}>${name}</button>
        </li>`,
      )}
    </ul>
    <form class="typed" onSubmit=${submit}>
      <label>from <input ref=${from} defaultValue=${typed(state.from, question?.begin)}
        placeholder="the beginning" spellcheck="false" autocomplete="off" /></label>
      <label>to <input ref=${to} defaultValue=${typed(state.to, question?.end)} placeholder="now"
        spellcheck="false" autocomplete="off" /></label>
      ${problem && html`<p class="problem" role="alert">${problem}</p>`}
      <p class="hint"><code>-2h</code>, <code>today</code>, <code>09:00</code>, <code>2026-01-31 12:00</code>; times are ${zoneName(state.utc)}</p>
      <button type="submit" class="primary">Show</button>
    </form>
  </div>`;
}

/** What is typed as the state has it: a clock time means the same to somebody elsewhere. */
function fixed(text, isUtc) {
  const word = text.trim();
  if (!word || isRelative(word)) return word;
  const { ms, param } = readMoment(word, Date.now(), isUtc);
  return /^\d{9,19}$/.test(word) || /\.\d{4,}Z$/.test(param) ? param : new Date(ms).toISOString();
}
