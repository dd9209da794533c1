// A spark line: how many there were when, as small bars.

import { html } from './preact.js';

const WIDTH = 120;
const HEIGHT = 20;

/** Props: `points` (`[seconds, count]`), `span` (milliseconds of its ends), `step` (seconds), `label`. */
export function Spark({ points, span, step, label }) {
  const [from, to] = span.map((each) => each / 1000);
  const most = Math.max(1, ...points.map(([, count]) => count));
  const wide = Math.max(1, (WIDTH * step) / (to - from) - 0.4);
  const bars = points.map(([at, count]) => {
    const left = Math.min(WIDTH - wide, Math.max(0, (WIDTH * (at - from)) / (to - from)));
    const high = Math.max(1.5, (HEIGHT * count) / most);
    return `M${left.toFixed(1)} ${HEIGHT}v${(-high).toFixed(1)}h${wide.toFixed(1)}v${high.toFixed(1)}z`;
  });
  return html`<svg class="spark" role="img" aria-label=${label} width=${WIDTH} height=${HEIGHT} viewBox=${`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none">
    <path d=${bars.join('')} /></svg>`;
}
