// What messages are told apart by.

/** The label that says how bad it is, in the word of the message. */
export const LEVEL = 'level';
/** Labels that the store knows as such; all others are tags. */
export const COLUMNS = ['cluster', 'kind', 'name', 'host', 'type', 'type-id', 'stype', 'stype-id', LEVEL];
/** Tags that say the level, the first that a message has counts. */
const LEVELS = ['loglevel', 'level', 'severity', 'priority'];

/** The labels that are counted beside the messages from the beginning. */
export const USUAL_FACETS = [LEVEL, 'host', 'name', 'cluster', 'kind'];

/** How a label is called on the page. */
export const called = (label) => (label === `tag.${LEVEL}` ? label : label.replace(/^tag\./, ''));

/** The label that somebody means by a word; words that are none are tags. */
export function labelOf(word) {
  if (word === 'hostname') return 'host';
  return COLUMNS.includes(word) || word.startsWith('tag.') ? word : `tag.${word}`;
}

/** What a message has for a label; an empty text if it lacks it. */
export function valueOf(message, label) {
  if (label === 'host') return message.hostname ?? '';
  if (label === LEVEL) return wordOf(message);
  if (label.startsWith('tag.')) return message.tags?.[label.slice(4)] ?? '';
  return message[label] ?? '';
}

/** How bad it is: `error`, `warning`, `info`, `debug`, or an empty text if nothing says so. */
export const levelOf = (message) => levelClass(wordOf(message));

function wordOf(message) {
  const tag = LEVELS.find((each) => message.tags?.[each]);
  return tag ? message.tags[tag] : '';
}

const WORDS = [
  [/^(emerg|alert|crit|fatal|panic|err|[0-3]$)/i, 'error'],
  [/^(warn|4$)/i, 'warning'],
  [/^(notice|info|[56]$)/i, 'info'],
  [/^(debug|trace|7$)/i, 'debug'],
];

/** The colour of a level; levels are never guessed from the text. */
export const levelClass = (value) => WORDS.find(([form]) => form.test(value))?.[1] ?? '';
