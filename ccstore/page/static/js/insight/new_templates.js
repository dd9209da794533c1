// Which templates of a time are new: nothing in the store had them before.

import { useMemo, useRef } from '../preact.js';
import { useAnswer } from '../answers.js';
import { showNumber } from '../numbers.js';

/** Templates that are told of. */
const MOST = 2000;

/**
 * `{isNew(template), said(folds)}` of the time of a question: whether one is new, and how many of some are, in words to be put
 * behind others. What is new does not depend on filters, so that it is asked once for a time and not for each of them.
 *
 * `isWanted`: whether it may be asked now: when what is folded is there, which is not to wait for it.
 */
export function useNewTemplates(state, question, isWanted) {
  const may = useRef(false);
  may.current ||= isWanted;
  // Of a time up to now, the beginning stays as long as the range does.
  const [begin, end] = useMemo(() => [question?.begin ?? null, question?.end ?? null], [Boolean(question), state.from, state.to, state.utc]);
  const isAsked = may.current && begin !== null;
  const since = String(Math.round(begin));
  const before = useAnswer(isAsked && 'v1/messages', [
    ['to', since],
    ['limit', 1],
  ]);
  const hasBefore = Boolean(before.answer?.messages.length);
  const fresh = useAnswer(isAsked && hasBefore && 'v1/fold', [
    ['from', since],
    ...(end === null ? [] : [['to', String(Math.round(end))]]),
    ...[
      ['new', 'store'],
      ['limit', MOST],
      ['buckets', 1],
    ],
  ]);
  const templates = useMemo(() => new Set((fresh.answer?.folds ?? []).map((each) => each.template)), [fresh.answer]);
  const isNew = (template) => templates.has(template);
  const error = before.error ?? fresh.error;
  const said = (folds) => {
    if (!isAsked) return '';
    if (error) return `; which of them are new is not known: ${error.message}`;
    if (before.isRunning || fresh.isRunning) return '; which of them are new is being looked for …';
    if (!hasBefore) return '; nothing is stored of before, to say what is new';
    const count = folds.filter((each) => isNew(each.template)).length;
    const isCut = fresh.answer.cut || fresh.answer.rest.templates;
    return `; ${count ? showNumber(count) : 'none'} of these ${count === 1 ? 'is' : 'are'} new${isCut ? ', as far as was looked' : ''}`;
  };
  return { isNew, said };
}
