// Templates: texts with <num>, <host> and the like for what differs, and how the messages of one are searched for.

import { quote } from './search_language.js';

/** A regular expression for the texts of a template. */
export function expressionOf(template) {
  if (/^[{[].*[}\]]$/s.test(template)) {
    // Of JSON the keys are left, without the spaces between them.
    return [...template.matchAll(/"(?:[^"\\]|\\.)*"(?=:)/g)].map(([key]) => quote(key)).join('.*');
  }
  // What is masked is one word, but for times and lists; all else would find longer texts as well.
  return `^${template
    .split(/(<[a-z]+>…?)/)
    .map((part, place) => (place % 2 ? (/^<time>|…$/.test(part) ? '.+' : '\\S+') : quote(part)))
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
