// What messages are told apart by.

/** Labels that are columns of the store; all others are tags. */
export const COLUMNS = ['cluster', 'kind', 'name', 'host', 'type', 'type-id', 'stype', 'stype-id'];
/** Tags that say how bad it is, the first that a message has counts. */
const LEVELS = ['loglevel', 'level', 'severity', 'priority'];
/** What stands for whatever tag says the level. */
export const LEVEL_LABEL = 'level';
/** The label of the level: that of the tag which the messages have, as far as some were seen. */
export let LEVEL = 'tag.loglevel';

/** Look at messages for the tag that says the level; true if it is another one than was thought. */
export function learnLevel(messages) {
  const tag = LEVELS.find((each) => messages.some((message) => message.tags?.[each]));
  if (!tag || LEVEL === `tag.${tag}`) return false;
  LEVEL = `tag.${tag}`;
  return true;
}

/** The labels that are counted beside the messages from the beginning. */
export const USUAL_FACETS = [LEVEL_LABEL, 'host', 'name', 'cluster', 'kind'];

/** The label that is meant by one of the state, where `level` is whatever tag says it. */
export const meant = (label) => (label === LEVEL_LABEL ? LEVEL : label);

/** How a label is called on the page. */
export const called = (label) =>
  label === LEVEL || label === LEVEL_LABEL ? LEVEL_LABEL : label.replace(/^tag\./, '');

/** The label that somebody means by a word; words that are none are tags. */
export function labelOf(word) {
  if (word === 'hostname') return 'host';
  if (word === 'level') return LEVEL;
  return COLUMNS.includes(word) || word.startsWith('tag.') ? word : `tag.${word}`;
}

/** What a message has for a label; an empty text if it lacks it. */
export function valueOf(message, label) {
  if (label === 'host') return message.hostname ?? '';
  if (label === LEVEL_LABEL) return levelTag(message);
  if (label.startsWith('tag.')) return message.tags?.[label.slice(4)] ?? '';
  return message[label] ?? '';
}

/** How bad it is: `error`, `warning`, `info`, `debug`, or an empty text if nothing says so. */
export function levelOf(message) {
  const value = levelTag(message);
  return value && levelClass(value);
}

/** The level as the message has it; an empty text if it has none. */
function levelTag({ tags }) {
  for (const tag of LEVELS) if (tags?.[tag]) return tags[tag];
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
