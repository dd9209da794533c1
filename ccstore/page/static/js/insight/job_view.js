// The screen about one job: what it was, what was unusual in it, and what was said on its hosts.

import { html, useMemo } from '../preact.js';
import { useAnswer } from '../answers.js';
import { escaped, visible } from '../escapes.js';
import { showNumber } from '../numbers.js';
import { showCount } from '../store/figures.js';
import { messagesOf } from '../templates.js';
import { setState } from '../url_state.js';
import { ViewLink } from '../view_link.js';
import { CauseLinks } from './asked_about.js';
import { Finder } from './finder.js';
import { JobLanes } from './job_lanes.js';
import { JobTable, RecentJobs } from './job_table.js';
import { Swatch, Template, TemplateTable, ToMessages } from './template_rows.js';
import { Trouble } from './trouble.js';
import { at, bound, Hosts, JobLink, stateClass, took } from './words.js';

/** Templates that have a colour in the lanes. */
const COLOURS = 8;
/** Seconds before the job, since when is looked for more of what was unusual. */
const LOOKED_BACK = 3 * 86_400;

export function JobView({ state }) {
  const path = state.job && `v1/jobs/${encodeURIComponent(state.of || '*')}/${encodeURIComponent(state.job)}`;
  const { answer, error, isRunning, again } = useAnswer(path, [
    ...(state.run ? [['start', state.run]] : []),
    ...(state.all ? [['all', 'true']] : []),
  ]);
  return html`<div class="insight" tabindex="0" role="region" aria-label="A job" aria-busy=${isRunning}>
    <${Finder} what="job" label="Job" hint="4711, 12_3" state=${state} />
    ${!state.job && html`<${RecentJobs} state=${state} />`}
    ${isRunning && html`<p class="sentence hint" role="status">Looking at what was said on its hosts …</p>`}
    ${error && html`<${Trouble} error=${error} state=${state} what="job" onAgain=${again} />`}
    ${answer && html`<${Job} found=${answer} state=${state} />`}
  </div>`;
}

const ENDINGS = {
  running: 'runs still',
  lost: 'no event tells of its end: this is that of its walltime',
  restarted: 'then it began again',
};

function Job({ found, state }) {
  const { job, hosts, timeline, unusual, hidden, runs, cut } = found;
  const colours = useMemo(() => coloursOf(unusual, timeline), [found]);
  const facts = [
    ['began', at(job.start, state.utc)],
    ['ended', html`${at(job.end, state.utc)} ${ENDINGS[job.ending] && html`<span class="hint">${ENDINGS[job.ending]}</span>`}`],
    ['took', html`${took(job.seconds)} ${job.walltime > 0 && html`<span class="hint">of ${took(job.walltime)}</span>`}`],
    ['user', visible(job.user ?? '–')],
    ['project', visible(job.project ?? '–')],
    ['partition', visible(job.partition ?? '–')],
    ['name', visible(job.name ?? '–')],
    ['hosts', hosts.count ? html`<${Hosts} hosts=${hosts} cluster=${job.cluster} />` : 'no event names them'],
  ];
  const to = messagesOf({ hosts: hosts.list, cluster: job.cluster, from: bound(job.start), to: job.end ? bound(job.end, 60) : '' });
  return html`
    <header class="head">
      <h1>Job ${visible(job.id)} <span class="hint">on ${visible(job.cluster)}</span>${' '}
        <b class=${`state ${stateClass(job.state)}`}>${visible(job.state ?? 'state unknown')}</b></h1>
      ${hosts.count > 0 && html`<${ViewLink} class="button" to=${to}>all messages of its hosts in its time<//>`}
    </header>
    ${cut && html`<p class="banner" role="status">Not all of it was looked at: ${cut}.</p>`}
    <dl class="facts-line">${facts.map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>
    ${job.parts && html`<p>Its parts: ${job.parts.map((id) => html`<${JobLink} job=${{ id, cluster: job.cluster }} isRun=${false} /> `)}</p>`}
    <${Unusual} found=${found} colours=${colours} state=${state} />
    <${JobLanes} found=${found} colours=${colours} isUtc=${state.utc} />
    <section aria-labelledby="timeline-title">
      <h2 id="timeline-title">All that was said, in the order in which it came first</h2>
      ${
        timeline.length
          ? html`<${TemplateTable} rows=${timeline} cluster=${job.cluster} isUtc=${state.utc} colours=${colours} caption="Timeline" />`
          : html`<p>${hosts.count ? 'Nothing but what other nodes said as well.' : 'Nothing is known of its hosts.'}</p>`
      }
      ${
        state.all
          ? html`<button type="button" aria-pressed="true" onClick=${() => setState({ all: false }, { replace: true })}>with what other nodes said as well</button>`
          : hidden.messages > 0 && html`<p>${showNumber(hidden.messages)} messages of ${showCount(hidden.templates)} templates are left out: other
            nodes said them as well. <button type="button" onClick=${() => setState({ all: true }, { replace: true })}>Show them too</button></p>`
      }
    </section>
    ${runs.length > 0 && html`<section aria-labelledby="runs-title"><h2 id="runs-title">The same number at other times</h2>
      <${JobTable} jobs=${runs} isUtc=${state.utc} /></section>`}`;
}

/** A colour for the templates that are looked at first. */
function coloursOf(unusual, timeline) {
  const named = [...unusual, ...timeline.filter((row) => !row.background)].map((row) => row.template);
  return new Map([...new Set(named)].slice(0, COLOURS).map((template, place) => [template, `--plot-${place}`]));
}

function Unusual({ found, colours, state }) {
  const { job, unusual, compared } = found;
  return html`<section aria-labelledby="unusual-title">
    <h2 id="unusual-title">What was unusual</h2>
    ${
      unusual.length
        ? html`<ol class="unusual">${unusual.map((row) => html`<li key=${`${row.name} ${row.template}`}>
          <span class="what"><${Swatch} colour=${colours.get(row.template)} /> <${Surprise} row=${row} />${' '}
            <${ToMessages} row=${row} cluster=${job.cluster}><${Template} text=${row.template} /><//></span>
          <span class="example">${visible(row.example.text.slice(0, 300))}</span>
          <span class="hint">${visible(row.name)}, ${showNumber(row.count)} times on <${Hosts} hosts=${row.hosts} cluster=${job.cluster} />
            ${' '}from ${at(row.first, state.utc)}; ${rates(row)};
            ${' '}why? <${CauseLinks} isShort=${true} what=${row.template} about=${aboutOf(row, job)} burst=${{ from: bound(row.first), to: bound(row.last, 1) }} /></span>
        </li>`)}</ol>`
        : html`<p>Nothing: what was said on its hosts was said as often on the same nodes before, or on others at the time.</p>`
    }
    ${compared && html`<p class="hint">Compared with the same nodes since ${at(compared.before.from, state.utc)} (${hours(compared.before.host_hours)}),
      and with ${showNumber(compared.others.hosts.count)} other nodes at the time (${hours(compared.others.host_hours)}).</p>`}
  </section>`;
}

/** What is asked about the messages of a row: those of some days before the job as well, since one case tells little. */
const aboutOf = ({ template, last }, { cluster, start }) => ({
  ...{ template, from: bound(start, -LOOKED_BACK), to: bound(last, 1) },
  filters: [{ label: 'cluster', negated: false, off: false, values: [cluster] }],
});

const hours = (number) => `${showNumber(Math.round(number))} host-hours`;

/** How surprising a row is, in a word. */
function Surprise({ row }) {
  const isNew = !row.before.count && !row.others.count;
  const times = row.here.rate / Math.max(row.before.rate, row.others.rate);
  const word = isNew ? 'nowhere else' : `${times >= 10 ? Math.round(times) : times.toFixed(1)}× as often`;
  const title = `${row.is_significant ? 'not by chance' : 'it may be chance'}: q = ${row.q.toPrecision(2)}, G² = ${row.g2}`;
  return html`<b class=${`surprise ${row.is_significant ? '' : 'weak'}`} title=${title}>${word}${row.is_significant ? '' : '?'}</b>`;
}

const perDay = (side) =>
  side.count ? `${showCount(side.count)} (${Number((side.rate * 24).toPrecision(2))} a day and host)` : 'never';
const rates = (row) =>
  escaped(`here ${perDay(row.here)}, before ${perDay(row.before)}, elsewhere ${perDay(row.others)}`);
