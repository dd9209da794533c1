// The search line.

import { html, useEffect, useRef, useState } from './preact.js';
import { withValue } from './filters.js';
import { readLine } from './search_language.js';
import { getState, setState } from './url_state.js';

const HINT = 'words, "a phrase", -without, /expression/, host=a[0101-0110], name!=slurmd';

/** Props: `state`, `onAgain`: search for the same again. */
export function SearchLine({ state, onAgain }) {
  const [text, setText] = useState(state.q);
  const input = useRef();
  useEffect(() => setText(state.q), [state.q]);
  const submit = (event) => {
    event.preventDefault();
    // What stands there: Enter may come before the last key is known to the state.
    const change = read(input.current.value, getState());
    setText(change.q);
    if (change.q === state.q && change.filters === state.filters) onAgain();
    else setState({ ...change, m: '' });
  };
  const flip = (name) => {
    const { regex, case: isCaseSensitive } = getState();
    setState({ ...read(input.current.value, state), regex, case: isCaseSensitive, [name]: !getState()[name] });
  };
  return html`<form class="search-line" role="search" onSubmit=${submit}>
    <input
      id="search"
      ref=${input}
      type="text"
      inputmode="search"
      enterkeyhint="search"
      aria-label="Search"
      placeholder=${state.regex ? 'a regular expression (RE2)' : HINT}
      autocomplete="off"
      autocapitalize="none"
      spellcheck="false"
      value=${text}
      onInput=${(event) => setText(event.target.value)}
    />
    ${
      text &&
      html`<button type="button" class="clear plain" title="empty" aria-label="Empty the search line"
      onClick=${() => {
        setText('');
        if (state.q) setState({ q: '' });
        input.current.focus();
      }}>×</button>`
    }
    <button type="button" class="toggle" aria-pressed=${state.case} title="upper and lower case differ"
      aria-label="Upper and lower case differ" onClick=${() => flip('case')}>Aa</button>
    <button type="button" class="toggle" aria-pressed=${state.regex} title="all of it is a regular expression"
      aria-label="Regular expression" onClick=${() => flip('regex')}>.*</button>
    <button type="submit" class="primary">Search</button>
  </form>`;
}

/** The line without what is made pills, and these. */
function read(text, state) {
  const { filters, rest } = readLine(text, { isRegex: state.regex });
  let made = state.filters;
  for (const { label, negated, value } of filters) made = withValue(made, label, value, negated);
  return { q: filters.length ? rest : text.trim(), filters: made };
}
