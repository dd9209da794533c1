// Filters as pills: each can be turned round, switched off, edited, and taken away.

import { html, useEffect, useRef, useState } from './preact.js';
import { escaped, visible } from './escapes.js';
import { changed } from './filters.js';
import { fold } from './host_lists.js';
import { called } from './labels.js';
import { readLine } from './search_language.js';
import { setState } from './url_state.js';

/** How a filter is written in the search line. */
export function written({ label, negated, values }) {
  const text = label === 'host' ? fold(values).join(',') : values.join(' or ');
  return { name: called(label), sign: negated ? '≠' : '=', text };
}

export function Pills({ filters }) {
  if (!filters.length) return null;
  return html`<ul class="pills" aria-label="Filters">
    ${filters.map((filter) => html`<${Pill} key=${key(filter)} filter=${filter} filters=${filters} />`)}
    ${filters.length > 1 && html`<li><button type="button" class="plain"
      onClick=${() => setState({ filters: [] })}>remove all</button></li>`}
  </ul>`;
}

const key = ({ label, negated, off }) => `${label}${negated}${off}`;

function Pill({ filter, filters }) {
  const [isEdited, setEdited] = useState(false);
  const { name, sign, text } = written(filter);
  const put = (change) => setState({ filters: changed(filters, filter, change) });
  if (isEdited)
    return html`<${Editor} filter=${filter} filters=${filters} onEnd=${() => setEdited(false)} />`;
  const whole = escaped(`${name} ${sign} ${text || '(none)'}`);
  return html`<li class=${`pill ${filter.negated ? 'not' : ''} ${filter.off ? 'off' : ''}`}>
    <button type="button" class="turn" title="turn round" aria-label=${`Turn round: ${whole}`}
      onClick=${() => put({ negated: !filter.negated })}>${sign}</button>
    <button type="button" class="what" title="edit" aria-label=${`Edit: ${whole}`}
      onClick=${() => setEdited(true)}><b>${visible(name)}</b> <span>${visible(text || '(none)')}</span></button>
    <button type="button" class="switch" title=${filter.off ? 'switch on' : 'switch off'} aria-pressed=${!filter.off}
      aria-label=${`In use: ${whole}`} onClick=${() => put({ off: !filter.off })}>${filter.off ? '○' : '●'}</button>
    <button type="button" class="remove" title="remove" aria-label=${`Remove: ${whole}`}
      onClick=${() => setState({ filters: filters.filter((each) => each !== filter) })}>×</button>
  </li>`;
}

function Editor({ filter, filters, onEnd }) {
  const input = useRef();
  useEffect(() => input.current.select(), []);
  const before = lineOf(filter);
  const keep = () => {
    if (!input.current) return; // Enter has taken it away
    const text = input.current.value.trim();
    onEnd();
    if (text === before) return;
    let left = filters.filter((each) => each !== filter);
    for (const { label, negated, value } of readLine(text).filters) {
      for (const one of label === filter.label ? value.split('|') : [value]) {
        left = changed(left, null, { label, negated, off: filter.off, values: [one] });
      }
    }
    setState({ filters: left });
  };
  return html`<li class="pill edited">
    <input ref=${input} aria-label="Edit the filter" defaultValue=${before} size=${Math.max(12, before.length)}
      spellcheck="false" autocomplete="off"
      onBlur=${keep}
      onKeyDown=${(event) => {
        if (event.key === 'Enter') keep();
        if (event.key === 'Escape') onEnd();
        event.stopPropagation();
      }} />
  </li>`;
}

/** The filter as text, several values with `|` between them. */
function lineOf({ label, negated, values }) {
  const text = label === 'host' ? fold(values).join(',') : values.join('|');
  return `${called(label)}${negated ? '!=' : '='}${/[\s"]/.test(text) ? `"${text.replace(/["\\]/g, '\\$&')}"` : text}`;
}
