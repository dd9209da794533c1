// The token: kept by the browser for this tab and no longer, and in no link.

const KEY = 'ccstore-token';
const watchers = new Set();
let held = '';

/** The token, an empty text if there is none. */
export function token() {
  try {
    return sessionStorage.getItem(KEY) ?? '';
  } catch {
    return held; // a browser that keeps nothing
  }
}

/** Whether the daemon answers without a token; null as long as nobody knows. */
export let isOpen = null;

/** A question was answered, or refused, without a token. */
export function noteOpen(isAnswered) {
  if (isOpen === isAnswered) return;
  isOpen = isAnswered;
  for (const watcher of watchers) watcher(token(), false);
}

/** Keep another one, or none. */
export function setToken(text) {
  held = text.trim().replace(/^bearer\s+/i, '');
  try {
    if (held) sessionStorage.setItem(KEY, held);
    else sessionStorage.removeItem(KEY);
  } catch {
    // It is held as long as the page is.
  }
  for (const watcher of watchers) watcher(held, true);
}

/** Be told of another token (`isOther`), or of whether one is needed; gives what ends it. */
export function onToken(watcher) {
  watchers.add(watcher);
  return () => watchers.delete(watcher);
}
