// One plot of the last hour.

import { Component, html } from '../preact.js';
import { colour, loadPlot, onScheme } from '../plotting.js';
import { clock } from './moments_here.js';

const HEIGHT = 130;
/** Seconds that a plot spans at least. */
const LEAST = 300;

/**
 * Props: `title`, `times` (seconds), `series` (a list of `{name, colour, values}`; the colour is the name of one of
 * the style sheets), `show` (a value as text), `isUtc`.
 */
export class Plot extends Component {
  constructor() {
    super();
    this.state = { at: null, problem: '' };
  }

  componentDidMount() {
    this.watch = new ResizeObserver(() => this.plot?.setSize({ width: this.place.clientWidth, height: HEIGHT }));
    this.watch.observe(this.place);
    this.end = onScheme(() => this.begin());
    this.begin();
  }

  componentDidUpdate(before) {
    const { times, isUtc } = this.props;
    if (before.isUtc !== isUtc) this.begin();
    else if (before.times !== times || before.series !== this.props.series) this.plot?.setData(this.data());
  }

  componentWillUnmount() {
    this.isGone = true;
    this.watch.disconnect();
    this.end();
    this.plot?.destroy();
  }

  async begin() {
    let Drawn;
    try {
      Drawn = await loadPlot();
    } catch (error) {
      this.setState({ problem: error.message });
      return;
    }
    if (this.isGone) return;
    this.plot?.destroy();
    this.plot = new Drawn(this.options(Drawn), this.data(), this.place);
  }

  data() {
    return [this.props.times, ...this.props.series.map((each) => each.values)];
  }

  options(Drawn) {
    const { series, show, isUtc } = this.props;
    const axis = { stroke: colour('--faint'), font: '11px system-ui, sans-serif', ticks: { stroke: colour('--line') } };
    return {
      width: this.place.clientWidth,
      height: HEIGHT,
      padding: [8, 8, 0, 0],
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, points: { size: 6 } },
      tzDate: isUtc ? (at) => Drawn.tzDate(new Date(at * 1000), 'Etc/UTC') : (at) => new Date(at * 1000),
      scales: {
        x: { time: true, range: () => spanOf(this.props.times) },
        y: { range: (plot, low, high) => [0, high > 0 ? high * 1.08 : 1] },
      },
      axes: [
        { ...axis, grid: { show: false }, size: 24, values: (plot, splits) => splits.map((each) => clock(each * 1000, this.props.isUtc).slice(0, 5)) },
        { ...axis, size: 58, space: 32, grid: { stroke: colour('--line'), width: 1 }, values: (plot, splits) => splits.map((each) => (each ? show(each) : '0')) },
      ],
      series: [{}, ...series.map((each, place) => ({
        stroke: colour(each.colour), width: 1.5, points: { show: false },
        ...(place === 0 ? { fill: `${colour(each.colour)}22` } : {}),
      }))],
      hooks: { setCursor: [(plot) => this.point(plot)] },
    };
  }

  point(plot) {
    const at = plot.cursor.idx ?? null;
    if (at !== this.state.at) this.setState({ at });
  }

  render({ title, times, series, show, isUtc }, { at, problem }) {
    const place = at === null || at >= times.length ? times.length - 1 : at;
    const said = series.map((each) => `${each.name} ${show(each.values[place])}`).join(', ');
    return html`<figure class="curve">
      <figcaption><h3>${title}</h3>
        <ul>${series.map((each) => html`<li><i style=${{ background: `var(${each.colour})` }}></i>${each.name} <b>${place < 0 ? '–' : show(each.values[place])}</b></li>`)}
          <li class="when">${place < 0 ? '' : clock(times[place] * 1000, isUtc)}</li></ul>
      </figcaption>
      <div class="canvas" role="img" aria-label=${place < 0 ? `${title}: nothing yet` : `${title}, at last: ${said}`}
        ref=${(element) => (this.place = element ?? this.place)}></div>
      ${problem && html`<p class="problem">${problem}</p>`}
    </figure>`;
  }
}

function spanOf(times) {
  const last = times[times.length - 1] ?? Date.now() / 1000;
  return [Math.min(last - LEAST, times[0] ?? last), last];
}
