// A number that is searched for may be that of a job, of which often only a tag tells and not the text.

import { html } from './preact.js';
import { withValue } from './filters.js';
import { readLine } from './search_language.js';
import { setState } from './url_state.js';

const TAG = 'tag.jobid';

/** The id of the job that a message is about, `payload` being its text if that is JSON; undefined if none is. */
export function jobOf({ tags }, payload) {
  const found = tags?.jobid ?? tags?.job_id ?? payload?.jobId ?? payload?.job_id;
  const id = String(found?.digits ?? found ?? '');
  return /^\d/.test(id) ? id : undefined;
}

/** The words of the search line that are numbers. */
function numbers(state) {
  if (state.regex) return [];
  const { texts } = readLine(state.q);
  return texts.filter(({ op, value }) => op === 'text' && /^\d+$/.test(value)).map(({ value }) => value);
}

/** Look for the tag instead of the word: those that have it need not say so. */
function asJob(state, word) {
  const words = state.q.split(/\s+/).filter((each) => each !== word);
  setState({ q: words.join(' '), filters: withValue(state.filters, TAG, word) });
}

/** Props: `state`. */
export function JobHints({ state }) {
  return numbers(state).map(
    (word) => html`<button type="button" onClick=${() => asJob(state, word)}>Also look for jobid=${word}</button>`,
  );
}
