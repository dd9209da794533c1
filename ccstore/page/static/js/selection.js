// Text that is selected in the list goes to the clipboard as lines: one for each message.

/** For the event `copy` of a list of rows. What is selected in the details of a message is copied as it is. */
export function copyRows(event) {
  const selection = document.getSelection();
  if (!selection || selection.isCollapsed) return;
  const range = selection.getRangeAt(0);
  const rows = [...event.currentTarget.querySelectorAll('.row')].filter((row) => range.intersectsNode(row));
  if (
    !rows.length ||
    rows.some((row) => [...row.querySelectorAll('.detail')].some((each) => range.intersectsNode(each)))
  )
    return;
  const lines = rows.map((row) =>
    [...row.querySelectorAll('.line > :not(.fold)')]
      .map((cell) => textWithin(cell, range))
      .filter(Boolean)
      .join(' '),
  );
  event.preventDefault();
  event.clipboardData.setData('text/plain', lines.filter(Boolean).join('\n'));
}

/** That part of the text of an element that lies in a range. */
function textWithin(element, range) {
  if (!range.intersectsNode(element)) return '';
  const part = document.createRange();
  part.selectNodeContents(element);
  if (range.compareBoundaryPoints(Range.START_TO_START, part) > 0)
    part.setStart(range.startContainer, range.startOffset);
  if (range.compareBoundaryPoints(Range.END_TO_END, part) < 0)
    part.setEnd(range.endContainer, range.endOffset);
  return part.toString();
}
