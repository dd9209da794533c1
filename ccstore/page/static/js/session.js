// The token: kept by the browser for this tab and no longer, and in no link.

const KEY = 'ccstore-token';
const watchers = new Set();

/** The token, an empty text if there is none. */
export function token() {
  try {
    return sessionStorage.getItem(KEY) ?? '';
  } catch {
    return held; // a browser that keeps nothing
  }
}

let held = '';

/** Keep another one, or none. */
export function setToken(text) {
  held = text.trim().replace(/^bearer\s+/i, '');
  try {
    if (held) sessionStorage.setItem(KEY, held);
    else sessionStorage.removeItem(KEY);
  } catch {
    // It is held as long as the page is.
  }
  for (const watcher of watchers) watcher(held);
}

/** Be told of another token; gives what ends it. */
export function onToken(watcher) {
  watchers.add(watcher);
  return () => watchers.delete(watcher);
}
