/* Converts the arrays of a payload to three.js objects. Errors use matplotlib's colour map plasma, as in the pictures. */
var deep3dmapGeometry = (() => {
  "use strict";
  const three = deep3dmapThree;
  const STOPS = [
    "#0d0887", "#330597", "#5002a2", "#6a00a8", "#8405a7", "#9c179e", "#b12a90", "#c33d80",
    "#d35171", "#e16462", "#ed7953", "#f68f44", "#fca636", "#fec029", "#f9dc24", "#f0f921",
  ];
  const NEUTRAL = 0xb9bec6;
  const UNKNOWN = [0.35, 0.35, 0.35];

  /* Decodes base64 to a typed array of the given kind. */
  function decoded(text, Kind) {
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    return new Kind(bytes.buffer);
  }

  function linear(share) {
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  }

  const RAMP = (() => {
    const stops = STOPS.map((text) => [1, 3, 5].map((at) => parseInt(text.slice(at, at + 2), 16) / 255));
    return Array.from({ length: 256 }, (_, place) => {
      const where = (place / 255) * (stops.length - 1);
      const low = Math.min(Math.floor(where), stops.length - 2);
      return stops[low].map((value, channel) => linear(value + (where - low) * (stops[low + 1][channel] - value)));
    });
  })();
  const LINEAR = Float32Array.from({ length: 256 }, (_, level) => linear(level / 255));

  function positions(mesh, box) {
    const steps = decoded(mesh.positions, Uint16Array);
    return Float32Array.from(steps, (step, place) => box.low[place % 3] + (step / 65535) * box.size);
  }

  /* Errors are stored as shares of mesh.largest_error in 65534 steps; 65535 means "unknown". */
  function errors(mesh) {
    if (!mesh.errors) return null;
    const steps = decoded(mesh.errors, Uint16Array);
    return Float32Array.from(steps, (step) => (step === 65535 ? NaN : (step / 65534) * mesh.largest_error));
  }

  function errorColors(values, largest) {
    const colors = new Float32Array(3 * values.length);
    values.forEach((value, vertex) => {
      const known = Number.isFinite(value);
      colors.set(known ? RAMP[Math.round(255 * Math.min(1, value / largest))] : UNKNOWN, 3 * vertex);
    });
    return new three.BufferAttribute(colors, 3);
  }

  /* Returns {object, paints, errors}. paints: {name: colours per vertex, or null for the neutral colour}. */
  function build(mesh, payload) {
    const geometry = new three.BufferGeometry();
    geometry.setAttribute("position", new three.BufferAttribute(positions(mesh, payload.box), 3));
    const values = errors(mesh);
    const paints = { shape: null };
    if (mesh.colors) {
      const levels = decoded(mesh.colors, Uint8Array);
      paints.colors = new three.BufferAttribute(Float32Array.from(levels, (level) => LINEAR[level]), 3);
    }
    if (values && payload.error) paints.error = errorColors(values, payload.error.largest);
    if (!mesh.indices) {
      const points = new three.PointsMaterial({ size: 2.5, sizeAttenuation: false, color: NEUTRAL });
      return { object: new three.Points(geometry, points), paints, errors: values };
    }
    const Kind = mesh.wide_indices ? Uint32Array : Uint16Array;
    geometry.setIndex(new three.BufferAttribute(decoded(mesh.indices, Kind), 1));
    geometry.computeVertexNormals();
    const surface = new three.MeshLambertMaterial({ color: NEUTRAL, side: three.DoubleSide });
    return { object: new three.Mesh(geometry, surface), paints, errors: values };
  }

  /* Applies a paint; a mesh without it is shown in the neutral colour. */
  function paint(built, name) {
    const colors = built.paints[name] || null;
    const { geometry, material } = built.object;
    if (colors) geometry.setAttribute("color", colors);
    else geometry.deleteAttribute("color");
    material.vertexColors = Boolean(colors);
    material.color.set(colors ? 0xffffff : NEUTRAL);
    material.needsUpdate = true;
  }

  return { build, paint, gradient: `linear-gradient(to right, ${STOPS.join(", ")})` };
})();
