// The hosts of a job as lanes: how much each said when, and when it said what was unusual.

import { Component, html } from '../../vendor/preact-htm.js';
import { ask, isAborted } from '../api.js';
import { escaped, visible } from '../escapes.js';
import { expand } from '../host_lists.js';
import { showShort } from '../moments.js';
import { showNumber } from '../numbers.js';
import { setState, DEFAULTS, getState } from '../url_state.js';
import { expressionOf, messagesOf } from '../templates.js';
import { msOf, NodeLink } from './words.js';

/** Lanes before somebody wants all of them, and at most. */
const FIRST = 32;
const MOST = 1000;
const BUCKETS = 160;
/** Seconds that are shown behind the end, in which things are said about it. */
const BEHIND = 60;

/** Props: `found` (the answer about the job), `colours` (by template), `isUtc`. */
export class JobLanes extends Component {
  constructor() {
    super();
    this.state = { said: new Map(), marks: new Map(), error: null, isWhole: false, isRunning: true };
  }

  componentDidMount() {
    this.load();
  }

  componentDidUpdate(before) {
    if (before.found !== this.props.found) this.load();
  }

  componentWillUnmount() {
    this.controller?.abort();
  }

  /** First how much was said, then each template, two at a time. */
  async load() {
    this.controller?.abort();
    const { signal } = (this.controller = new AbortController());
    const { found, colours } = this.props;
    this.setState({ said: new Map(), marks: new Map(), error: null, isRunning: true });
    const rows = [...colours.keys()].map((template) => rowOf(found, template));
    const one = async (more, keep) => keep(await ask('v1/histogram', [...this.question(), ...more], { signal }));
    const marks = new Map();
    try {
      await one([], (answer) => this.setState({ said: byHost(answer), step: parseFloat(answer.step) }));
      const some = async () => {
        while (rows.length) {
          const row = rows.shift();
          await one(
            [
              ['regex', expressionOf(row.template)],
              ['name', row.name],
            ],
            (answer) => this.setState({ marks: new Map(marks.set(row.template, byHost(answer))) }),
          );
        }
      };
      await Promise.all([some(), some()]);
    } catch (error) {
      if (isAborted(error)) return;
      this.setState({ error });
    }
    this.setState({ isRunning: false });
  }

  question() {
    const { job, hosts } = this.props.found;
    const [from, to] = spanOf(job);
    return [
      ...[
        ['cluster', job.cluster],
        ['host', hosts.list],
        ['from', String(from)],
        ['to', String(to)],
      ],
      ...[
        ['by', 'host'],
        ['top', MOST],
        ['buckets', BUCKETS],
      ],
    ];
  }

  /** The hosts in the order of their names; of many, first those that have something to show. */
  hosts() {
    const { hosts } = this.props.found;
    const all = expand(hosts.list, MOST);
    if (this.state.isWhole || all.length <= FIRST) return all;
    const isMarked = (host) => [...this.state.marks.values()].some((each) => each.has(host));
    const marked = all.filter(isMarked);
    return [...marked, ...all.filter((host) => !isMarked(host))].slice(0, FIRST);
  }

  render({ found, colours, isUtc }, { said, marks, error, isWhole, isRunning }) {
    const { job, hosts } = found;
    if (!hosts.count) return null;
    const [from, to] = spanOf(job);
    const most = Math.max(1, ...[...said.values()].flatMap((points) => points.map(([, count]) => count)));
    const shown = this.hosts();
    return html`<section aria-labelledby="lanes-title" aria-busy=${isRunning}>
      <h2 id="lanes-title">Its hosts</h2>
      ${error && html`<p class="problem" role="alert">Not drawn: ${error.message}</p>`}
      <ul class="lane-names">
        ${[...colours].map(([template, colour]) => html`<li><i class="swatch" style=${{ background: `var(${colour})` }}></i>
          <span title=${escaped(template)}>${visible(template)}</span></li>`)}
        <li class="hint"><i class="swatch plain-mark"></i> all else</li>
      </ul>
      <table class="lanes"><caption class="unseen">Hosts of the job, and when they said something</caption>
        <tbody>${shown.map((host) => html`<tr key=${host}>
          <th scope="row"><${NodeLink} host=${host} cluster=${job.cluster} when=${job.end ?? job.start} /></th>
          <td><${Lane} host=${host} said=${said.get(host)} marks=${marks} colours=${colours} from=${from} to=${to}
            step=${this.state.step} most=${most} onChoose=${(template, time) => this.choose(host, template, time)}
            phases=${found.phases ?? []} /></td>
        </tr>`)}
        <tr class="axis"><th scope="row" class="hint">${showShort(from, isUtc).slice(0, 10)}</th><td><${Axis} from=${from} to=${to} isUtc=${isUtc} /></td></tr></tbody>
      </table>
      ${hosts.count > FIRST && html`<button type="button" aria-expanded=${isWhole}
        onClick=${() => this.setState({ isWhole: !isWhole })}>${isWhole ? 'fewer hosts' : `all ${showNumber(Math.min(MOST, hosts.count))} hosts`}</button>`}
    </section>`;
  }

  /** The messages of a mark. */
  choose(host, template, seconds) {
    const { found } = this.props;
    const from = new Date(seconds * 1000).toISOString();
    const to = new Date((seconds + this.state.step) * 1000).toISOString();
    const row = template && rowOf(found, template);
    const change = messagesOf({ template, name: row?.name, hosts: host, cluster: found.job.cluster, from, to });
    setState({ ...DEFAULTS, utc: getState().utc, ...change });
  }
}

const rowOf = (found, template) => [...found.unusual, ...found.timeline].find((row) => row.template === template);
const byHost = (answer) =>
  new Map(answer.series.filter((each) => each.by?.host).map((each) => [each.by.host, each.points]));

/** From when to when the lanes go, in milliseconds. */
function spanOf({ start, end }) {
  return [msOf(start), end ? msOf(end) + BEHIND * 1000 : Date.now()];
}

/** What one host said. A mark is clicked; with keys the rows of the tables lead to the same. */
function Lane({ host, said, marks, colours, from, to, step, most, onChoose, phases }) {
  const place = (seconds) => Math.max(0, (100 * (seconds * 1000 - from)) / (to - from));
  const width = step ? Math.max(0.25, (100 * step * 1000) / (to - from)) : 0;
  const count = (points) => (points ?? []).reduce((sum, point) => sum + point[1], 0);
  const names = [...marks].filter(([, each]) => each.has(host));
  const words = names.map(([template, each]) => `${count(each.get(host))} of ${template}`);
  return html`<div class="lane" role="img" aria-label=${escaped(`${host}: ${count(said)} messages${words.length ? `, ${words.join(', ')}` : ''}`)}>
    ${phases.map((time) => html`<s style=${{ left: `${place(msOf(time) / 1000)}%` }} title="its pace changed"></s>`)}
    ${(said ?? []).map(([at, number]) => html`<i class="said" style=${{ left: `${place(at)}%`, width: `${width}%`, opacity: 0.25 + (0.5 * number) / most }}
      onClick=${() => onChoose('', at)}></i>`)}
    ${names.flatMap(([template, each]) => each.get(host).map(([at, number]) => html`<i class="mark"
      style=${{ left: `${place(at)}%`, width: `${width}%`, background: `var(${colours.get(template)})` }}
      title=${escaped(`${number} × ${template}`)} onClick=${() => onChoose(template, at)}></i>`))}
  </div>`;
}

const TICKS = 5;

function Axis({ from, to, isUtc }) {
  const isLong = to - from > 86_400_000;
  return html`<div class="ticks" aria-hidden="true">${Array.from({ length: TICKS }, (_, place) => {
    const text = showShort(Math.round((from + ((to - from) * place) / (TICKS - 1)) / 1000) * 1000 + 0.5, isUtc);
    return html`<span>${isLong ? text.slice(5, 16) : text.slice(11, 16)}</span>`;
  })}</div>`;
}
