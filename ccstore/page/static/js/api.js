// Asking the daemon.

import { noteOpen, token } from './session.js';

/** Characters of a URL above which parameters go into the body. */
const LONGEST = 4000;

/**
 * What was answered instead of an answer.
 *
 * `kind`: `gone` (nobody answers), `token` (401), `forbidden` (403), `slow` (it took too long), `busy` (503),
 * `wrong` (400), `missing` (404) or `failed`.
 */
export class ApiError extends Error {
  constructor(kind, text, status = 0) {
    super(text);
    this.kind = kind;
    this.status = status;
  }
}

const KINDS = { 400: 'wrong', 401: 'token', 403: 'forbidden', 404: 'missing', 503: 'busy' };

/** The address of a call, for a link. */
export function address(path, parameters = []) {
  const url = new URL(`api/${path}`, location.href.split(/[?#]/)[0]);
  url.search = new URLSearchParams(parameters).toString();
  return url;
}

/** The headers that every question has. */
export const headers = () => (token() ? { Authorization: `Bearer ${token()}` } : {});

/** Whether an error is only that we gave up. */
export const isAborted = (error) => error?.name === 'AbortError';

/** The bare answer to a question, or to what changes something (`method`). Throws {@link ApiError}. */
export async function request(path, parameters = [], { signal, accept, method } = {}) {
  const url = address(path, parameters);
  const options = {
    signal,
    headers: { ...headers(), ...(accept ? { Accept: accept } : {}) },
    cache: 'no-store',
  };
  if (method) options.method = method;
  if (url.href.length > LONGEST || method === 'POST') {
    options.method = 'POST';
    options.body = url.search.slice(1);
    url.search = '';
  }
  let answer;
  try {
    answer = await fetch(url, options);
  } catch (error) {
    if (isAborted(error)) throw error;
    throw new ApiError('gone', 'the daemon does not answer');
  }
  if (!token() && (answer.ok || answer.status === 401)) noteOpen(answer.ok);
  if (answer.ok) return answer;
  throw await errorOf(answer);
}

async function errorOf(answer) {
  let text = `the answer was ${answer.status} ${answer.statusText}`;
  try {
    text = (await answer.json()).error ?? text;
  } catch (error) {
    if (isAborted(error)) throw error;
  }
  // How a header has to look is for those who write one.
  text = text.replace(/, as 'Authorization: .*$/, '');
  let kind = KINDS[answer.status] ?? 'failed';
  if (/took longer than/.test(text)) kind = 'slow';
  // A proxy before the daemon answers for it.
  if (answer.status === 502 || answer.status === 504) kind = 'gone';
  return new ApiError(kind, text, answer.status);
}

/** The JSON that is answered. Throws {@link ApiError}. */
export async function ask(path, parameters, options) {
  const answer = await request(path, parameters, options);
  try {
    return await answer.json();
  } catch (error) {
    if (isAborted(error)) throw error;
    throw new ApiError('gone', 'the answer broke off');
  }
}
