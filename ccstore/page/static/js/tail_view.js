// The live tail: what comes appears at the end, and the reader stays where the reader is.

import { Component, html } from './preact.js';
import { MessageList } from './message_list.js';
import { questionOf } from './question.js';
import { showNumber } from './numbers.js';
import { Failed } from './sentences.js';
import { Tail } from './tail.js';
import { setState } from './url_state.js';

/** Milliseconds between two looks at the rate. */
const RATE = 1000;
/** Room for so many messages is said while somebody reads. */
const SCARCE = 5000;

/** What is followed for a state: all that it asks for but the time. */
export function followed(state) {
  const { parameters } = questionOf({ ...state, from: '', to: '' });
  return parameters.filter(([name]) => name !== 'from' && name !== 'to');
}

/** Props: `state`, `found`, `actions`, `listRef`. */
export class TailView extends Component {
  constructor() {
    super();
    this.tail = new Tail(() => this.forceUpdate());
    this.version = 0;
    this.onScrolled = this.onScrolled.bind(this);
    this.gapProps = this.gapProps.bind(this);
  }

  componentDidMount() {
    this.start();
    this.timer = setInterval(() => this.forceUpdate(), RATE);
  }

  componentDidUpdate() {
    if (JSON.stringify(followed(this.props.state)) !== this.key) this.start();
  }

  componentWillUnmount() {
    clearInterval(this.timer);
    this.tail.stop();
  }

  start() {
    const parameters = followed(this.props.state);
    this.key = JSON.stringify(parameters);
    this.parameters = parameters;
    this.version += 1;
    this.tail.start(parameters);
  }

  /** Also called when a row is laid out or gone to: then somebody reads. */
  onScrolled(isAtEnd) {
    this.tail.setReading(!isAtEnd);
  }

  toEnd() {
    this.tail.setReading(false);
    this.forceUpdate();
  }

  gapProps() {
    const shown = new Set(this.tail.held.map((message) => message.id));
    return { parameters: this.parameters, isShown: (id) => shown.has(id) };
  }

  render({ state, found, actions, listRef }) {
    const { tail } = this;
    if (tail.state && tail.state !== true && !tail.count && !['gone', 'busy'].includes(tail.state.kind)) {
      return html`<${Failed} error=${tail.state} state=${state} onAgain=${() => this.start()} />`;
    }
    return html`<div class="tail">
      <div class="tail-bar">
        <p role="status">${this.said()}</p>
        ${
          tail.isReading &&
          html`<button type="button" class="primary" onClick=${() => this.toEnd()}>
          ${tail.unseen ? `${showNumber(tail.unseen)} new ↓` : 'to the newest ↓'}</button>`
        }
        <button type="button" onClick=${() => setState({ tail: false })}>stop</button>
      </div>
      <${MessageList}
        ref=${listRef}
        source=${tail}
        version=${`tail ${this.version}`}
        state=${state}
        found=${found}
        actions=${actions}
        follows=${!tail.isReading}
        onScrolled=${this.onScrolled}
        gapProps=${this.gapProps}
        label="Messages as they come"
      />
    </div>`;
  }

  said() {
    const { tail } = this;
    if (tail.state === null) return 'Connecting …';
    if (tail.state !== true) return `Not connected: ${tail.state.message}. Trying again …`;
    const rate = tail.rate;
    const shown = rate >= 10 ? Math.round(rate) : rate.toFixed(1);
    const { count, missed, room } = tail;
    if (missed) {
      return `Paused while you read: ${showNumber(count - 1)} are held here, ${showNumber(missed)} newer ones are not: fetch them at the end`;
    }
    const held = `${shown} a second, ${showNumber(count)} held here`;
    if (!tail.isReading) return `Following: ${held}`;
    return `Paused while you read: ${held}${room <= SCARCE ? `, room for ${showNumber(room)} more` : ''}`;
  }
}
