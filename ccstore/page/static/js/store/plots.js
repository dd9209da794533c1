// The plots of the last hour, of all receivers or of one.

import { html, useMemo, useState } from '../preact.js';
import { showBytes, showDuration, showRate, showShortly } from './figures.js';
import { Plot } from './plot.js';

/** Props: `history`, `isUtc`. */
export function Plots({ history, isUtc }) {
  const [chosen, choose] = useState('');
  const { times, begin } = history;
  const isWhole = times.length > 0 && times[times.length - 1] - begin > 3500;
  const names = Object.keys(history.receivers);
  const name = names.includes(chosen) ? chosen : '';
  const plots = useMemo(() => plotsOf(history, name), [history, name]);
  return html`<section class="plots" aria-labelledby="plots-title">
    <div class="head"><h2 id="plots-title">${isWhole ? 'The last hour' : 'Since the start'}</h2>
      <label>lines of <select value=${name} onChange=${(event) => choose(event.target.value)}>
        <option value="">all receivers</option>
        ${names.map((each) => html`<option value=${each}>${each}</option>`)}
      </select></label>
    </div>
    <div class="grid">${plots.map((each) => html`<${Plot} key=${each.title} ...${each} times=${times} isUtc=${isUtc} />`)}</div>
  </section>`;
}

function plotsOf(history, name) {
  const receivers = name ? [history.receivers[name]] : Object.values(history.receivers);
  const spans = history.times.map((end, place) => end - (place ? history.times[place - 1] : history.begin));
  const rate = (book) => spans.map((span, place) => {
    const counts = receivers.map((each) => each[book][place]).filter((each) => each !== null);
    return counts.length ? counts.reduce((sum, each) => sum + each, 0) / Math.max(span, 0.001) : null;
  });
  return [
    {
      title: 'Lines', show: showRate,
      series: [
        { name: 'received', colour: '--store-received', values: rate('received') },
        { name: 'stored', colour: '--store-stored', values: rate('stored') },
      ],
    },
    {
      title: 'Not stored', show: showRate,
      series: [
        { name: 'rejected', colour: '--store-rejected', values: rate('rejected') },
        { name: 'dropped', colour: '--store-dropped', values: rate('dropped') },
      ],
    },
    {
      title: 'Waiting', show: showShortly,
      series: [{ name: 'messages in the queue', colour: '--store-waiting', values: history.waiting }],
    },
    {
      title: 'A commit', show: showDuration,
      series: [{ name: 'takes', colour: '--store-received', values: history.commit_seconds }],
    },
    {
      title: 'Database', show: showBytes,
      series: [
        { name: 'size', colour: '--store-others', values: history.bytes },
        { name: 'taken', colour: '--store-database', values: history.used_bytes },
      ],
    },
    {
      title: 'Memory', show: showBytes,
      series: [{ name: 'of the daemon', colour: '--store-database', values: history.memory_bytes }],
    },
  ];
}
