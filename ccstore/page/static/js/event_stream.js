// Server-sent events over fetch, which unlike EventSource can send a token.

import { ApiError, isAborted, request } from './api.js';

const AGAIN = [1000, 2000, 4000, 8000];

/** Events of one answer: `{event, id, data}`. */
async function* eventsOf(answer) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let left = '';
  let event = {};
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const lines = (left + value).split('\n');
    left = lines.pop();
    for (const line of lines) {
      if (!line) {
        if (event.data !== undefined || event.id) yield event;
        event = {};
        continue;
      }
      const at = line.indexOf(':');
      if (at === 0) continue; // it only keeps the connection alive
      const name = at < 0 ? line : line.slice(0, at);
      const text = at < 0 ? '' : line.slice(at + 1).replace(/^ /, '');
      event[name] = name === 'data' && event.data !== undefined ? `${event.data}\n${text}` : text;
    }
  }
}

/**
 * Follow a path, and go on behind the last event when the connection is lost. `onEvent` is given each event (what
 * is of the past has no id), `onState` true when it is connected and the {@link ApiError} when it is not. Ends
 * with the signal, or with an error that does not pass by itself.
 */
export async function follow(path, parameters, { signal, onEvent, onState }) {
  let last = null;
  let attempt = 0;
  while (!signal.aborted) {
    try {
      const more = last ? [...parameters.filter(([name]) => name !== 'limit'), ['cursor', last]] : parameters;
      const answer = await request(path, more, { signal, accept: 'text/event-stream' });
      onState(true);
      attempt = 0;
      for await (const event of eventsOf(answer)) {
        if (event.id) last = event.id;
        if (event.data !== undefined && event.event) onEvent(event.event, event.data, event.id);
      }
      onState(new ApiError('gone', 'the connection ended'));
    } catch (error) {
      if (isAborted(error) || signal.aborted) return;
      const said = error instanceof ApiError ? error : new ApiError('gone', 'the connection was lost');
      onState(said);
      if (!['gone', 'busy', 'failed'].includes(said.kind)) return;
    }
    await pause(AGAIN[Math.min(attempt++, AGAIN.length - 1)], signal);
  }
}

function pause(ms, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener('abort', () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
