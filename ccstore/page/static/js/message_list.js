// The messages of a search: a virtual list, the row that is looked at, and those that are laid out.

import { Component, html } from './preact.js';
import { hits } from './marking.js';
import { columnsFor } from './columns.js';
import { GapRow } from './gap_row.js';
import { MessageRow } from './message_row.js';
import { setState } from './url_state.js';
import { VirtualList } from './virtual_list.js';

/** Pixels: a row in one line, wrapped, and in two lines on a phone. */
const HEIGHTS = { compact: 22, wrap: 40, phone: 44 };

/** Rows that are looked at for the next hit. */
const MOST_LOOKED = 10_000;

/**
 * Props: `source` (`count`, `base`, `message(number)`), `state`, `found`, `version` (of the search: rows are
 * others), `actions`, `follows`, `onEnd`, `onScrolled(isAtEnd)`, `end` (shown behind the last row), `label`,
 * `gapProps()`: what rows that are gaps are given besides.
 */
export class MessageList extends Component {
  constructor() {
    super();
    this.state = { current: null };
    this.list = null;
    this.toggle = this.toggle.bind(this);
    this.onKeyDown = this.onKeyDown.bind(this);
    this.row = this.row.bind(this);
  }

  componentWillReceiveProps(next) {
    if (next.version !== this.props.version) this.setState({ current: null });
  }

  /** Lay a message out, or not any more. */
  toggle(message, number) {
    const { open } = this.props.state;
    const others = open.filter((id) => id !== message.id);
    const isOpened = others.length === open.length;
    if (isOpened) this.props.onScrolled?.(false);
    this.setState({ current: number });
    setState({ open: isOpened ? [...open, message.id] : others }, { replace: true });
  }

  /** Go to the next row, or another one; that which can have the focus is the first if none was chosen. */
  step(by) {
    const { source } = this.props;
    const base = source.base ?? 0;
    const last = base + source.count - 1;
    if (last < base) return;
    const from = this.state.current ?? base;
    this.goTo(Math.min(last, Math.max(base, from + by)));
  }

  /** Go to the next hit: the next row, but in a tail the next in which something is marked. */
  next(by) {
    const { source, found } = this.props;
    const base = source.base ?? 0;
    let number = this.state.current ?? (by > 0 ? base - 1 : base + source.count);
    for (let looked = 0; looked < MOST_LOOKED; looked += 1) {
      number += by;
      if (number < base || number >= base + source.count) return;
      const message = source.message(number);
      if (message && !message.gap && (!found.length || hits(message.text, found).length)) {
        this.goTo(number);
        return;
      }
    }
  }

  goTo(number) {
    this.props.onScrolled?.(false);
    this.setState({ current: number }, () => {
      this.list.show(number);
      this.list.rows.querySelector(`[data-row="${number}"] .fold`)?.focus({ preventScroll: true });
    });
  }

  /** The message of the row that is looked at. */
  get message() {
    const { current } = this.state;
    const message = current === null ? null : this.props.source.message(current);
    return message?.gap ? null : message;
  }

  /** The messages that are here. */
  get held() {
    return this.props.source.held;
  }

  onKeyDown(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const steps = { ArrowDown: 1, ArrowUp: -1 };
    if (!(event.key in steps) || event.target.closest('.detail')) return;
    event.preventDefault();
    this.step(steps[event.key]);
  }

  row(number) {
    const { source, state, found, actions, gapProps } = this.props;
    const message = source.message(number);
    const { current } = this.state;
    if (message?.gap) {
      return html`<${GapRow} key=${number} gap=${message.gap} number=${number} state=${state} found=${found}
        ...${gapProps()} />`;
    }
    return html`<${MessageRow}
      key=${number}
      message=${message}
      number=${number}
      state=${state}
      found=${found}
      isOpen=${Boolean(message && state.open.includes(message.id))}
      isCurrent=${number === (current ?? source.base ?? 0)}
      actions=${{ ...actions, toggle: this.toggle }}
    />`;
  }

  columns() {
    const { source, state, version } = this.props;
    const key = `${version} ${state.cols} ${source.count > 0} ${source.base > 0}`;
    if (key !== this.columnsKey) {
      this.columnsKey = key;
      this.template = columnsFor(source.held, state.cols);
    }
    return this.template;
  }

  render({ source, state, version, follows, onEnd, onScrolled, onRange, end, label }) {
    const isPhone = matchMedia('(max-width: 640px)').matches;
    const mode = isPhone ? 'phone' : state.wrap ? 'wrap' : 'compact';
    return html`<div class=${`message-list ${mode} ${state.wrap ? 'wrapped' : ''}`}
      style=${{ '--columns': this.columns() }}>
      <${VirtualList}
        ref=${(list) => (this.list = list)}
        key=${version}
        count=${source.count}
        base=${source.base ?? 0}
        row=${this.row}
        estimate=${HEIGHTS[mode]}
        layout=${`${mode} ${state.cols} ${state.wrap}`}
        follows=${follows}
        onEnd=${onEnd}
        onScrolled=${onScrolled}
        onRange=${onRange}
        onKeyDown=${this.onKeyDown}
        label=${label}
        tail=${end}
      />
    </div>`;
  }
}
