// The hosts of a job as lanes: how much each said when, and when it said what was unusual.

import { html, useMemo, useState } from '../preact.js';
import { useAnswer } from '../answers.js';
import { escaped, visible } from '../escapes.js';
import { expand } from '../host_lists.js';
import { showShort } from '../moments.js';
import { showNumber } from '../numbers.js';
import { messagesOf } from '../templates.js';
import { DEFAULTS, getState, setState } from '../url_state.js';
import { msOf, NodeLink } from './words.js';

/** Lanes before somebody wants all of them, and at most. */
const FIRST = 32;
const MOST = 1000;
const BUCKETS = 240;
/** Seconds that are shown behind the end, in which things are said about it. */
const BEHIND = 60;
/** Seconds that a place of a template is long. */
const PLACE = 300;

/** Props: `found` (the answer about the job), `colours` (by template), `isUtc`. */
export function JobLanes({ found, colours, isUtc }) {
  const { job, hosts } = found;
  const [isWhole, setWhole] = useState(false);
  const [from, to] = useMemo(() => spanOf(job), [found]);
  const { answer, error, isRunning } = useAnswer(hosts.count && 'v1/histogram', [
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
  ]);
  const marks = useMemo(() => marksOf(found, colours), [found, colours]);
  if (!hosts.count) return null;
  const said = new Map((answer?.series ?? []).filter((each) => each.by?.host).map((each) => [each.by.host, each]));
  const most = Math.max(1, ...[...said.values()].flatMap((each) => each.points.map(([, count]) => count)));
  const left = found.timeline.reduce((sum, row) => sum + (colours.has(row.template) ? row.more_places : 0), 0);
  const lane = { from, to, most, step: parseFloat(answer?.step ?? '0'), phases: found.phases };
  const choose = (host, row, at, seconds) => {
    const [first, last] = [at, at + seconds].map((each) => new Date(each * 1000).toISOString());
    const question = { template: row?.template, name: row?.name, hosts: host, cluster: job.cluster };
    setState({ ...DEFAULTS, utc: getState().utc, ...messagesOf({ ...question, from: first, to: last }) });
  };
  return html`<section aria-labelledby="lanes-title" aria-busy=${isRunning}>
    <h2 id="lanes-title">Its hosts</h2>
    ${error && html`<p class="problem" role="alert">How much they said is not drawn: ${error.message}</p>`}
    <ul class="lane-names">
      ${[...colours].map(([template, colour]) => html`<li><i class="swatch" style=${{ background: `var(${colour})` }}></i>
        <span title=${escaped(template)}>${visible(template)}</span></li>`)}
      <li class="hint"><i class="swatch plain-mark"></i> all else</li>
    </ul>
    <table class="lanes"><caption class="unseen">Hosts of the job, and when they said something</caption>
      <tbody>${shownHosts(hosts, marks, isWhole).map((host) => html`<tr key=${host}>
        <th scope="row"><${NodeLink} host=${host} cluster=${job.cluster} when=${job.end ?? job.start} /></th>
        <td><${Lane} ...${lane} host=${host} said=${said.get(host)} marks=${marks.get(host) ?? []} onChoose=${choose} /></td>
      </tr>`)}
      <tr class="axis"><th scope="row" class="hint">${showShort(from, isUtc).slice(0, 10)}</th><td><${Axis} from=${from} to=${to} isUtc=${isUtc} /></td></tr></tbody>
    </table>
    ${left > 0 && html`<p class="hint">${showNumber(left)} more places of these templates are not marked.</p>`}
    ${hosts.count > FIRST && html`<button type="button" aria-expanded=${isWhole}
      onClick=${() => setWhole(!isWhole)}>${isWhole ? 'fewer hosts' : `all ${showNumber(Math.min(MOST, hosts.count))} hosts`}</button>`}
    ${hosts.count > MOST && html` <span class="hint">the first ${showNumber(MOST)} of ${showNumber(hosts.count)}</span>`}
  </section>`;
}

/** From when to when the lanes go, in milliseconds. */
function spanOf({ start, end }) {
  return [msOf(start), end ? msOf(end) + BEHIND * 1000 : Date.now()];
}

/** By host: where the templates with a colour are, as `{row, colour, at, count}`. */
function marksOf(found, colours) {
  const marks = new Map();
  for (const row of found.timeline) {
    const colour = colours.get(row.template);
    for (const [host, at, count] of colour ? row.places : []) {
      marks.set(host, [...(marks.get(host) ?? []), { row, colour, at, count }]);
    }
  }
  return marks;
}

/** The hosts in the order of their names; of many, first those that have something to show. */
function shownHosts(hosts, marks, isWhole) {
  const all = expand(hosts.list, MOST);
  if (isWhole || all.length <= FIRST) return all;
  return [...all.filter((host) => marks.has(host)), ...all.filter((host) => !marks.has(host))].slice(0, FIRST);
}

/** What one host said. A mark is clicked; with keys the rows of the tables lead to the same. */
function Lane({ host, said, marks, from, to, step, most, phases, onChoose }) {
  const whole = (to - from) / 1000;
  const begin = (seconds) => Math.max(0, (100 * (seconds - from / 1000)) / whole);
  const box = (at, seconds) => ({ left: `${begin(at)}%`, width: `${Math.max(0.25, begin(at + seconds) - begin(at))}%` });
  const counts = new Map();
  for (const { row, count } of marks) counts.set(row.template, (counts.get(row.template) ?? 0) + count);
  const words = [...counts].map(([template, count]) => `${count} of ${template}`);
  return html`<div class="lane" role="img" aria-label=${escaped([`${host}: ${said?.total ?? 0} messages`, ...words].join(', '))}>
    ${phases.map((time) => html`<s style=${{ left: `${begin(msOf(time) / 1000)}%` }} title="its pace changed"></s>`)}
    ${(said?.points ?? []).map(([at, count]) => html`<i class="said" style=${{ ...box(at, step), opacity: 0.25 + (0.5 * count) / most }}
      onClick=${() => onChoose(host, null, at, step)}></i>`)}
    ${marks.map(({ row, colour, at, count }) => html`<i class="mark" style=${{ ...box(at, PLACE), background: `var(${colour})` }}
      title=${escaped(`${count} × ${row.template}`)} onClick=${() => onChoose(host, row, at, PLACE)}></i>`)}
  </div>`;
}

const TICKS = 5;

function Axis({ from, to, isUtc }) {
  const isLong = to - from > 86_400_000;
  return html`<div class="ticks" aria-hidden="true">${Array.from({ length: TICKS }, (_, place) => {
    const text = showShort(from + ((to - from) * place) / (TICKS - 1) + 0.5, isUtc);
    return html`<span>${isLong ? text.slice(5, 16) : text.slice(11, 16)}</span>`;
  })}</div>`;
}
