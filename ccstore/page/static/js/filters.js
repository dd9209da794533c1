// Filters on labels: `{label, negated, values, off}`, at most one of each label, sign and switch.

const isSame = (one, other) =>
  one.label === other.label && one.negated === other.negated && one.off === other.off;

/** Those with another value, put beside its like. */
export function withValue(filters, label, value, negated = false, off = false) {
  const wanted = { label, negated, off, values: [value] };
  // What is wanted is not excluded at the same time.
  const others = withoutValue(filters, label, value, !negated);
  const found = others.find((each) => isSame(each, wanted));
  if (!found) return [...others, wanted];
  if (found.values.includes(value)) return others;
  return others.map((each) => (each === found ? { ...each, values: [...each.values, value] } : each));
}

/** Those without a value. */
export function withoutValue(filters, label, value, negated = false) {
  return filters
    .map((each) =>
      each.label === label && each.negated === negated
        ? { ...each, values: each.values.filter((one) => one !== value) }
        : each,
    )
    .filter((each) => each.values.length);
}

/** Those with one changed, which may make it like another one. */
export function changed(filters, old, change) {
  let made = filters.filter((each) => each !== old);
  const now = { ...old, ...change };
  for (const value of now.values) made = withValue(made, now.label, value, now.negated, now.off);
  return made;
}

/** Parameters of the API for them. */
export function toParameters(filters) {
  return filters
    .filter((each) => !each.off)
    .flatMap((each) => each.values.map((value) => [each.label + (each.negated ? '!' : ''), value]));
}

/** Whether a value is chosen (`+`), excluded (`-`), or neither. */
export function stanceOn(filters, label, value) {
  const found = filters.find((each) => !each.off && each.label === label && each.values.includes(value));
  return found ? (found.negated ? '-' : '+') : '';
}
