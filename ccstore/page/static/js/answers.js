// The answer to one question at a time, for a view that shows just this.

import { useEffect, useState } from './preact.js';
import { ask, isAborted } from './api.js';
import { onToken } from './session.js';
import { askForToken } from './token_dialog.js';

/**
 * `{answer, error, isRunning, again}` of a call; nothing is asked without a path. An answer is never that of another
 * question than the one of now.
 *
 * `every`: milliseconds after which the same is asked again, as long as somebody can see it.
 */
export function useAnswer(path, parameters = [], { every } = {}) {
  const key = path && JSON.stringify([path, parameters]);
  const [tries, setTries] = useState(0);
  const [found, set] = useState({});
  const again = () => setTries((number) => number + 1);
  useEffect(() => {
    if (!key) return undefined;
    const controller = new AbortController();
    const keep = (more) => set({ key, ...more });
    ask(path, parameters, { signal: controller.signal }).then(
      (answer) => keep({ answer }),
      (error) => {
        if (isAborted(error)) return;
        keep({ error });
        if (error.kind === 'token') askForToken(error.message);
      },
    );
    return () => controller.abort();
  }, [key, tries]);
  useEffect(() => onToken((held, isOther) => isOther && again()), []);
  useEffect(() => {
    if (!every) return undefined;
    const timer = setInterval(() => document.hidden || again(), every);
    return () => clearInterval(timer);
  }, [every]);
  const { answer, error } = found.key === key ? found : {};
  return { answer, error, isRunning: Boolean(key) && !answer && !error, again };
}
