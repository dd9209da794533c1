// Host lists as Slurm writes them: `a[0101-0110,0200]`.

/** Names, or lists of them, as few lists; what has no number stays as it is. */
export function fold(names) {
  const groups = new Map();
  const order = [];
  for (const name of names) {
    const found = /[[\]*,]/.test(name) ? null : /^(.*?)(\d{1,15})(\D*)$/.exec(name);
    if (!found) {
      order.push([name]);
      continue;
    }
    const [, before, digits, after] = found;
    const key = `${before}\0${digits.length}\0${after}`;
    if (!groups.has(key)) {
      groups.set(key, { before, after, width: digits.length, numbers: [] });
      order.push([null, key]);
    }
    groups.get(key).numbers.push(Number(digits));
  }
  return order.map(([name, key]) => name ?? folded(groups.get(key)));
}

function folded({ before, after, width, numbers }) {
  const show = (number) => String(number).padStart(width, '0');
  const ranges = [];
  for (const number of [...new Set(numbers)].sort((one, other) => one - other)) {
    const last = ranges[ranges.length - 1];
    if (last && number === last[1] + 1) last[1] = number;
    else ranges.push([number, number]);
  }
  if (ranges.length === 1 && ranges[0][0] === ranges[0][1]) return before + show(ranges[0][0]) + after;
  const inner = ranges.map(([first, last]) =>
    first === last ? show(first) : `${show(first)}-${show(last)}`,
  );
  return `${before}[${inner.join(',')}]${after}`;
}

/** Whether a host is one of a list, a pattern or a name. */
export function holds(list, host) {
  if (list === host) return true;
  return parts(list).some((part) => {
    if (part === host) return true;
    const form = part.replace(/\[([^\]]*)\]|\*|[\\^$.+?()|{}]/g, (found, inner) => {
      if (found === '*') return '.*';
      return inner === undefined ? `\\${found}` : `(\\d+)`;
    });
    const hit = new RegExp(`^${form}$`).exec(host);
    if (!hit) return false;
    const inners = [...part.matchAll(/\[([^\]]*)\]/g)].map((each) => each[1]);
    return inners.every((inner, at) => inner.split(',').some((range) => isIn(range, hit[at + 1])));
  });
}

function isIn(range, digits) {
  const [first, last = first] = range.split('-');
  return digits.length === first.length && Number(digits) >= Number(first) && Number(digits) <= Number(last);
}

/** The parts of a list: commas outside of brackets divide it. */
const parts = (list) => list.match(/(?:\[[^\]]*\]|[^,[])+/g) ?? [];

/** The names of a list, so many at most. */
export function expand(list, most = 4096) {
  const names = [];
  for (const part of parts(list)) {
    const found = /^(.*?)\[([^\]]*)\](.*)$/.exec(part);
    if (!found) {
      names.push(part);
      continue;
    }
    for (const range of found[2].split(',')) {
      const [first, last = first] = range.split('-');
      for (let number = Number(first); number <= Number(last) && names.length < most; number += 1) {
        const name = `${found[1]}${String(number).padStart(first.length, '0')}${found[3]}`;
        if (found[3].includes('[')) names.push(...expand(name, most - names.length));
        else names.push(name);
      }
    }
  }
  return names.slice(0, most);
}
