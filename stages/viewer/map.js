// The map: one canvas, smooth zoom and pan, tiles from sprite sheets.

const map = {
  canvas: $("map"), view: { x: 0, y: 0, size: 1 }, goal: null, before: null, faded: 0, moved: false,
  state: null, // set by main.js: {atlas, grid, show, of, heat, by, mark, cell, hover, names}
};

const context = map.canvas.getContext("2d");
const calm = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
let frame = 0;

function redraw() {
  if (!frame) frame = requestAnimationFrame(draw);
}

function extent() {
  return { width: map.canvas.clientWidth, height: map.canvas.clientHeight };
}

// The whole atlas: the box of its occupied cells, centred.
function wholeView() {
  const { width, height } = extent(), grids = map.state.atlas.grids, margin = 34;
  const foot = map.state.atlas.pair ? 30 : 0;
  let box = [1, 1, 0, 0];
  for (const g of grids) for (let k = 0; k < g.x.length; k++) {
    box = [Math.min(box[0], g.x[k] / g.n), Math.min(box[1], g.y[k] / g.n), Math.max(box[2], (g.x[k] + 1) / g.n), Math.max(box[3], (g.y[k] + 1) / g.n)];
  }
  const size = Math.max(60, Math.min((width - 2 * margin) / (box[2] - box[0]), (height - 2 * margin - foot) / (box[3] - box[1])));
  return { size, x: width / 2 - size * (box[0] + box[2]) / 2, y: (height - foot) / 2 - size * (box[1] + box[3]) / 2 };
}

function moveTo(goal, now = false) {
  if (now || calm) { map.view = goal; map.goal = null; } else map.goal = goal;
  redraw();
}

function zoomAt(x, y, factor, now = false) {
  const from = map.goal ?? map.view, least = wholeView().size * 0.5;
  const size = Math.min(Math.max(from.size * factor, least), 200 * map.state.atlas.grids.at(-1).n);
  const ratio = size / from.size;
  map.moved = true;
  moveTo({ size, x: x - (x - from.x) * ratio, y: y - (y - from.y) * ratio }, now);
}

function showCell(grid, k) {
  const view = map.goal ?? map.view, { width, height } = extent();
  const cell = view.size / grid.n, x = view.x + (grid.x[k] + 0.5) * cell, y = view.y + (grid.y[k] + 0.5) * cell;
  const edge = Math.min(cell, width / 4, height / 4);
  if (x < edge || y < edge || x > width - edge || y > height - edge) moveTo({ size: view.size, x: view.x + width / 2 - x, y: view.y + height / 2 - y });
}

function cellAt(px, py) {
  const { grid } = map.state, { x, y, size } = map.view;
  const cx = Math.floor((px - x) / size * grid.n), cy = Math.floor((py - y) / size * grid.n);
  return grid.at.get(cx + cy * grid.n) ?? -1;
}

function resize() {
  const { width, height } = extent(), ratio = window.devicePixelRatio || 1;
  const size = [Math.round(width * ratio), Math.round(height * ratio)];
  if (map.canvas.width === size[0] && map.canvas.height === size[1]) return;
  [map.canvas.width, map.canvas.height] = size; // clears it: draw at once, or it flickers
  if (map.state && !map.moved) map.view = wholeView();
  draw();
}

function draw() {
  cancelAnimationFrame(frame);
  frame = 0;
  if (!map.state) return;
  let again = false;
  if (map.goal) {
    const near = (a, b) => a + (b - a) * 0.24;
    // Size and place move together geometrically, so that the point under the pointer stays put.
    const size = Math.exp(near(Math.log(map.view.size), Math.log(map.goal.size)));
    const span = map.goal.size - map.view.size, share = Math.abs(span) > 1e-6 * map.goal.size ? (size - map.view.size) / span : 0.24;
    map.view = { size, x: map.view.x + (map.goal.x - map.view.x) * share, y: map.view.y + (map.goal.y - map.view.y) * share };
    const left = Math.abs(map.goal.x - map.view.x) + Math.abs(map.goal.y - map.view.y) + Math.abs(map.goal.size - map.view.size);
    if (left < 0.5) { map.view = map.goal; map.goal = null; } else again = true;
  }
  chooseLevel();
  const fade = map.before ? Math.min(1, (performance.now() - map.faded) / 220) : 1;
  if (fade < 1) again = true; else map.before = null;
  const ratio = window.devicePixelRatio || 1, { width, height } = extent(), css = getComputedStyle(document.documentElement);
  const ink = { quiet: css.getPropertyValue("--quiet"), faint: css.getPropertyValue("--faint"), halo: css.getPropertyValue("--halo"), label: css.getPropertyValue("--label"), group: css.getPropertyValue("--accent"), mark: css.getPropertyValue("--mark"), ink: css.getPropertyValue("--ink") };
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  context.imageSmoothingQuality = "high";
  if (map.state.atlas.pair) drawMiddle(ink, height);
  if (map.before) drawCells(map.before, ink, 1 - fade);
  drawCells(map.state.grid, ink, fade);
  drawFound(ink);
  drawFrames(ink);
  if (map.state.names) drawNames(ink);
  if (again) redraw();
}

// With level "auto", the finest grid whose cells are still large enough to be looked at.
function chooseLevel() {
  const { state } = map;
  if (state.level !== "auto") return;
  const usable = state.atlas.grids.filter((g) => pictured(g) || !state.atlas.grids.some(pictured));
  const fitting = usable.filter((g) => map.view.size / g.n >= 44);
  const grid = fitting.at(-1) ?? usable[0];
  if (grid !== state.grid) changeGrid(grid);
}

const pictured = (grid) => Boolean(map.state.show === "icons" ? grid.icons : grid.photographs);

function drawMiddle(ink, height) {
  const x = map.view.x + map.view.size / 2;
  context.strokeStyle = ink.faint;
  context.setLineDash([5, 5]);
  context.beginPath(); context.moveTo(x, 0); context.lineTo(x, height); context.stroke();
  context.setLineDash([]);
}

function visible(grid) {
  const { width, height } = extent(), cell = map.view.size / grid.n, found = [];
  for (let k = 0; k < grid.x.length; k++) {
    const left = map.view.x + grid.x[k] * cell, top = map.view.y + grid.y[k] * cell;
    if (left < width && top < height && left + cell > 0 && top + cell > 0) found.push([k, left, top]);
  }
  return found;
}

function drawCells(grid, ink, alpha) {
  const { state } = map, cell = map.view.size / grid.n;
  const sheet = state.show === "icons" ? grid.icons : grid.photographs;
  const image = sheet ? picture(sheet.src, redraw) : null;
  const heat = heatOf(state.atlas, grid, refresh);
  context.globalAlpha = alpha;
  for (const [k, left, top] of visible(grid)) {
    const share = grid.side[k], place = sheet ? sheet.places[k] : -1;
    if (share <= 0 || (!heat && place < 0)) {
      const radius = Math.min(Math.max(1.5, cell * 0.05), 5);
      context.fillStyle = heat ? cellColour(heat, k) : ink.quiet;
      context.beginPath();
      context.arc(left + cell / 2, top + cell / 2, heat ? Math.max(radius, cell * 0.1) : radius, 0, 7);
      context.fill();
      if (heat) { context.strokeStyle = ink.faint; context.stroke(); }
      continue;
    }
    const seam = cell > 30 && share > 0.98 ? 0.6 : 0, side = Math.max(1, share * cell - seam), inset = (cell - side) / 2;
    let box = [left + inset, top + inset, side];
    if (heat) {
      context.fillStyle = cellColour(heat, k);
      context.fillRect(box[0], box[1], side, side);
      if (side < 36) continue;
      const rim = side * 0.17; // the picture, framed by its cell's colour
      box = [box[0] + rim, box[1] + rim, side - 2 * rim];
    }
    if (image?.ready && place >= 0) {
      const s = sheet.side;
      context.drawImage(image, place % sheet.across * s, Math.floor(place / sheet.across) * s, s, s, ...box, box[2]);
    } else if (!heat) {
      context.fillStyle = ink.faint;
      context.fillRect(...box, box[2]);
    }
  }
  context.globalAlpha = 1;
}

function drawFrames(ink) {
  const { grid, hover, cell: chosen } = map.state, cell = map.view.size / grid.n;
  for (const [k, width] of [[hover, 1.5], [chosen, 3]]) {
    if (k < 0) continue;
    const left = map.view.x + grid.x[k] * cell, top = map.view.y + grid.y[k] * cell;
    context.strokeStyle = ink.halo; context.lineWidth = width + 3;
    context.strokeRect(left, top, cell, cell);
    context.strokeStyle = ink.ink; context.lineWidth = width;
    context.strokeRect(left, top, cell, cell);
  }
}
