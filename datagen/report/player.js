// Plays a clip: frames of a vertical strip, and the skeleton, which can be rotated by dragging.
for (const root of document.querySelectorAll(".player:not([data-on])")) {
  root.dataset.on = 1;
  const data = JSON.parse(root.querySelector("script").textContent);
  const [film, body] = root.querySelectorAll("canvas");
  const [button, slider, label] = [...root.querySelectorAll("button, input, output")];
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const colour = (name) => getComputedStyle(root).getPropertyValue(name).trim();
  let t = 0, playing = !still, yaw = 0.5, pitch = 0.15, last = 0, held = null;

  const strip = root.querySelector("img");
  film.width = data.width; film.height = data.height;
  const frames = data.joints.length;
  slider.max = frames - 1;

  function drawBody() {
    if (!body) return; // footage may have no 3D ground truth
    const dpr = devicePixelRatio || 1, w = body.clientWidth, h = body.clientHeight;
    if (body.width !== Math.round(w * dpr)) body.width = Math.round(w * dpr);
    if (body.height !== Math.round(h * dpr)) body.height = Math.round(h * dpr);
    const g = body.getContext("2d");
    g.setTransform(dpr, 0, 0, dpr, 0, 0);
    g.clearRect(0, 0, w, h);
    const scale = 0.88 * Math.min(w, h) / data.extent;
    const [cy, sy, cp, sp] = [Math.cos(yaw), Math.sin(yaw), Math.cos(pitch), Math.sin(pitch)];
    // Camera axes: x right, y down, z forward. Rotate about the vertical, then tilt.
    const place = ([x, y, z]) => {
      const a = x * cy + z * sy, b = z * cy - x * sy;
      return [w / 2 + scale * a, h / 2 + scale * (y * cp - b * sp), b * cp + y * sp];
    };
    g.strokeStyle = colour("--line"); g.lineWidth = 1;
    for (let k = -4; k <= 4; k++) {
      for (const ends of [[[k / 4, data.floor, -1], [k / 4, data.floor, 1]],
                          [[-1, data.floor, k / 4], [1, data.floor, k / 4]]]) {
        const [p, q] = ends.map(place);
        g.beginPath(); g.moveTo(p[0], p[1]); g.lineTo(q[0], q[1]); g.stroke();
      }
    }
    const points = data.joints[t].map(place);
    const far = (bone) => points[bone[0]][2] + points[bone[1]][2];
    g.lineCap = "round";
    for (const bone of [...data.bones].sort((a, b) => far(b) - far(a))) {
      const [p, q] = [points[bone[0]], points[bone[1]]];
      g.strokeStyle = bone[2] || colour("--soft");
      g.lineWidth = Math.max(2.5, scale / 42);
      g.beginPath(); g.moveTo(p[0], p[1]); g.lineTo(q[0], q[1]); g.stroke();
    }
  }
  function draw() {
    const g = film.getContext("2d");
    if (strip.complete && strip.naturalWidth)
      g.drawImage(strip, 0, t * data.height, data.width, data.height, 0, 0, data.width, data.height);
    drawBody();
    slider.value = t;
    label.textContent = `frame ${t} of ${frames}`;
    button.textContent = playing ? "Pause" : "Play";
  }
  function tick(now) {
    if (playing && now - last > 1000 / data.fps) { t = (t + 1) % frames; last = now; draw(); }
    requestAnimationFrame(tick);
  }
  button.onclick = () => { playing = !playing; draw(); };
  slider.oninput = () => { playing = false; t = +slider.value; draw(); };
  if (body) {
    body.onpointerdown = (e) => { held = [e.clientX, e.clientY]; body.setPointerCapture(e.pointerId); };
    body.onpointermove = (e) => {
      if (!held) return;
      yaw -= (e.clientX - held[0]) / 120;
      pitch = Math.max(-1.5, Math.min(1.5, pitch + (e.clientY - held[1]) / 120));
      held = [e.clientX, e.clientY];
      drawBody();
    };
    body.onpointerup = body.onpointercancel = () => { held = null; };
    body.tabIndex = 0;
    body.onkeydown = (e) => {
      const step = { ArrowLeft: [0.15, 0], ArrowRight: [-0.15, 0], ArrowUp: [0, -0.15], ArrowDown: [0, 0.15] }[e.key];
      if (!step) return;
      yaw += step[0]; pitch += step[1]; e.preventDefault(); drawBody();
    };
  }
  strip.onload = draw;
  addEventListener("resize", drawBody);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawBody);
  draw();
  requestAnimationFrame(tick);
}
