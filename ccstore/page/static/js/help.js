// The help: keys, and what the search line takes.

import { html, useEffect, useRef } from './preact.js';
import { KEYS, useKeys } from './keys.js';

const LINE = [
  ['out memory', 'both words, in upper or lower case'],
  ['"out of memory"', 'just this'],
  ['-health', 'not this'],
  ['/killed process \\d+/', 'a regular expression (RE2); /…/i for upper and lower case'],
  ['host=a[0101-0110]', 'only these hosts; * stands for anything'],
  ['name!=slurmd', 'another name'],
  ['jobid=4711', 'a tag'],
];

/** Props: `version`. Opened by its button and by `?`. */
export function Help({ version }) {
  const dialog = useRef();
  const close = useRef();
  const open = () => {
    if (dialog.current.open) return;
    dialog.current.showModal();
    close.current.focus();
  };
  useKeys({ '?': open });
  useEffect(() => {
    const onClick = (event) => event.target === dialog.current && dialog.current.close();
    dialog.current.addEventListener('click', onClick);
  }, []);
  return html`
    <button type="button" class="plain" aria-label="Help" title="help (?)" onClick=${open}>?</button>
    <dialog ref=${dialog} class="help" aria-labelledby="help-title">
      <h2 id="help-title">How to find something</h2>
      <table><caption class="unseen">The search line</caption><tbody>
        ${LINE.map(([text, what]) => html`<tr><th scope="row"><code>${text}</code></th><td>${what}</td></tr>`)}
      </tbody></table>
      <p>Drag over the histogram for a part of the time; ↶ goes back. Click on a message for all about it, and for what
        came around it. Everything you choose is in the address: send it to a colleague.</p>
      <h2>Keys</h2>
      <table><caption class="unseen">Keys</caption><tbody>
        ${KEYS.map(([key, what]) => html`<tr><th scope="row"><kbd>${key}</kbd></th><td>${what}</td></tr>`)}
      </tbody></table>
      <p class="hint">ccstore ${version} · <a href="api/">what programs can ask</a></p>
      <button type="button" class="primary" ref=${close} onClick=${() => dialog.current.close()}>Close</button>
    </dialog>`;
}
