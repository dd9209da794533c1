// Preact with its hooks and htm, for modules: their packages are scripts of a page, which `index.html` names.

const { Component, h, render } = globalThis.preact;
const html = globalThis.htm.bind(h);

export { Component, html, render };
export const { useEffect, useMemo, useRef, useState } = globalThis.preactHooks;
