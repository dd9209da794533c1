// The line in which somebody says which job, or which node.

import { html, useEffect, useRef } from '../preact.js';
import { useKeys } from '../keys.js';
import { setState } from '../url_state.js';

/** Props: `what` (the member of the state: `job` or `node`), `label`, `hint`, `state`. */
export function Finder({ what, label, hint, state }) {
  const [input, cluster] = [useRef(), useRef()];
  useKeys({ '/': () => input.current.select() });
  useEffect(() => {
    input.current.value = state[what];
    cluster.current.value = state.of;
    if (!state[what]) input.current.focus({ preventScroll: true });
  }, [state[what], state.of]);
  const submit = (event) => {
    event.preventDefault();
    setState({ [what]: input.current.value.trim(), of: cluster.current.value.trim(), run: '', all: false });
  };
  return html`<form class="finder" role="search" onSubmit=${submit}>
    <label>${label} <input ref=${input} placeholder=${hint} spellcheck="false" autocomplete="off"
      autocapitalize="none" size="14" /></label>
    <label>cluster <input ref=${cluster} placeholder="any" spellcheck="false" autocomplete="off"
      autocapitalize="none" size="10" /></label>
    <button type="submit" class="primary">Show</button>
  </form>`;
}
