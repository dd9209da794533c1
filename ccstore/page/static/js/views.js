// The views of the page, in the order of their links. A view is a component that is given the state;
// `named` is the member of the state that says what it is about.

import { JobView } from './insight/job_view.js';
import { NodeView } from './insight/node_view.js';
import { SearchView } from './search_view.js';
import { StoreView } from './store/store_view.js';

export const VIEWS = [
  { name: 'search', title: 'Messages', component: SearchView },
  { name: 'job', title: 'Jobs', component: JobView, named: 'job' },
  { name: 'node', title: 'Nodes', component: NodeView, named: 'node' },
  { name: 'store', title: 'Store', component: StoreView },
];
