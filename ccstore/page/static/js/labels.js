// What messages are told apart by.

/** Labels that are columns of the store; all others are tags. */
export const COLUMNS = ['cluster', 'kind', 'name', 'host', 'type', 'type-id', 'stype', 'stype-id'];
/** Tags that say how bad it is, the first that a message has counts. */
const LEVELS = ['loglevel', 'level', 'severity', 'priority'];
export const LEVEL = 'tag.loglevel';
/** Those that are counted beside the messages from the beginning. */
export const FACETS = [LEVEL, 'host', 'name', 'cluster', 'kind'];

const CALLED = { [LEVEL]: 'level' };

/** How a label is called on the page. */
export const called = (label) => CALLED[label] ?? label.replace(/^tag\./, '');

/** The label that somebody means by a word; words that are none are tags. */
export function labelOf(word) {
  if (word === 'hostname') return 'host';
  if (word === 'level') return LEVEL;
  return COLUMNS.includes(word) || word.startsWith('tag.') ? word : `tag.${word}`;
}

/** What a message has for a label; an empty text if it lacks it. */
export function valueOf(message, label) {
  if (label === 'host') return message.hostname ?? '';
  if (label.startsWith('tag.')) return message.tags?.[label.slice(4)] ?? '';
  return message[label] ?? '';
}

/** How bad it is: `error`, `warning`, `info`, `debug`, or an empty text if nothing says so. */
export function levelOf(message) {
  for (const tag of LEVELS) {
    const value = message.tags?.[tag];
    if (value) return levelClass(value);
  }
  return '';
}

const WORDS = [
  [/^(emerg|alert|crit|fatal|panic|err|[0-3]$)/i, 'error'],
  [/^(warn|4$)/i, 'warning'],
  [/^(notice|info|[56]$)/i, 'info'],
  [/^(debug|trace|7$)/i, 'debug'],
];

/** The colour of a level; levels are never guessed from the text. */
export const levelClass = (value) => WORDS.find(([form]) => form.test(value))?.[1] ?? '';
