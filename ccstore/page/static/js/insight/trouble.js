// What is said where there is no answer about a job, a node, or templates.

import { html } from '../preact.js';
import { escaped } from '../escapes.js';
import { Failed } from '../sentences.js';
import { setState } from '../url_state.js';

/** Props: `error`, `state`, `what` (`job` or `node`, as the state has it), `onAgain`. */
export function Trouble({ error, state, what, onAgain }) {
  if (!['missing', 'wrong'].includes(error.kind)) {
    return html`<${Failed} error=${error} state=${state} onAgain=${onAgain} />`;
  }
  const near = /the nearest is '?([^';,]+?)'?$/.exec(error.message)?.[1];
  // The nearest is a cluster where the cluster is not there.
  const change = /cluster '/.test(error.message) ? { of: near } : { [what]: near };
  return html`<div class="sentence" role="alert">
    <h2>${error.kind === 'missing' ? 'It is not there' : 'This cannot be asked'}</h2>
    <p>${error.message[0].toUpperCase() + error.message.slice(1)}.</p>
    <p class="ways">
      ${near && html`<button type="button" onClick=${() => setState({ ...change, run: '' })}>Show ${escaped(near)}</button>`}
      ${state.of && html`<button type="button" onClick=${() => setState({ of: '', run: '' })}>Look in all clusters</button>`}
      ${state.run && html`<button type="button" onClick=${() => setState({ run: '' })}>The newest run</button>`}
    </p>
  </div>`;
}
