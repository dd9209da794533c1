// The views of the page, in the order of their links. A view is a component that is given the state;
// `named` is the member of the state that says what it is about, and `within` the view from which one comes to one without
// a link of its own.

import { BeforeView } from './insight/before_view.js';
import { CauseView } from './insight/cause_view.js';
import { JobView } from './insight/job_view.js';
import { NodeView } from './insight/node_view.js';
import { SearchView } from './search_view.js';
import { StoreView } from './store/store_view.js';

export const VIEWS = [
  { name: 'search', title: 'Messages', component: SearchView },
  { name: 'job', title: 'Jobs', component: JobView, named: 'job' },
  { name: 'node', title: 'Nodes', component: NodeView, named: 'node' },
  { name: 'store', title: 'Store', component: StoreView },
  { name: 'before', title: 'What came before', component: BeforeView, named: 'template', within: 'search' },
  { name: 'cause', title: 'Common cause', component: CauseView, named: 'template', within: 'search' },
];
