// Jobs as a table, and those that began last.

import { html } from '../preact.js';
import { useAnswer } from '../answers.js';
import { visible } from '../escapes.js';
import { readPayload } from '../payload.js';
import { Failed } from '../sentences.js';
import { at, JobLink, stateClass, took } from './words.js';

/** Props: `jobs` (as the API has them), `isUtc`. */
export function JobTable({ jobs, isUtc }) {
  return html`<table class="jobs">
    <thead><tr><th scope="col">job</th><th scope="col">cluster</th><th scope="col">user</th><th scope="col">name</th><th scope="col">state</th>
      <th scope="col">began</th><th scope="col">took</th><th scope="col" class="number">nodes</th></tr></thead>
    <tbody>${jobs.map((job) => html`<tr key=${`${job.cluster} ${job.id} ${job.start}`}>
      <th scope="row"><${JobLink} job=${job} /></th>
      <td data-label="cluster">${visible(job.cluster)}</td>
      <td data-label="user">${visible(job.user ?? '–')}</td>
      <td data-label="name">${visible(job.name ?? '–')}</td>
      <td data-label="state"><b class=${`state ${stateClass(job.state)}`}>${visible(job.ending === 'lost' ? 'end unknown' : (job.state ?? '–'))}</b></td>
      <td data-label="began">${at(job.start, isUtc)}</td>
      <td data-label="took">${took(job.seconds)}</td>
      <td data-label="nodes" class="number">${job.nodes ?? '–'}</td>
    </tr>`)}</tbody>
  </table>`;
}

const NEWEST = 50;

/** Jobs of which the newest events tell, so that one can be chosen. Props: `state`. */
export function RecentJobs({ state }) {
  const { answer, error, isRunning, again } = useAnswer('v1/events', [
    ...['start_job', 'stop_job'].map((each) => ['tag.function', each]),
    ...(state.of ? [['cluster', state.of]] : []),
    ['limit', NEWEST],
  ]);
  if (error) return html`<${Failed} error=${error} state=${state} onAgain=${again} />`;
  if (isRunning) return html`<p class="sentence hint" role="status">Looking …</p>`;
  const rows = answer.messages.map((message) => [message, readPayload(message.text)]).filter(([, job]) => job?.jobId);
  if (!rows.length) {
    return html`<div class="sentence" role="status"><h2>No jobs yet</h2>
      <p>Jobs are known by the events <code>start_job</code> and <code>stop_job</code> that cc-slurm-adapter and cc-backend send.
        A job of which other events tell can be looked for by its number.</p></div>`;
  }
  return html`<section aria-labelledby="recent-title"><h2 id="recent-title">Jobs that began or ended last</h2>
    <table class="jobs"><thead><tr><th scope="col">job</th><th scope="col">cluster</th><th scope="col">what</th><th scope="col">user</th>
      <th scope="col">when</th></tr></thead>
    <tbody>${rows.map(([message, job]) => {
      const what = message.tags?.function === 'start_job' ? 'began' : `ended${job.jobState ? `: ${job.jobState}` : ''}`;
      const known = { id: String(job.jobId?.digits ?? job.jobId), cluster: message.cluster };
      return html`<tr key=${message.id}>
        <th scope="row"><${JobLink} job=${known} isRun=${false} /></th>
        <td data-label="cluster">${visible(message.cluster)}</td>
        <td data-label="what"><b class=${`state ${what === 'began' ? '' : stateClass(job.jobState)}`}>${visible(what)}</b></td>
        <td data-label="user">${visible(String(job.user ?? '–'))}</td>
        <td data-label="when">${at(message.time, state.utc)}</td></tr>`;
    })}</tbody></table></section>`;
}
