// All that is found, as a file: the browser fetches it as any download, and where a token has to be sent, the
// page does, into a file if the browser lets it, else into memory.

import { address, request } from './api.js';
import { token } from './session.js';

export const FORMATS = [
  ['ndjson', 'NDJSON', 'ndjson'],
  ['csv', 'CSV', 'csv'],
  ['sheet', 'CSV for a spreadsheet', 'csv'],
  ['lp', 'line protocol', 'txt'],
];
const TYPES = { ndjson: 'application/x-ndjson', csv: 'text/csv', txt: 'text/plain' };

const asked = (format) =>
  format === 'sheet'
    ? [
        ['format', 'csv'],
        ['spreadsheet', 'true'],
      ]
    : [['format', format]];

/** Whether the browser can do it by itself. */
export const isPlain = () => !token();

/** The name of the file. */
export const fileName = (ending) =>
  `ccstore-${new Date().toISOString().slice(0, 19).replaceAll(':', '')}.${ending}`;

/** The address of an export, for a link. */
export const exportAddress = (parameters, order, format) =>
  address('v1/messages', [...parameters, ['order', order], ...asked(format)]).href;

/**
 * Fetch an export with the token. `onProgress(bytes)` is told how far it is. Where files cannot be written as
 * they come, all of it is held in memory.
 */
export async function fetchExport(parameters, order, [format, , ending], { signal, onProgress }) {
  const name = fileName(ending);
  const file = await picked(name, ending);
  const answer = await request('v1/messages', [...parameters, ['order', order], ...asked(format)], {
    signal,
  });
  let bytes = 0;
  const counted = answer.body.pipeThrough(
    new TransformStream({
      transform(piece, controller) {
        bytes += piece.length;
        onProgress(bytes);
        controller.enqueue(piece);
      },
    }),
  );
  if (file) {
    await counted.pipeTo(await file.createWritable(), { signal });
    return;
  }
  const blob = await new Response(counted).blob();
  const link = document.createElement('a');
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/** The file that somebody chooses, null where there is no such choice. */
async function picked(name, ending) {
  if (!window.showSaveFilePicker) return null;
  return window.showSaveFilePicker({
    suggestedName: name,
    types: [{ accept: { [TYPES[ending]]: [`.${ending}`] } }],
  });
}
