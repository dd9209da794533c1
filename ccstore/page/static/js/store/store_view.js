// The screen about the store itself: how it is, at a glance, and then in detail.

import { Component, html } from '../preact.js';
import { onToken } from '../session.js';
import { askForToken } from '../token_dialog.js';
import { Facts, Holdings } from './holdings.js';
import { Findings, Mistakes } from './mistakes.js';
import { Keeping } from './keeping.js';
import { clock } from './moments_here.js';
import { Plots } from './plots.js';
import { Receivers } from './receivers.js';
import { Senders } from './sender_list.js';
import { StoreSource } from './store_source.js';
import { Summary } from './summary.js';
import { verdict } from './verdict.js';

const SIGNS = { good: '✓', warning: '!', bad: '✕' };

export class StoreView extends Component {
  constructor() {
    super();
    this.source = new StoreSource(() => this.changed());
  }

  componentDidMount() {
    this.end = onToken((held, isOther) => isOther && this.source.again());
    this.source.start();
  }

  componentWillUnmount() {
    this.end();
    this.source.stop();
  }

  changed() {
    const { error } = this.source;
    // Asked for once, and again only when another token was not good either.
    if (error?.kind === 'token' && !this.wasAsked) askForToken(error.message);
    this.wasAsked = error?.kind === 'token';
    this.forceUpdate();
  }

  render({ state }) {
    const { store, history, error, at } = this.source;
    if (!store && !error) return html`<p class="sentence hint" role="status">Looking …</p>`;
    const { level, head, said } = verdict(store, error, at === null ? 0 : (Date.now() - at) / 1000);
    return html`<div class=${`store-view ${error ? 'old' : ''}`} tabindex="0" role="region" aria-label="The store">
      <header class=${`verdict ${level}`}>
        <span class="sign" aria-hidden="true">${SIGNS[level]}</span>
        <div role="status"><h1>${head}</h1><p>${said[0].toUpperCase() + said.slice(1)}</p></div>
        ${error
          ? html`<button type="button" onClick=${() => this.source.again()}>Ask again now</button>`
          : html`<p class="hint as-of">as of ${clock(at, state.utc)}</p>`}
      </header>
      ${store && this.details(store, history, state)}
    </div>`;
  }

  details(store, history, state) {
    const isUtc = state.utc;
    return html`<div class="details">
      <${Summary} store=${store} isUtc=${isUtc} />
      <${Findings} store=${store} />
      <${Receivers} receivers=${store.receivers} />
      <${Senders} state=${state} />
      <${Mistakes} store=${store} isUtc=${isUtc} />
      ${history && html`<${Plots} history=${history} isUtc=${isUtc} />`}
      <${Keeping} isUtc=${isUtc} />
      <div class="beside"><${Holdings} store=${store} isUtc=${isUtc} /><${Facts} store=${store} /></div>
    </div>`;
  }
}
