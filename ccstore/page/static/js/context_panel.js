// What stands around a message, beside the list; goes on in both directions.

import { Component, html } from './preact.js';
import { ask, isAborted } from './api.js';
import { columnsFor } from './columns.js';
import { called } from './labels.js';
import { MessageRow } from './message_row.js';
import { offsetAt, showTime, toMilliseconds } from './moments.js';
import { questionOf } from './question.js';
import { copyRows } from './selection.js';
import { setState } from './url_state.js';

const AROUND = 20;
const MORE = 50;
/** Labels in which what is shown is like the message. */
const CHOICES = ['host', 'host,name', 'cluster', ''];
const SAID = {
  host: 'of the same host',
  'host,name': 'of the same host and name',
  cluster: 'of the same cluster',
  '': 'of everything',
};

/** Props: `state`, `found`, `actions`. */
export class ContextPanel extends Component {
  constructor() {
    super();
    this.state = { messages: null, error: null, open: null, isLoading: false };
  }

  componentDidMount() {
    this.load();
    this.heading.focus({ preventScroll: true });
  }

  componentDidUpdate(before) {
    const { state } = this.props;
    const names = ['m', 'same', 'within'];
    if (names.some((name) => state[name] !== before.state[name])) this.load();
    if (this.keep !== undefined) {
      // What is put above must not move what is read.
      this.scroller.scrollTop += this.scroller.scrollHeight - this.keep;
      this.keep = undefined;
    }
  }

  componentWillUnmount() {
    this.controller?.abort();
  }

  parameters() {
    const { state } = this.props;
    let filters = [];
    if (state.within) {
      filters = questionOf({ ...state, from: '', to: '' }).parameters.filter(([name]) => name !== 'from');
    }
    return [...filters, ...(state.same ? [['same', state.same]] : [])];
  }

  async ask(id, before, after) {
    this.controller?.abort();
    const { signal } = (this.controller = new AbortController());
    this.setState({ isLoading: true, error: null });
    try {
      const path = `v1/messages/${encodeURIComponent(id)}/context`;
      return await ask(path, [...this.parameters(), ['before', before], ['after', after]], { signal });
    } catch (error) {
      if (!isAborted(error)) this.setState({ isLoading: false, error });
      return null;
    }
  }

  async load() {
    const found = await this.ask(this.props.state.m, AROUND, AROUND);
    if (!found) return;
    const { messages, place, is_first: isFirst, is_last: isLast } = found;
    const said = messages[place];
    this.setState({ messages, isFirst, isLast, isLoading: false, open: said.id, said }, () => {
      // (scrollIntoView would move what is around the panel as well.)
      const asked = this.scroller?.querySelector('.asked');
      if (asked) this.scroller.scrollTop = asked.offsetTop - this.scroller.clientHeight / 3;
    });
  }

  async earlier() {
    const found = await this.ask(this.state.messages[0].id, MORE, 0);
    if (!found) return;
    this.keep = this.scroller.scrollHeight;
    this.setState(({ messages }) => ({
      messages: [...found.messages.slice(0, found.place), ...messages],
      isFirst: found.is_first,
      isLoading: false,
    }));
  }

  async later() {
    const { messages } = this.state;
    const found = await this.ask(messages[messages.length - 1].id, 0, MORE);
    if (!found) return;
    this.setState({
      messages: [...messages, ...found.messages.slice(found.place + 1)],
      isLast: found.is_last,
      isLoading: false,
    });
  }

  /** Go to the next row in which something is marked, or that which was asked for. */
  next(by) {
    const rows = [...this.scroller.querySelectorAll('.row')].filter(
      (row) => row.querySelector('.line mark') || row.closest('.asked'),
    );
    const at = rows.findIndex((row) => row.contains(document.activeElement));
    const next = rows[at < 0 ? (by > 0 ? 0 : rows.length - 1) : (at + by + rows.length) % rows.length];
    if (!next) return;
    const { scroller } = this;
    const top = next.offsetTop;
    if (top < scroller.scrollTop) scroller.scrollTop = top;
    else scroller.scrollTop = Math.max(scroller.scrollTop, top + next.offsetHeight - scroller.clientHeight);
    next.querySelector('.fold').focus({ preventScroll: true });
  }

  close() {
    setState({ m: '' });
    document.querySelector('.message-list .row.current .fold')?.focus();
  }

  render({ state, found, actions }, { messages, error, open, isFirst, isLast, isLoading, said }) {
    const toggle = (message) => this.setState({ open: open === message.id ? null : message.id });
    return html`<section aria-labelledby="context-title" aria-busy=${isLoading}
      onKeyDown=${(event) => event.key === 'Escape' && this.close()}
        class=${state.wrap ? 'context wrapped' : 'context'}>
      <header>
        <h2 id="context-title" tabindex="-1" ref=${(element) => (this.heading = element)}>
          ${said ? `Around ${showTime(toMilliseconds(said.time_ns), state.utc)} ${offsetAt(toMilliseconds(said.time_ns), state.utc)}` : 'A message and what is around it'}</h2>
        <button type="button" class="plain" aria-label="Close" onClick=${() => this.close()}>×</button>
        <label>show <select value=${state.same}
          onChange=${(event) => setState({ same: event.target.value }, { replace: true })}>
          ${[...new Set([...CHOICES, state.same])].map((each) => html`<option
            value=${each}>${SAID[each] ?? each.split(',').map(called).join(', ')}</option>`)}
        </select></label>
        <label><input type="checkbox" checked=${state.within}
          onChange=${(event) => setState({ within: event.target.checked }, { replace: true })} /> only what search and filters find</label>
      </header>
      ${error && html`<p class="sentence problem"
        role="alert">${error.kind === 'missing' ? 'This message is not, or no longer, in the store. It may have expired.' : error.message}</p>`}
      <div class="scroller" tabindex="0" role="region" aria-label="Messages around it" onCopy=${copyRows}
        ref=${(element) => (this.scroller = element)}
        style=${{ '--columns': columnsFor(messages ?? [], state.cols) }}>
        ${
          messages &&
          html`
          <p class="end">${isFirst ? 'Nothing before.' : html`<button type="button" disabled=${isLoading}
            onClick=${() => this.earlier()}>earlier</button>`}</p>
          <div role="list">${messages.map(
            (message, number) => html`<div key=${message.id} role="presentation"
            class=${message.id === said?.id ? 'asked' : ''}>
            <${MessageRow} message=${message} number=${number} state=${state} found=${found}
              isOpen=${open === message.id}
              isCurrent=${true} actions=${{ ...actions, toggle }} /></div>`,
          )}</div>
          <p class="end">${isLast ? 'Nothing behind.' : html`<button type="button" disabled=${isLoading}
            onClick=${() => this.later()}>later</button>`}</p>`
        }
      </div>
    </section>`;
  }
}
