// What can be done with one message.

import { copy } from './copying.js';
import { settled } from './question.js';
import { getState, linkTo, setState } from './url_state.js';

/** Props of rows; `question` gives the one that is shown. */
export function messageActions(question) {
  return {
    context: (message) => setState({ m: message.id }),
    copyLink: (message) =>
      copy(linkTo({ ...settled(getState(), question()), m: message.id }), 'a link to the message'),
    copyText: (message) => copy(message.text, 'the text'),
    copyJson: (message) => copy(JSON.stringify(message, null, 2), 'the message as JSON'),
  };
}
