// Values of labels beside the messages, with how many there are of each under the question.

import { html, useState } from './preact.js';
import { escaped, visible } from './escapes.js';
import { stanceOn, withoutValue, withValue } from './filters.js';
import { holds } from './host_lists.js';
import { called, COLUMNS, USUAL_FACETS } from './labels.js';
import { showTime } from './moments.js';
import { showNumber } from './numbers.js';
import { rove } from './roving.js';
import { setState } from './url_state.js';

/** Tags that messages have, of which a few are looked at. */
export function tagsOf(messages) {
  const found = new Set();
  for (const message of messages) for (const tag of Object.keys(message.tags ?? {})) found.add(`tag.${tag}`);
  return [...found].sort();
}

/** Props: `counts`, `state`, `labels` (of the messages that are shown, besides the usual ones), `onClose` (on a phone). */
export function Facets({ counts, state, labels, onClose }) {
  const known = COLUMNS.filter((label) => counts.known.has(label));
  const open = new Set(state.facets ?? USUAL_FACETS);
  const shown = [...new Set([...USUAL_FACETS, ...labels, ...known, ...counts.known, ...open])];
  const toggle = (label) => {
    const facets = open.has(label) ? [...open].filter((each) => each !== label) : [...open, label];
    setState({ facets }, { replace: true });
  };
  return html`<aside class="facets" aria-label="Values">
    <header class="for-phone"><h2>Values</h2>
      <button type="button" class="plain" aria-label="Close values" onClick=${onClose}>×</button></header>
    ${state.tail && counts.at && html`<p class="hint as-of">as of ${showTime(counts.at, state.utc).slice(11, 19)}</p>`}
    ${shown.map((label) => html`<${Facet} key=${label} label=${label} counts=${counts} filters=${state.filters}
      isOpen=${open.has(label)} onToggle=${() => toggle(label)} />`)}
    ${!counts.isKnown && html`<button type="button" class="plain"
      onClick=${() => counts.findLabels()}>more labels …</button>`}
  </aside>`;
}

function Facet({ label, counts, filters, isOpen, onToggle }) {
  const { answer, error, isRunning } = counts.facets.get(label) ?? {};
  const name = called(label);
  const hasFilter = filters.some((each) => each.label === label && !each.off);
  return html`<section class=${`facet ${isRunning ? 'old' : ''}`}>
    <h3><button type="button" class="plain" aria-expanded=${isOpen}
      onClick=${onToggle}>${visible(name)}</button>
      ${hasFilter && html`<span class="dot" title="there is a filter on it">●</span>`}</h3>
    ${isOpen && error && html`<p class="problem">Not counted: ${error.message}</p>`}
    ${isOpen && answer && !error && html`<${Values} label=${label} answer=${answer} filters=${filters}
      counts=${counts} />`}
  </section>`;
}

function Values({ label, answer, filters, counts }) {
  const found = answer.values;
  const [at, setAt] = useState(null); // the value to which Tab goes
  const all = [...found.map(({ value }) => value), ...(answer.without > 0 && !starts(counts, label) ? [''] : [])];
  const stop = all.includes(at) ? at : all[0];
  const most = Math.max(1, ...found.map((each) => each.count), answer.without);
  const isAll = counts.all.has(label);
  const prefix = starts(counts, label);
  const hasMore = answer.cut || isAll || prefix;
  return html`
    ${
      hasMore &&
      html`<input class="starts" type="text" aria-label=${`${called(label)} begins with`} placeholder="begins with …"
      value=${prefix} spellcheck="false" autocomplete="off" autocapitalize="none"
      onInput=${(event) => counts.setPrefix(label, event.target.value)} />`
    }
    <ul aria-label=${`Values of ${called(label)}`} onKeyDown=${(event) => rove(event, '.value')}>
      ${found.map(({ value, count }) => html`<${Value} key=${value} label=${label} value=${value}
        count=${count} most=${most} filters=${filters} isStop=${value === stop} onFocus=${() => setAt(value)} />`)}
      ${answer.without > 0 && !prefix && html`<${Value} key="" label=${label} value="" count=${answer.without}
        most=${most} filters=${filters} isStop=${stop === ''} onFocus=${() => setAt('')} />`}
    </ul>
    ${!found.length && !answer.without && html`<p class="hint">none</p>`}
    ${answer.cut && !isAll && html`<button type="button" class="plain more"
      onClick=${() => counts.showAll(label, true)}>more …</button>`}
    ${answer.cut && isAll && html`<p class="hint">${answer.cut}, these are the most frequent</p>`}
    ${isAll && html`<button type="button" class="plain more"
      onClick=${() => counts.showAll(label, false)}>fewer</button>`}
  `;
}

/** How the values begin that are wanted. */
const starts = (counts, label) => counts.prefixes.get(label) ?? '';

/** Whether a value is chosen or excluded, also by a host list. */
function stance(filters, label, value) {
  const plain = stanceOn(filters, label, value);
  if (plain || label !== 'host') return plain;
  const found = filters.find(
    (each) => !each.off && each.label === label && each.values.some((one) => holds(one, value)),
  );
  return found ? (found.negated ? '-' : '+') : '';
}

function Value({ label, value, count, most, filters, isStop, onFocus }) {
  const chosen = stance(filters, label, value);
  const shown = value || '(none)';
  const name = escaped(`${called(label)} ${shown}`);
  const put = (sign) => {
    const negated = sign === '-';
    const change =
      chosen === sign
        ? withoutValue(filters, label, value, negated)
        : withValue(filters, label, value, negated);
    setState({ filters: change });
  };
  return html`<li class=${`value ${chosen === '+' ? 'chosen' : ''} ${chosen === '-' ? 'excluded' : ''}`} onfocusin=${onFocus}>
    <i class="share" style=${{ width: `${(100 * count) / most}%` }}></i>
    <button type="button" class="name plain" tabindex=${isStop ? 0 : -1} title=${escaped(shown)} aria-pressed=${chosen === '+'}
      onClick=${() => put('+')}>${visible(shown)}</button>
    <span class="count">${showNumber(count)}</span>
    <button type="button" class="sign" tabindex="-1" title=${chosen === '+' ? 'not only these' : 'only these'}
      aria-label=${`Only ${name}`}
      aria-pressed=${chosen === '+'} onClick=${() => put('+')}>+</button>
    <button type="button" class="sign" tabindex="-1" title=${chosen === '-' ? 'these as well' : 'none of these'}
      aria-label=${`Without ${name}`}
      aria-pressed=${chosen === '-'} onClick=${() => put('-')}>−</button>
  </li>`;
}
