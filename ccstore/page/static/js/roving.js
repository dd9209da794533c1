// A group of buttons and links that is one stop of the Tab key; the arrow keys go between them.

const STEPS = { ArrowDown: [1, 0], ArrowUp: [-1, 0], ArrowRight: [0, 1], ArrowLeft: [0, -1] };

/** What can have the focus in a row. */
const STOPS = 'button, a';

/** For the event `keydown` of a group: rows are what `row` selects in it, each with some buttons or links. */
export function rove(event, row) {
  const [down, right] = STEPS[event.key] ?? [];
  const group = event.currentTarget;
  const here = event.target.closest(row);
  if (down === undefined || !here || event.altKey || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  const rows = [...group.querySelectorAll(row)];
  const line = rows[Math.min(rows.length - 1, Math.max(0, rows.indexOf(here) + down))];
  const place = [...here.querySelectorAll(STOPS)].indexOf(event.target) + right;
  const buttons = line.querySelectorAll(STOPS);
  buttons[Math.min(buttons.length - 1, Math.max(0, place))]?.focus();
}
