// The menus above the messages: columns, copying, exporting.

import { html, useRef, useState } from './preact.js';
import { isAborted } from './api.js';
import { curlCommand, queryCommand } from './commands.js';
import { copy } from './copying.js';
import { escaped, visible } from './escapes.js';
import { exportAddress, fetchExport, fileName, FORMATS, isPlain } from './exporting.js';
import { called, COLUMNS, valueOf } from './labels.js';
import { showTime, toMilliseconds } from './moments.js';
import { Popup } from './popup.js';
import { settled } from './question.js';
import { showNumber } from './numbers.js';
import { getState, linkTo, setState } from './url_state.js';

/** Props: `state`, `labels` (tags that messages have). */
export function ColumnsMenu({ state, labels }) {
  const all = [...new Set([...state.cols, ...COLUMNS, ...labels])];
  const put = (cols) => setState({ cols }, { replace: true });
  const move = (label, by) => {
    const cols = state.cols.filter((each) => each !== label);
    cols.splice(state.cols.indexOf(label) + by, 0, label);
    put(cols);
  };
  return html`<${Popup} label="columns" name="Columns" isRight=${true}>
    ${() => html`<ul class="choices">
      ${all.map((label) => {
        const at = state.cols.indexOf(label);
        return html`<li key=${label}>
          <label><input type="checkbox" checked=${at >= 0}
            onChange=${() => put(at >= 0 ? state.cols.filter((each) => each !== label) : [...state.cols, label])} /> ${visible(called(label))}</label>
          ${at > 0 && html`<button type="button" class="plain" aria-label=${escaped(`${called(label)} further left`)}
            onClick=${() => move(label, -1)}>↑</button>`}
          ${at >= 0 && at < state.cols.length - 1 && html`<button type="button" class="plain"
            aria-label=${escaped(`${called(label)} further right`)} onClick=${() => move(label, 1)}>↓</button>`}
        </li>`;
      })}
      <li><button type="button" class="plain" onClick=${() => put(null)}>the usual ones</button></li>
    </ul>`}
  <//>`;
}

/** A message as a line of text, with the columns that are shown. */
export function asLine(message, state) {
  const parts = [
    showTime(toMilliseconds(message.time_ns), state.utc),
    ...state.cols.map((label) => valueOf(message, label)),
  ];
  return [...parts.filter(Boolean), message.text].join(' ');
}

/** Props: `state`, `question`, `held()` (the messages that are here). */
export function CopyMenu({ state, question, held }) {
  const entries = (close) => {
    const messages = held();
    const many = `${showNumber(messages.length)} messages`;
    const item = (name, text, what) =>
      html`<li><button type="button" class="plain" onClick=${() => {
        copy(text(), what);
        close();
      }}>${name}</button></li>`;
    return html`<ul class="choices">
      ${item('a link to this search', () => linkTo(getState()), 'a link')}
      ${item('a link to just this time', () => linkTo(settled(getState(), question)), 'a link')}
      ${item('curl', () => curlCommand(question.parameters, state.order, state), 'a curl command')}
      ${item('ccstore query', () => queryCommand(question.parameters, state.order, state), 'a ccstore query command')}
      ${item(`${many} as text`, () => messages.map((each) => asLine(each, state)).join('\n'), many)}
      ${item(`${many} as JSON`, () => JSON.stringify(messages, null, 1), many)}
      <li class="hint">Messages: those loaded here so far. For all that are found, export them.</li>
    </ul>`;
  };
  return html`<${Popup} label="copy" name="Copy" isRight=${true}>${(close) => entries(close)}<//>`;
}

/** Props: `state`, `question`. */
export function ExportMenu({ state, question }) {
  const [{ bytes, error }, set] = useState({});
  const controller = useRef();
  const start = async (format) => {
    controller.current = new AbortController();
    set({ bytes: 0 });
    try {
      const onProgress = (now) => set({ bytes: now });
      await fetchExport(question.parameters, state.order, format, {
        signal: controller.current.signal,
        onProgress,
      });
      set({});
    } catch (failure) {
      set(isAborted(failure) ? {} : { error: failure.message });
    }
  };
  return html`<${Popup} label=${bytes === undefined ? 'export' : `${(bytes / 1e6).toFixed(1)} MB`}
    name="Export" isRight=${true}>
    ${(close) => html`<ul class="choices">
      ${bytes !== undefined && html`<li><button type="button"
        onClick=${() => controller.current.abort()}>stop the export</button></li>`}
      ${FORMATS.map(
        (format) =>
          html`<li>${
            isPlain()
              ? html`<a href=${exportAddress(question.parameters, state.order, format[0])}
                download=${fileName(format[2])} onClick=${() => setTimeout(close)}>${format[1]}</a>`
              : html`<button type="button" class="plain" disabled=${bytes !== undefined}
                onClick=${() => start(format)}>${format[1]}</button>`
          }</li>`,
      )}
      ${error && html`<li class="problem" role="alert">It broke off: ${error}</li>`}
      <li class="hint">All messages that are found, however many.${
        !isPlain() && !window.showSaveFilePicker
          ? ' With a token this browser keeps the file in memory until it is complete: for gigabytes take curl.'
          : ''
      }</li>
    </ul>`}
  <//>`;
}
