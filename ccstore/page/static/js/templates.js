// Templates: texts with <num>, <host> and the like for what differs, and how the messages of one are searched for.

import { quote } from './search_language.js';

/** What may stand for a placeholder: as little as RE2, which looks at nothing around it, can say in a few characters. */
const MASKED = {
  num: '[-+.\\deE]*\\d',
  ip: '[\\da-fA-F.:/]+',
  hex: '[\\da-fA-FxX]+',
  path: '/\\S*',
  size: '\\d\\S*',
  duration: '\\d\\S*',
  time: '.+',
};
/** Of those that are not there, such as names of hosts: one word. */
const WORD = '\\S+';

/**
 * A regular expression for the texts of a template. It finds all of them, and a text of another template only if that differs
 * in what is masked, as an address does from a number.
 */
export function expressionOf(template) {
  if (/^[{[].*[}\]]$/s.test(template)) {
    // Of JSON the keys are left, without the spaces between them.
    return [...template.matchAll(/"(?:[^"\\]|\\.)*"(?=:)/g)].map(([key]) => quote(key)).join('.*');
  }
  // A list has any length.
  return `^${template
    .split(/(<[a-z]+>…?)/)
    .map((part, place) => (place % 2 ? (part.endsWith('…') ? '.+' : (MASKED[part.slice(1, -1)] ?? WORD)) : quote(part)))
    .join('')}$`;
}

/** The search line that finds them. */
export const lineFor = (template) => `/${expressionOf(template).replaceAll('/', '\\/')}/`;

/** What the messages of a template are, as a state of the page. */
export function messagesOf({ template, name, cluster, hosts, from, to }) {
  const filter = (label, value) => (value ? [{ label, negated: false, off: false, values: [value] }] : []);
  return {
    view: 'search',
    from,
    to,
    q: template ? lineFor(template) : '',
    filters: [...filter('cluster', cluster), ...filter('host', hosts), ...filter('name', name)],
  };
}
