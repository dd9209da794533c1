// The plot library, which is loaded when the first plot is shown.

let loading;

/** uPlot, once it is there. */
export function loadPlot() {
  loading ??= new Promise((resolve, reject) => {
    const script = document.createElement('script');
    script.src = new URL('../vendor/uplot.js', import.meta.url).href;
    script.onload = () => resolve(window.uPlot);
    script.onerror = () => {
      loading = undefined;
      reject(new Error('the plot library was not loaded'));
    };
    document.head.append(script);
  });
  return loading;
}

/** The value of a colour of the style sheets, for what is drawn. */
export const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** Call back when the system changes between dark and light. */
export function onScheme(callback) {
  const query = matchMedia('(prefers-color-scheme: dark)');
  query.addEventListener('change', callback);
  return () => query.removeEventListener('change', callback);
}
