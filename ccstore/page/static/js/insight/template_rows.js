// Templates as rows of a table: what was said, how often, by which hosts, and the messages behind it.

import { html } from '../preact.js';
import { escaped, visible } from '../escapes.js';
import { showNumber } from '../numbers.js';
import { messagesOf } from '../templates.js';
import { ViewLink } from '../view_link.js';
import { at, bound, Hosts } from './words.js';

/** A template with its placeholders apart from what is really said. Props: `text`. */
export function Template({ text }) {
  return html`<code class="template">${text.split(/(<[a-z]+>…?)/).map((part, place) =>
    place % 2 ? html`<i>${part}</i>` : visible(part),
  )}</code>`;
}

/** The messages of a row. Props: `row`, `cluster`, `title`, `children`. */
export function ToMessages({ row, cluster, children, ...others }) {
  const to = messagesOf({
    ...{ template: row.template, name: row.name, cluster },
    ...{ hosts: row.hosts.list, from: bound(row.first), to: bound(row.last, 1) },
  });
  return html`<${ViewLink} to=${to} title=${escaped(row.example.text)} ...${others}>${children}<//>`;
}

/** Props: `rows`, `cluster`, `isUtc`, `colours` (by template), `caption`, `marks(row)`: what is said of one. */
export function TemplateTable({ rows, cluster, isUtc, colours = new Map(), caption, marks = () => null }) {
  return html`<table class="templates">
    <caption class="unseen">${caption}</caption>
    <thead><tr><th scope="col">first</th><th scope="col">what was said</th><th scope="col" class="number">times</th>
      <th scope="col">hosts</th><th scope="col">last</th></tr></thead>
    <tbody>${rows.map((row) => html`<tr key=${`${row.name} ${row.template}`} class=${row.background ? 'background' : ''}>
      <td class="when" data-label="first">${at(row.first, isUtc)}</td>
      <td class="what"><${Swatch} colour=${colours.get(row.template)} /> <span class="hint">${visible(row.name)}</span> ${marks(row)}${' '}
        <${ToMessages} row=${row} cluster=${cluster}><${Template} text=${row.template} /><//></td>
      <td class="number" data-label="times">${showNumber(row.count)}</td>
      <td class="who" data-label="hosts"><span><${Hosts} hosts=${row.hosts} cluster=${cluster} /></span></td>
      <td class="when" data-label="last">${at(row.last, isUtc)}</td>
    </tr>`)}</tbody>
  </table>`;
}

/** The colour that marks have in the lanes. Props: `colour`. */
export function Swatch({ colour }) {
  return colour ? html`<i class="swatch" style=${{ background: `var(${colour})` }}></i>` : null;
}
