// The views of the page, in the order of their links. A view is a component that is given the state.

import { SearchView } from './search_view.js';
import { StoreView } from './store/store_view.js';

export const VIEWS = [
  { name: 'search', title: 'Messages', component: SearchView },
  { name: 'store', title: 'Store', component: StoreView },
];
