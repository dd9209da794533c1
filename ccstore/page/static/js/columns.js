// How wide the columns of messages are: by what some of them have.

import { LEVEL, valueOf } from './labels.js';

/** Messages that are looked at, and characters that a column has at least and at most. */
const SAMPLE = 300;
const NARROWEST = 4;
const WIDEST = 28;

/** The labels that are columns if nobody has chosen: host and name, and the cluster and the level where they differ. */
export function usualColumns(messages) {
  const differ = (label) => new Set(messages.map((message) => valueOf(message, label))).size > 1;
  return [
    ...(differ('cluster') ? ['cluster'] : []),
    'host',
    'name',
    ...(differ(LEVEL) ? [LEVEL] : []),
  ];
}

/** The columns of the grid for some messages, in the words of CSS. */
export function columnsFor(messages, labels) {
  const widths = labels.map(() => NARROWEST);
  for (const message of messages.slice(0, SAMPLE)) {
    if (!message || message.gap) continue;
    labels.forEach((label, at) => (widths[at] = Math.max(widths[at], valueOf(message, label).length)));
  }
  return [
    '1.4rem',
    '24ch',
    ...widths.map((width) => `${Math.min(width, WIDEST) + 1}ch`),
    'minmax(0, 1fr)',
  ].join(' ');
}
