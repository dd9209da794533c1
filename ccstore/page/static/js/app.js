// The frame: the name, the links to the views, who may read, and the view itself.

import { html, useEffect, useState } from './preact.js';
import { Announcements } from './announcements.js';
import { Help } from './help.js';
import { useKeys } from './keys.js';
import { isOpen, onToken, setToken, token } from './session.js';
import { SkipLink } from './skipping.js';
import { TokenDialog } from './token_dialog.js';
import { useUrlState, setState, writeState, DEFAULTS } from './url_state.js';
import { VIEWS } from './views.js';

const meta = (name) => document.querySelector(`meta[name="${name}"]`)?.content ?? '';

const OPEN =
  'No key is configured (jwt_public_key): whoever reaches this port may read all of it, and write.';

/** Views with a link above. */
const LINKED = VIEWS.filter((each) => !each.within);

export function App() {
  const state = useUrlState();
  const [held, setHeld] = useState([token(), isOpen]);
  useEffect(() => {
    const look = () => setHeld([token(), isOpen]);
    look(); // there may have been an answer already
    return onToken(look);
  }, []);
  useKeys(Object.fromEntries(LINKED.map(({ name }, place) => [String(place + 1), () => setState({ view: name })])));
  const view = VIEWS.find((each) => each.name === state.view) ?? VIEWS[0];
  useEffect(() => {
    const what = view.named ? state[view.named] : state.q;
    document.title = `${what ? `${what} – ` : ''}${view.title} – ccstore`;
  }, [state, view]);
  return html`
    <${SkipLink} />
    <header class="top">
      <a class="brand" href=${location.pathname} title=${`ccstore ${meta('ccstore-version')}`}>
        <img src=${`${meta('ccstore-files')}/icon.svg`} alt="" width="20" height="20" /> <span>ccstore</span>
      </a>
      <nav aria-label="Views">
        ${LINKED.map(
          ({ name, title }) => html`<a
          href=${writeState({ ...DEFAULTS, view: name }) || location.pathname}
          aria-current=${name === (view.within ?? view.name) ? 'page' : null}
          onClick=${(event) => {
            if (event.ctrlKey || event.metaKey || event.shiftKey) return;
            event.preventDefault();
            setState({ view: name });
          }}>${title}</a>`,
        )}
      </nav>
      <div class="access" id="access">
        ${!held[0] && held[1] && html`<span class="unguarded" title=${OPEN}>open<span class="long">, no token needed</span></span>`}
        ${held[0] && html`<button type="button" class="plain" onClick=${() => setToken('')}
          title="forget the token of this session">forget token</button>`}
        <${Help} version=${meta('ccstore-version')} />
      </div>
    </header>
    <main id="main" tabindex="-1"><${view.component} state=${state} /></main>
    <${TokenDialog} />
    <${Announcements} />
  `;
}
