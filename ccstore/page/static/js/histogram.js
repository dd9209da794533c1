// The histogram: how many messages by time; drag over it for a part of the time.

import { Component, html } from './preact.js';
import { escaped, visible } from './escapes.js';
import { called } from './labels.js';
import { filterBy } from './message_detail.js';
import { showShort, showTime, toState } from './moments.js';
import { colour, loadPlot, onScheme } from './plotting.js';
import { showNumber } from './numbers.js';
import { stacksOf } from './stacks.js';
import { setRange } from './time_range.js';
import { brushByTouch } from './touch_brush.js';
import { setState } from './url_state.js';

/** Pixels, on a phone as well. */
const HEIGHT = 112;
const LOW = 84;
const height = () => (matchMedia('(max-width: 640px)').matches ? LOW : HEIGHT);
const CHOICES = ['level', 'name', 'host', 'cluster', 'kind', ''];
/** Pixels: what is less was a click. */
const DRAGGED = 4;

/** Props: `counts` (of the search), `state`, `labels`: more that the messages can be divided by. */
export class Histogram extends Component {
  constructor() {
    super();
    this.state = { at: null, span: null, problem: '' };
  }

  componentDidMount() {
    this.watch = new ResizeObserver(() =>
      this.plot?.setSize({ width: this.place.clientWidth, height: height() }),
    );
    this.watch.observe(this.place);
    this.end = onScheme(() => this.draw(true));
    this.draw();
  }

  componentDidUpdate(before) {
    this.draw(before.state.utc !== this.props.state.utc);
  }

  componentWillUnmount() {
    this.watch.disconnect();
    this.end();
    this.plot?.destroy();
  }

  async draw(isForced = false) {
    const { histogram } = this.props.counts;
    if (!histogram.answer) this.empty();
    if (!histogram.answer || (histogram.answer === this.drawn && !isForced)) return;
    this.drawn = histogram.answer;
    this.stacks = this.stack(histogram);
    let Plot;
    try {
      Plot = await loadPlot();
    } catch (error) {
      this.setState({ problem: error.message });
      return;
    }
    if (histogram.answer !== this.drawn || !this.place) return;
    this.plot?.destroy();
    this.plot = null;
    this.place.replaceChildren();
    if (this.stacks.times.length) this.plot = new Plot(this.options(Plot), this.data(), this.place);
    this.setState({ at: null });
  }

  /** Nothing is drawn: there is no answer. */
  empty() {
    if (!this.drawn) return;
    this.plot?.destroy();
    this.plot = this.drawn = this.stacks = null;
    this.place.replaceChildren();
    this.setState({ at: null });
  }

  /** What is drawn of an answer: one wrong clock does not stretch a time that ends now. */
  stack({ answer, by, question }) {
    const now = Date.now() / 1000;
    const [begin, end] = [question.begin, question.end].map((ms) => (ms === null ? null : ms / 1000));
    const last = Math.min(end ?? now, now);
    // Where all of it is of the future, that is what somebody looks at.
    const isUpToNow = end === null && answer.series.some((each) => each.points.some(([at]) => at <= now));
    const stacks = stacksOf(answer, by, begin, Math.max(last, begin ?? last), isUpToNow ? now : Infinity);
    this.bounds = [begin ?? stacks.times[0], last];
    return stacks;
  }

  /** The highest stack first, so that those below are drawn over it. */
  data() {
    return [this.stacks.times, ...[...this.stacks.series].reverse().map((each) => each.tops)];
  }

  options(Plot) {
    const { state } = this.props;
    const bars = Plot.paths.bars({ align: 1, size: [1, 100], gap: 1 });
    const axis = {
      stroke: colour('--faint'),
      font: '11px system-ui, sans-serif',
      ticks: { stroke: colour('--line') },
    };
    const { step, times, series } = this.stacks;
    const isEmpty = !series.some((each) => each.total);
    const last = Math.max(this.bounds[1], times[times.length - 1] + step);
    const range = [Math.min(this.bounds[0], times[0] + (times.length > 1 ? step : 0)), last];
    return {
      width: this.place.clientWidth,
      height: height(),
      padding: [6, 24, 0, 0],
      legend: { show: false },
      cursor: {
        y: false,
        points: { show: false },
        drag: { x: true, y: false, setScale: false, dist: DRAGGED },
      },
      tzDate: state.utc ? (at) => Plot.tzDate(new Date(at * 1000), 'Etc/UTC') : (at) => new Date(at * 1000),
      scales: {
        x: { time: true, range: () => range },
        y: { range: (plot, low, high) => [0, Math.max(1, high * 1.05)] },
      },
      axes: [
        {
          ...axis,
          grid: { show: false },
          size: 26,
          space: (plot, at, low, high) => (high - low < 20 ? 90 : 60), // moments of a second are long words
          values: (plot, splits, at, space, increment) =>
            splits.map((each) => tick(each, increment, state.utc)),
        },
        {
          ...axis,
          size: 52,
          grid: { stroke: colour('--line'), width: 1 },
          splits: undefined,
          incrs: [1, 2, 5, 10, 20, 50]
            .flatMap((each) => [1, 100, 1e4, 1e6].map((by) => each * by))
            .sort((one, other) => one - other),
          // Nothing is counted where there is nothing.
          values: (plot, splits) => splits.map((each) => (isEmpty ? '' : short(each))),
          space: 28,
        },
      ],
      series: [
        {},
        ...[...this.stacks.series]
          .reverse()
          .map((each) => ({ fill: colour(each.colour), width: 0, paths: bars, points: { show: false } })),
      ],
      hooks: {
        setCursor: [(plot) => this.point(plot)],
        setSelect: [(plot) => this.brush(plot)],
        ready: [(plot) => this.listen(plot)],
      },
    };
  }

  /** By touch there is nothing that hovers: the span is told while it is dragged. */
  listenToTouch(plot) {
    const times = (places) => places.map((each) => plot.posToVal(each, 'x'));
    brushByTouch(plot, {
      onDrag: (...places) => this.setState({ span: times(places) }),
      onEnd: (...places) => {
        this.setState({ span: null });
        if (places.length) this.zoom(...times(places));
      },
      onTap: (left) => this.zoomToStep(plot, left),
    });
  }

  /** A click, which is no drag, is for the step below it. */
  listen(plot) {
    this.listenToTouch(plot);
    let down = null;
    plot.over.addEventListener('mousedown', (event) => (down = event.clientX));
    plot.over.addEventListener('click', (event) => {
      if (down === null || Math.abs(event.clientX - down) >= DRAGGED) return;
      this.zoomToStep(plot, plot.cursor.left);
    });
  }

  zoomToStep(plot, left) {
    const at = this.stepAt(plot, left);
    if (at !== null) this.zoom(this.stacks.times[at], this.stacks.times[at] + this.stacks.step);
  }

  /** The number of the step that is drawn so many pixels from the left. */
  stepAt(plot, left) {
    if (left < 0) return null;
    const { times, step } = this.stacks;
    const at = Math.floor((plot.posToVal(left, 'x') - times[0]) / step);
    return at >= 0 && at < times.length ? at : null;
  }

  point(plot) {
    const at = this.stepAt(plot, plot.cursor.left);
    if (at !== this.state.at) this.setState({ at });
  }

  brush(plot) {
    const { left, width } = plot.select;
    if (width < DRAGGED) return;
    this.zoom(plot.posToVal(left, 'x'), plot.posToVal(left + width, 'x'));
    plot.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
  }

  zoom(first, last) {
    // Whole seconds, where they are many.
    const unit = last - first > 10 ? 1000 : 1;
    const [begin, end] = [Math.floor((first * 1000) / unit) * unit, Math.ceil((last * 1000) / unit) * unit];
    setRange(toState(begin), toState(Math.max(end, begin + 1)));
  }

  render({ counts, state, labels }) {
    const { histogram } = counts;
    const isPlain = histogram.error && histogram.answer && !histogram.by;
    const said = isPlain
      ? `not by ${called(state.by)}, ${histogram.error.message}`
      : (histogram.error?.message ?? this.state.problem);
    return html`<section class="histogram" aria-label="Messages by time">
      <div class="legend">
        <label class="by">by
          <select value=${state.by} onChange=${(event) => setState({ by: event.target.value }, { replace: true })}>
            ${[...new Set([...CHOICES, ...labels, state.by])].map((label) => html`<option value=${label}>${label ? escaped(called(label)) : 'nothing'}</option>`)}
          </select>
        </label>
        ${this.legend(state)}
        ${this.later()}
        ${state.tail && counts.at && html`<span class="hint as-of">as of ${showTime(counts.at, state.utc).slice(11, 19)}</span>`}
      </div>
      <div class=${`plot ${histogram.isRunning ? 'old' : ''}`} role="img" aria-label=${this.said(histogram)}
        ref=${(element) => (this.place = element)}></div>
      ${said && html`<p class="problem">The histogram: ${said}</p>`}
    </section>`;
  }

  said({ answer, by }) {
    if (!answer) return 'Histogram';
    return `Histogram of ${answer.total} messages${by ? ` by ${called(by)}` : ''}; the time range says the same`;
  }

  /** How many are not drawn, as they are not yet. */
  later() {
    const count = this.stacks?.later;
    if (!count || !this.props.counts.histogram.answer) return null;
    const said = count === 1 ? '1 message has a time' : `${showNumber(count)} messages have a time`;
    return html`<button type="button" class="plain later" title="show these"
      onClick=${() => setRange(toState(Math.ceil(Date.now() / 1000) * 1000), '')}>${said} in the future</button>`;
  }

  legend(state) {
    const { answer, by } = this.props.counts.histogram;
    if (!answer || !this.stacks?.series.length || !this.drawn) return null;
    const { at, span } = this.state;
    const { times, series, step } = this.stacks;
    const ends = span ?? (at !== null && [times[at], times[at] + step]);
    return html`<ul>
      ${ends && html`<li class="when">${spanName(...ends, state.utc)}</li>`}
      ${series.map((each) => {
        const count = showNumber(at === null ? each.total : each.counts[at]);
        const inner = html`<i style=${{ background: `var(${each.colour})` }}></i><span class="name" title=${escaped(each.name)}>${visible(each.name)}</span> <b>${count}</b>`;
        return html`<li>${
          each.value === null
            ? html`<span>${inner}</span>`
            : html`<button type="button" class="plain" title="only these"
              aria-label=${escaped(`Only ${called(by)} ${each.name}, ${count} messages`)}
              onClick=${() => filterBy(by, each.value, false)}>${inner}</button>`
        }</li>`;
      })}
    </ul>`;
  }
}

/** From when to when; the day is said once if it is the same. */
function spanName(first, last, isUtc) {
  const [begin, end] = [first, last].map((at) => showShort(Math.round(at) * 1000, isUtc));
  return `${begin} – ${end.startsWith(begin.slice(0, 10)) ? end.slice(11) : end}`;
}

function short(value) {
  if (value >= 1e6) return `${value / 1e6}M`;
  return value >= 1000 ? `${value / 1000}k` : String(value);
}

/** A mark on the axis: the date where days count, else the time of the day. */
function tick(at, increment, isUtc) {
  const text = showShort(at * 1000, isUtc);
  if (increment >= 86_400 || text.endsWith(' 00:00')) return text.slice(5, 10);
  return increment < 1 ? text.slice(11) : text.slice(11, increment < 60 ? 19 : 16);
}
