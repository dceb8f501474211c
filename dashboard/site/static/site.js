/* Shows geometry on a page of the site. It is loaded from a script per scene, since pages from disk cannot read other files. */
var deep3dmapSite = (() => {
  "use strict";
  const waiting = {};

  function open(place) {
    const id = place.dataset.geometry;
    waiting[id] = place;
    place.querySelector("button").disabled = true;
    const script = document.createElement("script");
    script.src = `../geometry/${id}.js`;
    script.addEventListener("error", () => {
      place.textContent = `geometry/${id}.js is missing; export the site again`;
    });
    document.head.append(script);
  }

  function receive(id, payload) {
    const place = waiting[id];
    if (place) deep3dmapViewer.mount(place, payload, { dark: matchMedia("(prefers-color-scheme: dark)").matches });
  }

  document.addEventListener("DOMContentLoaded", () => {
    const places = [...document.querySelectorAll(".site-3d")];
    places.forEach((place) => place.querySelector("button").addEventListener("click", () => open(place)));
    // A page with a single scene shows it immediately.
    if (places.length === 1) open(places[0]);
  });

  return { receive };
})();
