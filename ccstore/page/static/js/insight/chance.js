// How likely something is by chance, in words.

import { showNumber } from '../numbers.js';

/** What is rarer is not told apart. */
const RAREST = 1e-6;
/** What is more likely says nothing. */
const LIKELY = 0.05;

/** `1 in 3,000`, with one digit that counts; words where a number says no more. */
export function chanceOf(probability) {
  if (probability > LIKELY) return 'quite possible';
  if (probability < RAREST) return 'less than 1 in a million';
  return `1 in ${showNumber(Number((1 / probability).toPrecision(1)))}`;
}

/** How many times as often: `3.1×`, `480×`. */
export const timesOf = (ratio) => `${ratio >= 10 ? showNumber(Number(ratio.toPrecision(2))) : ratio.toFixed(1)}×`;
