// The messages of a search: a virtual list, the row that is looked at, and those that are laid out.

import { Component, html } from '../vendor/preact-htm.js';
import { valueOf } from './labels.js';
import { MessageRow } from './message_row.js';
import { VirtualList } from './virtual_list.js';

/** Pixels: a row in one line, wrapped, and in two lines on a phone. */
const HEIGHTS = { compact: 22, wrap: 40, phone: 44 };
/** Messages by which the columns are made wide enough, and characters that a column has at most. */
const SAMPLE = 300;
const WIDEST = 28;

/**
 * Props: `source` (`count`, `base`, `message(number)`), `state`, `found`, `version` (of the search: rows are
 * others), `actions`, `follows`, `onEnd`, `onScrolled`, `end` (shown behind the last row), `label`.
 */
export class MessageList extends Component {
  constructor() {
    super();
    this.state = { current: null, open: new Map() };
    this.list = null;
    this.toggle = this.toggle.bind(this);
    this.onKeyDown = this.onKeyDown.bind(this);
    this.row = this.row.bind(this);
  }

  componentWillReceiveProps(next) {
    if (next.version !== this.props.version) this.setState({ current: null, open: new Map() });
  }

  /** Lay a message out, or not any more. */
  toggle(message, number) {
    const open = new Map(this.state.open);
    if (!open.delete(message.id)) open.set(message.id, number);
    this.setState({ open, current: number });
  }

  /** Go to the next row, or another one. */
  step(by) {
    const { source } = this.props;
    const base = source.base ?? 0;
    const last = base + source.count - 1;
    if (last < base) return;
    const from = this.state.current ?? (by > 0 ? base - 1 : base);
    this.goTo(Math.min(last, Math.max(base, from + by)));
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
    return current === null ? null : this.props.source.message(current);
  }

  onKeyDown(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const steps = { ArrowDown: 1, ArrowUp: -1 };
    if (!(event.key in steps) || event.target.closest('.detail')) return;
    event.preventDefault();
    this.step(steps[event.key]);
  }

  row(number) {
    const { source, state, found, actions } = this.props;
    const message = source.message(number);
    const { current, open } = this.state;
    return html`<${MessageRow}
      key=${number}
      message=${message}
      number=${number}
      state=${state}
      found=${found}
      isOpen=${Boolean(message && open.has(message.id))}
      isCurrent=${number === (current ?? source.base ?? 0)}
      actions=${{ ...actions, toggle: this.toggle }}
    />`;
  }

  /** How wide the columns are, by what some of the messages have. */
  columns() {
    const { source, state, version } = this.props;
    const base = source.base ?? 0;
    const key = `${version} ${state.cols} ${source.count > 0} ${base > 0}`;
    if (key !== this.columnsFor) {
      this.columnsFor = key;
      const widths = state.cols.map((label) => {
        let width = 4;
        for (let at = 0; at < Math.min(SAMPLE, source.count); at += 1) {
          const message = source.message(base + at);
          if (message) width = Math.max(width, valueOf(message, label).length);
        }
        return `${Math.min(width, WIDEST) + 1}ch`;
      });
      this.template = ['1.4rem', '24ch', ...widths, 'minmax(0, 1fr)'].join(' ');
    }
    return this.template;
  }

  render({ source, state, version, follows, onEnd, onScrolled, onRange, end, label }) {
    const isPhone = matchMedia('(max-width: 640px)').matches;
    const mode = isPhone ? 'phone' : state.wrap ? 'wrap' : 'compact';
    return html`<div class=${`message-list ${mode} ${state.wrap ? 'wrapped' : ''}`} style=${{ '--columns': this.columns() }}>
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

