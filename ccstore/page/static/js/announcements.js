// Short words about what was done: shown for a moment, and said by screen readers.

import { html, useEffect, useState } from './preact.js';

const SHOWN = 3000;
let say = () => {};

/** Say something. */
export const announce = (text) => say(text);

/** Where it is shown. */
export function Announcements() {
  const [text, setText] = useState('');
  useEffect(() => {
    let timer;
    say = (given) => {
      clearTimeout(timer);
      setText(given);
      timer = setTimeout(() => setText(''), SHOWN);
    };
    return () => clearTimeout(timer);
  }, []);
  return html`<div class=${`announcement ${text ? '' : 'silent'}`} role="status" aria-live="polite">${text}</div>`;
}
