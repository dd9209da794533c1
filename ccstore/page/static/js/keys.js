// Keys that work wherever nobody types.

import { useEffect } from './preact.js';

export const KEYS = [
  ['/', 'to the search line'],
  ['m', 'to the messages'],
  ['n', 'next hit'],
  ['N', 'hit before'],
  ['t', 'live tail, and back'],
  ['f', 'equal messages folded into one row each, and back'],
  ['w', 'long lines wrapped, or in one line'],
  ['↑ ↓', 'other messages, and other values beside them (there ← →, too)'],
  ['Enter', 'all about the message'],
  ['Esc', 'close what is open'],
  ['1 2 3 …', 'the views, in their order'],
  ['?', 'this help'],
];

/** Whether keys are for what has the focus. */
function isTyping(target) {
  if (document.querySelector('dialog[open]')) return true;
  return Boolean(target.closest?.('input:not([type="checkbox"]), textarea, select, [contenteditable]'));
}

/** Let keys do something as long as a component is there: functions by the key. */
export function useKeys(actions) {
  useEffect(() => {
    const onKey = (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
      const act = actions[event.key];
      if (!act || isTyping(event.target)) return;
      event.preventDefault();
      act();
    };
    document.addEventListener('keydown', onKey);
    return () => document.removeEventListener('keydown', onKey);
  });
}
