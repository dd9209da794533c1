// The screen on which messages are searched for.

import { Component, html } from './preact.js';
import { usualColumns } from './columns.js';
import { ContextPanel } from './context_panel.js';
import { Counts } from './counts.js';
import { Facets, tagsOf } from './facets.js';
import { FoldView } from './fold_view.js';
import { Histogram } from './histogram.js';
import { useKeys } from './keys.js';
import { finders } from './marking.js';
import { messageActions } from './message_actions.js';
import { MessageList } from './message_list.js';
import { Pills } from './pills.js';
import { ResultBar } from './result_bar.js';
import { Search } from './search.js';
import { SearchLine } from './search_line.js';
import { Failed, NoMessages } from './sentences.js';
import { onToken } from './session.js';
import { toContent } from './skipping.js';
import { TailView } from './tail_view.js';
import { TimeRange } from './time_range.js';
import { askForToken } from './token_dialog.js';
import { setState } from './url_state.js';

/** Messages that are looked at for what they have. */
const FIRST = 200;

function Keys({ actions }) {
  useKeys(actions);
  return null;
}

export class SearchView extends Component {
  constructor(props) {
    super(props);
    this.search = new Search(new Counts());
    this.tags = [];
    this.columns = usualColumns([]);
    this.lookedAt = null;
    this.again = this.again.bind(this);
    this.keys = {
      '/': () => document.getElementById('search').select(),
      m: toContent,
      n: () => (this.panel ?? this.list)?.next(1),
      N: () => (this.panel ?? this.list)?.next(-1),
      f: () => setState({ fold: !this.props.state.fold, tail: false }),
      t: () => setState({ tail: !this.props.state.tail, fold: false }),
      w: () => setState({ wrap: !this.props.state.wrap }, { replace: true }),
    };
    this.keepList = (list) => (this.list = list);
    this.actions = messageActions(() => this.search.question);
    this.closeFacets = () =>
      this.setState({ hasFacets: false }, () => document.querySelector('.result-bar .for-phone').focus());
  }

  componentDidMount() {
    this.ends = [
      this.search.watch(() => this.changed()),
      onToken((held, isOther) => isOther && this.again()),
    ];
    this.search.update(this.props.state);
  }

  componentWillReceiveProps(next) {
    // Asked before all of it is drawn again: the answer is under way meanwhile.
    if (next.state !== this.props.state) this.search.update(next.state);
  }

  componentWillUnmount() {
    for (const end of this.ends) end();
    this.search.stop();
  }

  again() {
    this.search.run(this.props.state);
  }

  changed() {
    const { error } = this.search;
    if (error?.kind === 'token' && error !== this.toldOf) {
      this.toldOf = error;
      askForToken(error.message);
    }
    this.forceUpdate();
  }

  render(props) {
    const { search } = this;
    const { results, question } = search;
    const state = this.withColumns(props.state);
    const labels = this.labels();
    const isOther = search.isOther && !state.tail;
    return html`<div class=${`search-view ${isOther ? 'of-before' : ''}`}>
      <${Keys} actions=${this.keys} />
      <div class="asking">
        <${TimeRange} state=${state} question=${question} />
        <${SearchLine} state=${state} onAgain=${this.again} />
      </div>
      <${Pills} filters=${state.filters} />
      <div class=${`working ${search.isRunning ? '' : 'idle'}`} aria-hidden="true"></div>
      <${Histogram} counts=${search.counts} state=${state} labels=${labels} />
      ${
        search.error &&
        results &&
        ['gone', 'busy'].includes(search.error.kind) &&
        html`<p class="banner" role="alert">
        ${search.isGone ? 'The daemon does not answer; it is asked again every few seconds.' : `${search.error.message}.`}
        ${isOther ? 'What you see is of the search before, not of this one.' : 'What you see is from before.'}
        <button type="button" onClick=${this.again}>Try now</button></p>`
      }
      <div class=${`found ${this.state.hasFacets ? 'with-facets' : ''}`}>
        <${Facets} counts=${search.counts} state=${state} labels=${labels} onClose=${this.closeFacets} />
        <section class="messages" aria-label="Messages" aria-busy=${search.isRunning}>
          <${ResultBar} search=${search} state=${state} labels=${labels} held=${() => this.list?.held ?? []}
            facets=${{ isOpen: this.state.hasFacets, flip: () => this.setState({ hasFacets: !this.state.hasFacets }) }} />
          ${
            state.tail
              ? html`<${TailView} listRef=${this.keepList} state=${state} found=${this.found()}
                actions=${this.actions} />`
              : this.body(results, state)
          }
        </section>
        ${state.m && html`<${ContextPanel} ref=${(panel) => (this.panel = panel)} state=${state}
          found=${this.found()} actions=${this.actions} />`}
      </div>
    </div>`;
  }

  body(results, state) {
    const { search } = this;
    if (search.error && !(results && ['gone', 'busy'].includes(search.error.kind))) {
      return html`<${Failed} error=${search.error} state=${state} onAgain=${this.again} />`;
    }
    if (!results)
      return html`<p class="sentence hint" role="status">${search.isRunning ? 'Looking …' : ''}</p>`;
    if (results.count && state.fold) return html`<${FoldView} question=${this.search.question} state=${state} />`;
    if (!results.count) return html`<${NoMessages} search=${search} state=${state} />`;
    return html`<${MessageList}
      ref=${this.keepList}
      source=${results}
      version=${search.version}
      state=${state}
      found=${this.found()}
      actions=${this.actions}
      onEnd=${() => search.more()}
      end=${html`<p class="end">${this.end()}</p>`}
      label="Messages"
    />`;
  }

  /** The state with the columns that are shown. */
  withColumns(state) {
    this.look();
    return state.cols ? state : { ...state, cols: this.columns };
  }

  /** Tags that the first messages have. */
  labels() {
    this.look();
    return this.tags;
  }

  /** Look at the first messages of other results: what they have, and in what they differ. */
  look() {
    const { results } = this.search;
    if (results === this.lookedAt) return;
    this.lookedAt = results;
    const first = results?.held.slice(0, FIRST) ?? [];
    this.tags = tagsOf(first);
    this.columns = usualColumns(first);
  }

  end() {
    const { results, moreError } = this.search;
    if (moreError) {
      return html`${moreError.message} <button type="button"
        onClick=${() => this.search.moreAgain()}>Try again</button>`;
    }
    return results.isComplete ? 'No more messages in this time.' : 'Looking for more …';
  }

  /** What is marked in the texts. */
  found() {
    const { question } = this.search;
    if (question !== this.foundFor || !this.finders) {
      this.foundFor = question;
      this.finders = question ? finders(question.texts) : [];
    }
    return this.finders;
  }
}
