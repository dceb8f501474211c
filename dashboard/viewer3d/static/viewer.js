/* Shows one to four meshes or point clouds side by side with a shared camera.

deep3dmapViewer.mount(parent, payload, {dark}) draws into an element and returns {dispose, camera}. The payload is created by
payload.py. All panels are drawn by one WebGL context on one canvas; texts are set as text, never as markup. */
var deep3dmapViewer = (() => {
  "use strict";
  const three = deep3dmapThree;
  const geometry = deep3dmapGeometry;
  const FIELD_OF_VIEW = 32;
  const MOST_PIXELS = 2;
  const NARROW = 620;
  const STEP = 0.15;
  // Height that the title and the note take up in a panel.
  const TEXT_PX = 52;
  const NO_WEBGL =
    "3D needs WebGL, which this browser does not offer (it may be turned off, or the graphics driver may be blocked). " +
    "The pictures of this scene show the same surfaces.";
  const PAINTS = { shape: "Shape", colors: "Colours", error: "Error" };

  function element(tag, kind, text) {
    const made = document.createElement(tag);
    made.className = kind;
    if (text !== undefined) made.textContent = text;
    return made;
  }

  /* Allows line breaks after the separators in long names. */
  function breakable(text) {
    return text.replace(/([/_.\-])/g, "$1\u200b");
  }

  function button(text, help, pressed, act) {
    const made = element("button", "v3d-button", text);
    made.type = "button";
    made.title = help;
    if (pressed !== null) made.setAttribute("aria-pressed", String(pressed));
    made.addEventListener("click", act);
    return made;
  }

  function mount(parent, payload, options = {}) {
    const root = element("div", "v3d");
    const stage = element("div", "v3d-stage");
    const canvas = element("canvas", "v3d-canvas");
    const grid = element("div", "v3d-grid");
    const bar = element("div", "v3d-bar");
    root.dataset.ground = options.dark ? "dark" : "light";
    stage.append(canvas, grid);
    root.append(stage, bar);
    parent.replaceChildren(root);
    const panels = payload.meshes.map((mesh) => {
      const panel = element("div", "v3d-panel");
      panel.append(element("div", "v3d-title", breakable(mesh.title)), element("div", "v3d-note", mesh.note));
      grid.append(panel);
      return panel;
    });

    let renderer;
    try {
      renderer = new three.WebGLRenderer({ canvas, antialias: true, alpha: true });
    } catch {
      stage.replaceChildren(element("p", "v3d-message", NO_WEBGL));
      bar.remove();
      return { dispose: () => root.remove(), camera: null };
    }
    renderer.setPixelRatio(Math.min(globalThis.devicePixelRatio || 1, MOST_PIXELS));
    renderer.setScissorTest(true);
    const camera = new three.PerspectiveCamera(FIELD_OF_VIEW, 1, payload.radius / 100, payload.radius * 100);
    const lamp = new three.DirectionalLight(0xffffff, 2.0);
    const built = payload.meshes.map((mesh) => geometry.build(mesh, payload));
    const scenes = built.map((one) => {
      const scene = new three.Scene();
      scene.add(one.object);
      return scene;
    });
    const sky = new three.HemisphereLight(0xffffff, 0x8c8c8c, 1.5);
    const controls = new three.OrbitControls(camera, grid);
    const centre = new three.Vector3(...payload.centre);
    const state = { paint: payload.paint, wire: false, backs: !payload.see_inside, turning: false, waiting: 0, gone: false };

    function reset() {
      // Distance at which the bounding sphere fits the free part of a panel in its narrower direction.
      const free = 1 - TEXT_PX / panels[0].clientHeight;
      const half = Math.tan((FIELD_OF_VIEW * Math.PI) / 360) * Math.min(free, camera.aspect);
      const away = payload.radius / Math.sin(Math.atan(half));
      controls.target.copy(centre);
      camera.position.copy(new three.Vector3(...payload.eye).normalize().multiplyScalar(away).add(centre));
      controls.update();
      ask();
    }

    function layOut() {
      const width = stage.clientWidth;
      const columns = width < NARROW && panels.length > 2 ? 2 : panels.length;
      const rows = Math.ceil(panels.length / columns);
      const height = Math.max(220, Math.min(520, Math.round((width / columns) * (columns === 1 ? 0.6 : 0.95)))) * rows;
      grid.style.gridTemplateColumns = `repeat(${columns}, 1fr)`;
      stage.style.height = `${height}px`;
      renderer.setSize(width, height, false);
      const before = camera.aspect;
      camera.aspect = width / columns / (height / rows) || 1;
      camera.updateProjectionMatrix();
      if (!state.placed || (camera.aspect !== before && !state.touched)) reset();
      state.placed = true;
      draw();
    }

    function draw() {
      state.waiting = 0;
      if (state.gone) return;
      if (state.turning) {
        const now = performance.now();
        const turned = ((now - state.last) / 1000) * 0.6;
        state.last = now;
        camera.position.sub(controls.target).applyAxisAngle(camera.up, turned).add(controls.target);
      }
      controls.update();
      lamp.position.copy(camera.position).addScaledVector(camera.up, 0.3 * camera.position.distanceTo(controls.target));
      lamp.target.position.copy(controls.target);
      const height = stage.clientHeight;
      scenes.forEach((scene, place) => {
        const panel = panels[place];
        const rect = [panel.offsetLeft, height - panel.offsetTop - panel.offsetHeight, panel.offsetWidth, panel.offsetHeight];
        scene.add(lamp, lamp.target, sky);
        renderer.setViewport(...rect);
        renderer.setScissor(...rect);
        renderer.render(scene, camera);
      });
      root.dataset.drawn = String(Number(root.dataset.drawn || 0) + 1);
      if (state.turning) ask();
    }

    function ask() {
      if (!state.waiting && !state.gone) state.waiting = requestAnimationFrame(draw);
    }

    function repaint() {
      built.forEach((one) => {
        geometry.paint(one, state.paint);
        one.object.material.wireframe = state.wire && Boolean(one.object.isMesh);
        one.object.material.side = state.backs ? three.DoubleSide : three.FrontSide;
      });
      // Errors are read from their colours, so shading is weaker.
      lamp.intensity = state.paint === "error" ? 0.9 : 2.0;
      sky.intensity = state.paint === "error" ? 2.4 : 1.5;
      root.dataset.paint = state.paint;
      ask();
    }

    function toggle(name, text, help) {
      const made = button(text, help, state[name], () => {
        state[name] = !state[name];
        made.setAttribute("aria-pressed", String(state[name]));
        state.last = performance.now();
        repaint();
      });
      return made;
    }

    const available = Object.keys(PAINTS).filter((name) => built.some((one) => name in one.paints));
    if (available.length > 1) {
      const choice = element("span", "v3d-choice");
      choice.setAttribute("role", "group");
      available.forEach((name) => {
        const made = button(PAINTS[name], `paint: ${PAINTS[name].toLowerCase()}`, name === state.paint, () => {
          state.paint = name;
          for (const other of choice.children) other.setAttribute("aria-pressed", String(other === made));
          repaint();
        });
        choice.append(made);
      });
      bar.append(choice);
    }
    if (built.some((one) => one.object.isMesh)) {
      bar.append(toggle("wire", "Wireframe", "draw only the edges of the triangles"));
      bar.append(toggle("backs", "Back sides", "draw surfaces seen from behind; turn off to look into a room"));
    }
    bar.append(toggle("turning", "Turntable", "rotate slowly"));
    bar.append(
      button("Reset", "return to the initial view", null, () => {
        state.touched = false;
        reset();
      }),
    );
    bar.append(
      button("Light / dark", "switch the background", null, () => {
        root.dataset.ground = root.dataset.ground === "dark" ? "light" : "dark";
      }),
    );
    deep3dmapLegend.add(bar, grid, panels, built, camera, payload);
    grid.setAttribute("role", "group");
    grid.setAttribute("aria-label", `3D: ${payload.meshes.map((mesh) => mesh.title).join(", ")}`);
    steer(grid, camera, controls, () => {
      state.touched = true;
      ask();
    });

    controls.addEventListener("change", ask);
    controls.addEventListener("start", () => (state.touched = true));
    canvas.addEventListener("webglcontextlost", () => {
      stage.replaceChildren(element("p", "v3d-message", "The graphics driver dropped this view; reload the page."));
    });
    const watcher = new ResizeObserver(layOut);
    watcher.observe(stage);
    repaint();
    layOut();

    function dispose() {
      state.gone = true;
      cancelAnimationFrame(state.waiting);
      watcher.disconnect();
      controls.dispose();
      built.forEach((one) => (one.object.geometry.dispose(), one.object.material.dispose()));
      renderer.dispose();
      renderer.forceContextLoss();
      root.remove();
    }
    return { dispose, camera };
  }

  /* Keyboard control: arrow keys rotate, + and - zoom. */
  function steer(grid, camera, controls, touched) {
    const turns = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [1, 0], ArrowDown: [-1, 0] };
    grid.tabIndex = 0;
    grid.addEventListener("keydown", (event) => {
      const turn = turns[event.key];
      const nearer = { "+": 1 / 1.15, "-": 1.15 }[event.key];
      if (!turn && !nearer) return;
      event.preventDefault();
      const away = camera.position.clone().sub(controls.target);
      if (nearer) away.multiplyScalar(nearer);
      if (turn) {
        const right = new three.Vector3().crossVectors(camera.up, away).normalize();
        const lift = Math.max(0.05, Math.min(Math.PI - 0.05, away.angleTo(camera.up) - turn[0] * STEP)) - away.angleTo(camera.up);
        away.applyAxisAngle(right, lift).applyAxisAngle(camera.up, turn[1] * STEP);
      }
      camera.position.copy(controls.target).add(away);
      touched();
    });
  }

  return { mount };
})();
