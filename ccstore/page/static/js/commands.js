// The question of the page as commands for a shell.

import { address } from './api.js';
import { COLUMNS } from './labels.js';
import { token } from './session.js';

/** Quoted for a shell, where it has to be. */
export const quoted = (text) => (/^[\w./:@%+,=-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);

/** `curl` for all of the messages, one a line; a time that is relative stays so if the API knows it. */
export function curlCommand(parameters, order, state) {
  const all = [
    ...parameters.map(([name, value]) => [name, name in ENDS ? relative(state[name]) ?? value : value]),
    ...(order === 'oldest' ? [['order', order]] : []),
    ['format', 'ndjson'],
  ];
  const url = address('v1/messages').href;
  const secret = token() ? ' -H "Authorization: Bearer $TOKEN"' : '';
  const given = all.map(([name, value]) => ` \\\n  --data-urlencode ${quoted(`${name}=${value}`)}`).join('');
  return `curl -sG${secret} ${quoted(url)}${given}`;
}

const ENDS = { from: true, to: true };
/** How the API is told of `-24h`, `now-24h` or `now`; undefined for all else. */
const relative = (text) => (/^(?:(?:now)?-[\d.]+[a-z].*|now)$/.test(text) ? text.replace(/^now-/, '-') : undefined);

const OPTIONS = {
  cluster: '--cluster',
  kind: '--kind',
  name: '--name',
  host: '--host',
  type: '--type',
  'type-id': '--type-ids',
  stype: '--subtype',
  'stype-id': '--subtype-ids',
  level: '--level',
  text: '--grep',
  'text!': '--not-grep',
  regex: '--regex',
  'regex!': '--not-regex',
  from: '--from',
  to: '--to',
};

/** `ccstore query` for the same messages; what it has no option for is said behind it. */
export function queryCommand(parameters, order, state) {
  const words = ['ccstore', 'query', '--url', root()];
  const left = [];
  for (const [name, value] of parameters) {
    const bare = name.replace(/!$/, '');
    if (name === 'from') words.push('--from', state.from || '1970-01-02');
    else if (name === 'to') words.push('--to', state.to);
    else if (OPTIONS[name] && (value || !COLUMNS.includes(name))) words.push(OPTIONS[name], value);
    else if (bare.startsWith('tag.') || COLUMNS.includes(bare))
      words.push('--tag', `${label(bare)}${bare === name ? '' : '!'}=${value}`);
    else left.push(`${name}=${value}`);
  }
  if (order === 'newest') words.push('--reverse');
  if (state.utc) words.push('--utc');
  const command = words.map(quoted).join(' ');
  // Options whose value begins with a dash need the sign between them.
  const joined = command.replace(/(--[a-z-]+) (?=-|'-)/g, '$1=');
  return left.length ? `${joined}  # but for ${left.join(' and ')}, for which it has no option` : joined;
}

/** A label as `--tag` names it: a tag that is called as a column is keeps its prefix. */
const label = (bare) => {
  const tag = bare.replace(/^tag\./, '');
  return [...COLUMNS, 'hostname'].includes(tag) ? bare : tag;
};

/** Where the daemon is, as clients are told. */
const root = () => address('').href.replace(/\/api\/$/, '');
