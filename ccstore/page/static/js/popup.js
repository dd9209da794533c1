// A button that opens something below it, which goes again at Escape or a click elsewhere.

import { html, useEffect, useRef, useState } from './preact.js';

/** Props: `label` (what the button shows), `name` (what it is called), `children`: a function of `close`. */
export function Popup({ label, name, children, class: kind = '', isRight = false }) {
  const [isOpen, setOpen] = useState(false);
  const [whole, button] = [useRef(), useRef()];
  const close = () => {
    setOpen(false);
    button.current?.focus();
  };
  useEffect(() => {
    if (!isOpen) return undefined;
    const onDown = (event) => {
      if (!whole.current.contains(event.target)) setOpen(false);
    };
    // Also when what had the focus is gone.
    const onKeyDown = (event) => {
      if (event.key !== 'Escape') return;
      event.stopPropagation();
      close();
    };
    document.addEventListener('pointerdown', onDown);
    document.addEventListener('keydown', onKeyDown, true);
    return () => {
      document.removeEventListener('pointerdown', onDown);
      document.removeEventListener('keydown', onKeyDown, true);
    };
  }, [isOpen]);
  const render = Array.isArray(children) ? children.find((each) => typeof each === 'function') : children;
  return html`<div class=${`popup ${kind}`} ref=${whole}>
    <button type="button" ref=${button} aria-expanded=${isOpen} aria-haspopup="dialog" aria-label=${name}
      title=${name} onClick=${() => setOpen(!isOpen)}>${label}</button>
    ${isOpen && html`<div class=${`popped ${isRight ? 'right' : ''}`} role="dialog"
      aria-label=${name}>${render(close)}</div>`}
  </div>`;
}
