// Asks for a token when the daemon wants one.

import { html, useEffect, useRef, useState } from './preact.js';
import { setToken } from './session.js';

let show = () => {};

/** Ask for a token; `why` is what the daemon said. */
export const askForToken = (why) => show(why);

export function TokenDialog() {
  const [why, setWhy] = useState('');
  const [dialog, input] = [useRef(), useRef()];
  useEffect(() => {
    show = setWhy;
  }, []);
  useEffect(() => {
    if (why && !dialog.current.open) dialog.current.showModal();
    if (!why && dialog.current.open) dialog.current.close();
  }, [why]);
  const submit = (event) => {
    event.preventDefault();
    const given = input.current.value;
    input.current.value = '';
    setWhy('');
    setToken(given);
  };
  return html`<dialog ref=${dialog} class="token" aria-labelledby="token-title" onCancel=${() => setWhy('')}>
    <form onSubmit=${submit}>
      <h2 id="token-title">A token, please</h2>
      <p>${why && `${why[0].toUpperCase()}${why.slice(1)}.`}</p>
      <label for="token">JSON Web Token</label>
      <input id="token" ref=${input} type="password" required autocomplete="off" spellcheck="false" />
      <p class="hint">It is kept until this tab is closed, and stands in no link. Whoever keeps the key of this store
        makes one with <code>ccstore token</code>.</p>
      <p class="ways"><button type="submit" class="primary">Use it</button>
        <button type="button" onClick=${() => setWhy('')}>Not now</button></p>
    </form>
  </dialog>`;
}
