/* The colour bar for errors, and a readout of the error under the mouse. */
var deep3dmapLegend = (() => {
  "use strict";
  const three = deep3dmapThree;

  function element(kind, text) {
    const made = document.createElement("span");
    made.className = kind;
    if (text !== undefined) made.textContent = text;
    return made;
  }

  function add(bar, grid, panels, built, camera, payload) {
    if (!payload.error) return;
    const made = element("v3d-legend");
    const scale = element("v3d-scale");
    const ramp = element("v3d-ramp");
    ramp.style.background = deep3dmapGeometry.gradient;
    const ticks = element("v3d-ticks");
    payload.error.ticks.forEach((text) => ticks.append(element("v3d-tick", text)));
    scale.append(ramp, ticks);
    const readout = element("v3d-readout");
    made.append(element("v3d-label", payload.error.label), scale, readout);
    bar.append(made);
    follow(grid, panels, built, camera, payload, readout);
  }

  /* Shows the error of a vertex of the triangle under the mouse. */
  function follow(grid, panels, built, camera, payload, readout) {
    const caster = new three.Raycaster();
    grid.addEventListener("pointermove", (event) => {
      readout.textContent = "";
      if (event.buttons || event.pointerType !== "mouse") return;
      const place = panels.findIndex((panel) => panel.contains(event.target));
      if (place < 0 || !built[place].errors || !built[place].object.isMesh) return;
      const area = panels[place].getBoundingClientRect();
      const x = ((event.clientX - area.left) / area.width) * 2 - 1;
      const y = 1 - ((event.clientY - area.top) / area.height) * 2;
      caster.setFromCamera(new three.Vector2(x, y), camera);
      const hit = caster.intersectObject(built[place].object, false)[0];
      if (!hit) return;
      const value = built[place].errors[hit.face.a] * payload.error.factor;
      readout.textContent = Number.isFinite(value) ? `here ${Number(value.toPrecision(3))} ${payload.error.unit}` : "here unknown";
    });
    grid.addEventListener("pointerleave", () => (readout.textContent = ""));
  }

  return { add };
})();
