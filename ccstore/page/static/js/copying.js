// Copying: to the clipboard, also where the browser lets pages use it only over TLS.

import { html, useState } from './preact.js';
import { announce } from './announcements.js';

/** Put a text on the clipboard, and say so. */
export async function copy(text, what) {
  const isDone = await toClipboard(text);
  announce(isDone ? `Copied: ${what}` : 'The browser did not let the page copy');
}

async function toClipboard(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Without TLS there is no such thing but on this machine itself.
    const area = document.createElement('textarea');
    area.value = text;
    area.className = 'unseen';
    document.body.append(area);
    area.select();
    const isDone = document.execCommand('copy');
    area.remove();
    return isDone;
  }
}

/** A command, and a button that copies it. */
export function Command({ text }) {
  const [isCopied, setCopied] = useState(false);
  return html`<div class="command">
    <pre tabindex="0" aria-label="Command">${text}</pre>
    <button type="button" onClick=${async () => {
      await copy(text, 'the command');
      setCopied(true);
    }}>${isCopied ? 'Copied' : 'Copy'}</button>
  </div>`;
}
