// A part of a plot is chosen by finger or pen as by the mouse, which is all that the plot library knows.

/** Pixels: what is less was a tap. */
const DRAGGED = 8;

/**
 * `onDrag(left, right)` while somebody drags, `onEnd(left, right)` at its end, or without places if it was nothing;
 * `onTap(left)` behind that if it was a tap.
 */
export function brushByTouch(plot, { onDrag, onEnd, onTap }) {
  const { over } = plot;
  let from = null;
  const place = (event) => {
    const { left, width } = over.getBoundingClientRect();
    return Math.min(width, Math.max(0, event.clientX - left));
  };
  const span = (event) => [from, place(event)].sort((one, other) => one - other);
  const show = (left, width) => plot.setSelect({ left, width, top: 0, height: over.clientHeight }, false);
  over.addEventListener('pointerdown', (event) => {
    if (event.pointerType === 'mouse' || !event.isPrimary) return;
    // Events of a mouse that are made up behind a touch do not always come, and would be one tap too many.
    event.preventDefault();
    from = place(event);
    over.setPointerCapture(event.pointerId);
  });
  over.addEventListener('pointermove', (event) => {
    if (from === null) return;
    const [left, right] = span(event);
    show(left, right - left);
    onDrag(left, right);
  });
  over.addEventListener('pointerup', (event) => {
    if (from === null) return;
    const [left, right] = span(event);
    from = null;
    show(0, 0);
    if (right - left >= DRAGGED) {
      onEnd(left, right);
    } else {
      onEnd();
      onTap(left);
    }
  });
  over.addEventListener('pointercancel', () => {
    from = null;
    show(0, 0);
    onEnd();
  });
}
