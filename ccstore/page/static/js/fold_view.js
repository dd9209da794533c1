// Equal messages as one row each: how many, when, on which hosts, and what is new. What is usual is taken away, or one is
// looked at.

import { html, useState } from './preact.js';
import { useAnswer } from './answers.js';
import { escaped, visible } from './escapes.js';
import { withValue } from './filters.js';
import { CauseLinks } from './insight/asked_about.js';
import { useNewTemplates } from './insight/new_templates.js';
import { Template } from './insight/template_rows.js';
import { at } from './insight/words.js';
import { showNumber } from './numbers.js';
import { rove } from './roving.js';
import { Failed } from './sentences.js';
import { Spark } from './spark.js';
import { lineFor } from './templates.js';
import { setState } from './url_state.js';

const LIMIT = 200;
const BUCKETS = 60;
export const SORTS = { count: 'most frequent first', rare: 'rarest first', newest: 'newest first', first: 'by their first time' };

/** Props: `question` (of the search), `state`. */
export function FoldView({ question, state }) {
  const sort = Object.hasOwn(SORTS, state.sort) ? state.sort : 'count';
  const asked = question?.parameters ?? [];
  // Of all times nothing is before.
  const hasBefore = question?.begin !== null;
  const isFresh = state.fresh && hasBefore;
  const { answer, error, isRunning, again } = useAnswer(question && 'v1/fold', [
    ...asked,
    ...[
      ['order', sort],
      ['limit', LIMIT],
      ['buckets', BUCKETS],
    ],
    ...(isFresh ? [['new', 'store']] : []),
  ]);
  const { isNew, said: newOf } = useNewTemplates(state, question, Boolean(answer) && !isFresh);
  if (error) return html`<${Failed} error=${error} state=${state} onAgain=${again} />`;
  return html`<div class="folds" aria-busy=${isRunning}>
    <div class="fold-bar">
      <p role="status">${isRunning || !answer ? 'Folding: all messages of this time are looked at …' : `${said(answer, isFresh)}${isFresh ? '' : newOf(answer.folds)}`}</p>
      ${hasBefore && html`<button type="button" aria-pressed=${isFresh} title="only templates that nothing in the store had before this time"
        onClick=${() => setState({ fresh: !isFresh })}>new only</button>`}
      <label>sorted: <select value=${sort} onChange=${(event) => setState({ sort: event.target.value }, { replace: true })}>
        ${Object.entries(SORTS).map(([name, text]) => html`<option value=${name}>${text}</option>`)}
      </select></label>
    </div>
    ${answer?.cut && html`<p class="banner" role="status">Not all of it was looked at: ${answer.cut}.</p>`}
    ${answer && (answer.folds.length ? html`<${Folds} answer=${answer} isNew=${isFresh ? () => false : isNew} question=${question} state=${state} />` : html`<${NoFolds} answer=${answer} isFresh=${isFresh} />`)}
  </div>`;
}

function NoFolds({ answer, isFresh }) {
  if (isFresh) {
    return html`<div class="sentence" role="status"><h2>Nothing new</h2>
      <p>Whatever was said in this time was said before as well, as far as it is still stored.</p>
      <p class="ways"><button type="button" onClick=${() => setState({ fresh: false })}>Show all templates</button></p></div>`;
  }
  return html`<div class="sentence" role="status">
    <h2>Nothing to fold</h2><p>${answer.notice ? `${answer.notice}.` : 'No messages match in this time.'} A longer time, or fewer filters, have more.</p></div>`;
}

function said({ total, templates, rest }, isFresh) {
  const shown = templates - rest.templates;
  const more = rest.templates ? `, of which ${showNumber(shown)} are shown; ${showNumber(rest.count)} messages are of the others` : '';
  return `${showNumber(total)} messages are ${showNumber(templates)} ${isFresh ? 'new ' : ''}templates${more}`;
}

function Folds({ answer, isNew, question, state }) {
  const [here, setHere] = useState(null); // the row to which Tab goes
  const { folds } = answer;
  const stop = folds.some((each) => each.template === here) ? here : folds[0].template;
  const most = Math.max(...folds.map((each) => each.count));
  const span = [question.begin ?? Math.min(...folds.map((each) => Date.parse(each.first))), question.end ?? Date.now()];
  return html`<div class="scroller" tabindex="0" role="region" aria-label="Templates" onKeyDown=${(event) => rove(event, '.fold-row')}>
    <table class="fold-table"><caption class="unseen">Templates of messages</caption>
      <thead><tr><th scope="col" class="number">messages</th><th scope="col">when</th><th scope="col">what was said</th>
        <th scope="col">hosts</th><th scope="col" class="first">first</th><th scope="col">last</th><th scope="col">why?</th><td></td></tr></thead>
      <tbody>${folds.map((fold) => html`<${Row} key=${fold.template} fold=${fold} isNew=${isNew(fold.template)} most=${most} span=${span}
        step=${parseFloat(answer.step)} state=${state} isStop=${fold.template === stop} onFocus=${() => setHere(fold.template)} />`)}</tbody>
    </table>
  </div>`;
}

function Row({ fold, isNew, most, span, step, state, isStop, onFocus }) {
  const { template, count, names, hosts, first, last, example, points } = fold;
  const line = lineFor(template);
  const put = (q) => setState({ q: [state.q, q].filter(Boolean).join(' '), regex: false });
  const { from, to, filters } = state;
  return html`<tr class="fold-row" onfocusin=${onFocus}>
    <td class="number count"><i class="share" style=${{ width: `${(100 * count) / most}%` }}></i>${showNumber(count)}</td>
    <td class="curve"><${Spark} points=${points} span=${span} step=${step} label=${`${count} from ${at(first, state.utc)} to ${at(last, state.utc)}`} /></td>
    <td class="what"><span>${isNew && html`<b class="new" title="nothing in the store had it before this time">new</b> `}<span class="hint">${visible(names.join(', '))}</span> <button type="button" class="template-button plain" tabindex=${isStop ? 0 : -1} title=${escaped(`its messages, found by an expression that a few others may match, too; such as: ${example.text.slice(0, 500)}`)}
        onClick=${() => setState({ ...messagesOnly(state, line) })}><${Template} text=${template} /></button></span></td>
    <td class="who"><span>${hosts.count > 0 && html`<button type="button" class="plain" tabindex="-1" title=${escaped(`only these hosts: ${hosts.list}`)}
        onClick=${() => setState({ filters: withValue(filters, 'host', hosts.list) })}><span class="hosts">${visible(hosts.list)}</span></button>`}
      <span class="hint">${showNumber(hosts.count)}</span></span></td>
    <td class="when first">${at(first, state.utc)}</td><td class="when">${at(last, state.utc)}</td>
    <td class="why"><${CauseLinks} isShort=${true} tabindex="-1" what=${template} about=${{ template, from, to, filters }} /></td>
    <td><button type="button" class="sign" tabindex="-1" title="none of these" aria-label=${escaped(`Without ${template}`)}
      onClick=${() => put(`-${line}`)}>−</button></td>
  </tr>`;
}

/** The messages of one template, in place of all of them. */
const messagesOnly = (state, line) => ({ q: [state.q, line].filter(Boolean).join(' '), regex: false, fold: false });
