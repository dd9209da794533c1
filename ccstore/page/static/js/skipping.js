// The way past all that stands before what the page is for.

import { html } from './preact.js';

/** Give the focus to the row that is looked at, or to what is scrolled. */
export function toContent() {
  const main = document.getElementById('main');
  const found = ['.row.current .fold', '.row .fold', '[role="region"]'].map((each) => main.querySelector(each));
  (found.find(Boolean) ?? main).focus();
}

/** The first stop of the Tab key, seen when it is there. */
export function SkipLink() {
  return html`<a class="skip" href="#main" onClick=${(event) => {
    event.preventDefault(); // the address stays what it is
    toContent();
  }}>to the messages</a>`;
}
