// A list of which only the rows in sight are in the document. What is in sight never moves by itself.

import { Component, html } from './preact.js';
import { Heights } from './heights.js';
import { copyRows } from './selection.js';

/** Pixels beside what is seen that have rows, too. */
const BESIDE = 400;
/** Rows that a selection of text may keep in the document. */
const SELECTED = 3000;

/**
 * Props: `count` rows, of which the first has the number `base`; `row(number)` gives one as a component;
 * `estimate` is how high one is, about; `layout` changes when all heights do; `follows`: stay at the end;
 * `onEnd` is called when the last rows are near, `onRange(first, last, isAtEnd)` when others are in sight;
 * `label` is said of the list by screen readers; `tail` is shown behind the last row.
 */
export class VirtualList extends Component {
  constructor(props) {
    super(props);
    this.heights = new Heights(props.estimate);
    this.heights.clear(props.count);
    this.lowest = props.base ?? 0; // (`base` is Preact's)
    this.anchor = null; // the row at the top of what is seen, and how far it is scrolled over
    this.selected = null;
    this.noteSelection = this.noteSelection.bind(this);
    this.onScroll = this.onScroll.bind(this);
    this.onWheel = this.onWheel.bind(this);
  }

  componentDidMount() {
    document.addEventListener('selectionchange', this.noteSelection);
    this.watch = new ResizeObserver(() => this.forceUpdate());
    this.watch.observe(this.scroller);
    this.settle();
  }

  componentWillUnmount() {
    document.removeEventListener('selectionchange', this.noteSelection);
    this.watch.disconnect();
  }

  componentDidUpdate() {
    this.settle();
  }

  /** Bring the heights in line with what is to be shown now. */
  take(props) {
    const base = props.base ?? 0;
    if (props.layout !== this.layout || props.estimate !== this.heights.estimate || base < this.lowest) {
      this.layout = props.layout;
      this.heights.estimate = props.estimate;
      this.heights.clear(props.count);
      if (base < this.lowest) this.anchor = null;
    } else {
      if (base > this.lowest) this.heights.dropFront(Math.min(base - this.lowest, this.heights.count));
      this.heights.grow(props.count);
    }
    this.lowest = base;
  }

  /** The numbers, counted from the first, of the rows that are in the document: from, to (not included). */
  range() {
    const { heights, scroller } = this;
    const top = this.wantedTop();
    const seen = scroller?.clientHeight ?? 800;
    let from = heights.find(Math.max(0, top - BESIDE));
    let to = Math.min(heights.count, heights.find(top + seen + BESIDE) + 1);
    if (this.selected) {
      const [first, last] = this.selected.map((number) => number - this.lowest);
      if (first < from && first >= 0 && to - first < SELECTED) from = first;
      if (last >= to && last < heights.count && last - from < SELECTED) to = last + 1;
    }
    return [from, to];
  }

  wantedTop() {
    const { heights, scroller, anchor } = this;
    const seen = scroller?.clientHeight ?? 800;
    if (this.props.follows) return Math.max(0, heights.total - seen);
    if (anchor) return Math.max(0, heights.offset(Math.max(0, anchor.number - this.lowest)) + anchor.over);
    return scroller?.scrollTop ?? 0;
  }

  /** After a change: measure, and put what was in sight back where it was. */
  settle() {
    const { heights, scroller, rows } = this;
    let isNews = false;
    for (const row of rows.children) {
      const number = Number(row.dataset.row) - this.lowest;
      if (number >= 0 && number < heights.count && row.offsetHeight) {
        isNews = heights.set(number, row.offsetHeight) || isNews;
      }
    }
    if (isNews) {
      this.space.style.height = `${heights.total}px`;
      rows.style.transform = `translateY(${heights.offset(this.shown[0])}px)`;
    }
    const top = this.wantedTop();
    if (Math.abs(scroller.scrollTop - top) > 0.5) {
      this.expected = top;
      scroller.scrollTop = top;
    }
    if (isNews) {
      const [from, to] = this.range();
      if (from < this.shown[0] || to > this.shown[1]) this.forceUpdate();
    }
    this.tell();
  }

  tell() {
    const { heights, scroller, props } = this;
    const top = scroller.scrollTop;
    const isAtEnd = top + scroller.clientHeight >= heights.total - 4;
    const first = heights.find(top) + this.lowest;
    const last = heights.find(top + scroller.clientHeight) + this.lowest;
    props.onRange?.(first, last, isAtEnd);
    if (heights.total - top < scroller.clientHeight * 3) props.onEnd?.();
  }

  /** Who turns the wheel upwards reads, even if more came before the list has moved. */
  onWheel(event) {
    if (event.deltaY < 0 && this.props.follows) this.props.onScrolled?.(false);
  }

  onScroll() {
    const { heights, scroller } = this;
    if (!scroller) return; // it is gone, and the browser tells of what was before
    const top = scroller.scrollTop;
    const isOurs = this.expected !== undefined && Math.abs(this.expected - top) < 2;
    this.expected = undefined;
    const number = heights.find(top);
    this.anchor = top > 0 ? { number: number + this.lowest, over: top - heights.offset(number) } : null;
    if (!isOurs) this.props.onScrolled?.(top + scroller.clientHeight >= heights.total - 4);
    this.forceUpdate();
  }

  /** Bring a row into sight, if it is not. */
  show(number) {
    const { heights, scroller } = this;
    const index = number - this.lowest;
    const top = heights.offset(index);
    const bottom = heights.offset(index + 1);
    if (top < scroller.scrollTop) this.scrollTo(top);
    else if (bottom > scroller.scrollTop + scroller.clientHeight)
      this.scrollTo(bottom - scroller.clientHeight);
  }

  scrollTo(top) {
    this.anchor = null;
    this.scroller.scrollTop = top;
    this.onScroll();
  }

  noteSelection() {
    const selection = document.getSelection();
    const isOurs = selection && !selection.isCollapsed && this.rows?.contains(selection.anchorNode);
    if (!isOurs) {
      this.selected = null;
      return;
    }
    const ends = [selection.anchorNode, selection.focusNode]
      .map((node) => (node.nodeType === 1 ? node : node.parentElement)?.closest?.('[data-row]'))
      .filter((row) => row && this.rows.contains(row))
      .map((row) => Number(row.dataset.row));
    this.selected = ends.length ? [Math.min(...ends), Math.max(...ends)] : null;
  }

  render(props) {
    this.take(props);
    const [from, to] = (this.shown = this.range());
    const { heights, lowest } = this;
    const rows = [];
    for (let index = from; index < to; index += 1) rows.push(props.row(index + lowest));
    return html`<div
      class="scroller ${props.class ?? ''}"
      ref=${(element) => (this.scroller = element)}
      onScroll=${this.onScroll}
      onWheel=${this.onWheel}
      onCopy=${copyRows}
      onKeyDown=${props.onKeyDown}
      tabindex="0"
      role="region"
      aria-label=${props.label}
    >
      <div class="space" ref=${(element) => (this.space = element)} style=${{ height: `${heights.total}px` }}>
        <div
          class="rows"
          role="list"
          ref=${(element) => (this.rows = element)}
          style=${{ transform: `translateY(${heights.offset(from)}px)` }}
        >
          ${rows}
        </div>
      </div>
      ${props.tail}
    </div>`;
  }
}
