// Numbers, for people.

const form = new Intl.NumberFormat('en');

/** A number with its thousands apart. */
export const showNumber = (value) => form.format(value);
