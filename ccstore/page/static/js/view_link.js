// Links from one view to another: real ones, that can be opened in another tab.

import { html } from './preact.js';
import { DEFAULTS, getState, setState, writeState } from './url_state.js';

/** Props: `to`: what of the state is not as it is by itself; the zone stays. */
export function ViewLink({ to, children, ...others }) {
  const next = () => ({ ...DEFAULTS, utc: getState().utc, others: [], ...to });
  return html`<a href=${writeState(next()) || location.pathname} ...${others} onClick=${(event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    setState(next());
  }}>${children}</a>`;
}
