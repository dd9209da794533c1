// Where the page begins.

import { html, render } from './preact.js';
import { App } from './app.js';

render(html`<${App} />`, document.getElementById('app'));
