/* The viewer as a component of the app; rebuilt only if the geometry changed. */
const shown = new WeakMap();

function isDark(parent) {
  const channels = getComputedStyle(parent).getPropertyValue("--st-background-color").match(/[0-9a-f]{2}/gi);
  if (!channels || channels.length < 3) return matchMedia("(prefers-color-scheme: dark)").matches;
  return channels.slice(0, 3).reduce((sum, channel) => sum + parseInt(channel, 16), 0) < 384;
}

export default function ({ parentElement, data }) {
  const before = shown.get(parentElement);
  if (before && before.id === data.id) return;
  if (before) before.viewer.dispose();
  const place = before ? before.place : document.createElement("div");
  if (!before) parentElement.appendChild(place);
  const viewer = deep3dmapViewer.mount(place, data, { dark: isDark(parentElement.host || parentElement) });
  shown.set(parentElement, { id: data.id, viewer, place });
  return () => {
    viewer.dispose();
    shown.delete(parentElement);
  };
}
