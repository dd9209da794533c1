// What the figures come to: is all that was received stored, and if not, whose fault is it?

import { counted, showCount, showPart, showSpan, sumOf } from './figures.js';

/** The books of all receivers together. */
export function totals(receivers) {
  const all = { received: 0, stored: 0, rejected: 0, dropped: 0, waiting: 0, rates: { received: 0, stored: 0 } };
  for (const each of receivers) {
    for (const name of ['received', 'stored', 'waiting']) all[name] += each[name];
    all.rejected += sumOf(each.rejected);
    all.dropped += sumOf(each.dropped);
    all.rates.received += each.rates.received;
    all.rates.stored += each.rates.stored;
  }
  all.isBalanced = all.received === all.stored + all.rejected + all.dropped + all.waiting;
  return all;
}

/** What the doctor and the daemon complain of, problems first. */
export function findingsOf(store) {
  const own = store.problems.map((says) => ({ problem: true, receivers: [], senders: [], says, do: '' }));
  return [...own, ...together(store.findings)];
}

const NUMBERS = /\d[\d,.]*\d|\d/g;

/**
 * The same fault of several receivers, or with other numbers, is one: `receivers` are those at which it shows,
 * and the numbers are said from the least to the most.
 */
function together(findings) {
  const groups = new Map();
  for (const each of findings) {
    const said = each.lines === null ? each.says : each.says.replace(/^[\d,]+ /, '');
    // What is at no receiver is told of one host or cluster, whose number is its name.
    const key = JSON.stringify([each.problem, each.reason, each.do, each.receiver ? said.replace(NUMBERS, '#') : said]);
    groups.set(key, [...(groups.get(key) ?? []), { ...each, said }]);
  }
  return [...groups.values()].map((group) => {
    const lines = group.every((each) => each.lines !== null) ? group.reduce((sum, each) => sum + each.lines, 0) : null;
    const said = spanOf(group.map((each) => each.said));
    return {
      ...group[0],
      says: lines === null ? said : `${showCount(lines)} ${said}`,
      receivers: [...new Set(group.map((each) => each.receiver).filter(Boolean))],
      senders: [...new Set(group.flatMap((each) => each.senders))],
    };
  });
}

/** Texts that differ only in their numbers, as one with spans of them. */
function spanOf(texts) {
  const numbers = texts.map((text) => text.match(NUMBERS) ?? []);
  let place = 0;
  return texts[0].replace(NUMBERS, () => {
    const found = numbers.map((each) => each[place]);
    place += 1;
    const others = [...new Set(found)].sort((one, other) => valueOf(one) - valueOf(other));
    if (others.length === 1) return others[0];
    // Addresses and versions have no least.
    return others.some((each) => Number.isNaN(valueOf(each)))
      ? others.join(' and ')
      : `${others[0]} to ${others[others.length - 1]}`;
  });
}

const valueOf = (number) => Number(number.replaceAll(',', ''));

/** Mistakes of all receivers, the latest first. */
export function mistakesOf(store) {
  const all = store.receivers.flatMap(({ name, errors }) => errors.map((each) => ({ ...each, receiver: name })));
  return all.sort((one, other) => other.last - one.last || other.count - one.count);
}

/** Who sends most of what is not stored, and why: `{sender, host, reason, count}`, or null. */
export function worst(store) {
  const bySender = new Map();
  for (const each of mistakesOf(store)) {
    const key = `${each.sender}\n${each.reason}`;
    const known = bySender.get(key) ?? { sender: each.sender, host: each.host, reason: each.reason, count: 0 };
    known.count += each.count;
    bySender.set(key, known);
  }
  return [...bySender.values()].sort((one, other) => other.count - one.count)[0] ?? null;
}

/** Seconds that a line waits for no good reason. */
const LONG = 30;

/** Whether what comes in is not stored as it should be. */
export const isStuck = ({ ready, queue }) => queue.waiting > 0 && (!ready || queue.oldest >= LONG);

/**
 * The one sentence: `{level, head, said}`, where the level is `bad`, `warning` or `good`.
 *
 * `error` is what was answered instead of figures, which are then of `age` seconds ago.
 */
export function verdict(store, error, age) {
  if (error) {
    const old = store ? `What stands here is ${showSpan(age)} old. ` : '';
    if (error.kind === 'gone') {
      return { level: 'bad', head: 'The daemon does not answer', said: `${old}It is asked again every few seconds.` };
    }
    return { level: 'bad', head: 'The daemon did not say how it is', said: `${error.message}. ${old}` };
  }
  if (!store.ready) return { level: 'bad', head: 'Nothing can be stored', said: `${store.unready}.` };
  const all = totals(store.receivers);
  if (!all.isBalanced) {
    return { level: 'bad', head: 'The counters do not add up', said: 'This is a mistake of ccstore: please report it.' };
  }
  const { oldest } = store.queue;
  if (isStuck(store)) {
    return { level: 'warning', head: 'Lines wait to be stored', said: `${counted(all.waiting, 'line')} wait, the oldest for ${showSpan(oldest)}: the database is slow, or away.` };
  }
  const problems = findingsOf(store).filter((each) => each.problem);
  if (problems.length) {
    const what = all.received === all.stored + all.waiting ? 'All that was received is stored' : `${showPart(all.stored, all.received - all.waiting)} of the lines are stored`;
    return {
      level: 'warning',
      head: problems.length === 1 ? 'Something needs attention' : `${problems.length} things need attention`,
      said: `${what}; what the doctor says stands below.`,
    };
  }
  if (!all.received) return { level: 'good', head: 'Ready', said: 'Nothing has been received since the start.' };
  const others = all.rejected + all.dropped;
  const said = [];
  if (others) said.push(`${counted(others, 'line')} ${others === 1 ? 'was' : 'were'} left out as configured or harmless`);
  if (all.waiting) said.push(`${counted(all.waiting, 'line')} ${all.waiting === 1 ? 'waits' : 'wait'} to be committed`);
  return { level: 'good', head: 'All is well', said: said.length ? `${said.join('; ')}.` : 'All that was received is stored.' };
}
