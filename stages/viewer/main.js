// Puts the pieces together: state, tabs, keys, pointer, the address's hash.

const KINDS = [["icons", "Icons"], ["photographs", "Photographs"]];

function refresh() {
  const { state } = map, { atlas, grid } = state;
  for (const tab of document.querySelectorAll(".tabs button")) {
    const selected = tab.dataset.name === atlas.name;
    tab.setAttribute("aria-selected", String(selected));
    tab.tabIndex = selected ? 0 : -1;
  }
  $("subtitle").textContent = atlas.subtitle;
  $("measures").replaceChildren(...grid.measures.flatMap((line, k) => k ? [make("br"), line] : [line]));
  radios($("show"), KINDS.map(([key, name]) => [key, name, atlas.grids.some((g) => g[key])]), state.show, (key) => { state.show = key; refresh(); });
  const levels = atlas.grids.map((g) => [String(g.n), `${g.n} × ${g.n}`, true]);
  radios($("level"), levels.length > 1 ? [["auto", "Auto", true], ...levels] : levels, levels.length > 1 ? state.level : levels[0][0], chooseGrid);
  const usable = { class: atlas.grids.some((g) => g.heat), errors: atlas.errorRate !== null || atlas.mae !== null, variety: atlas.grids.some((g) => g.variety) };
  if (!usable[state.of]) state.of = "class";
  radios($("of"), HEATS.filter(([key]) => usable[key]).map(([key, name]) => [key, name, true]), state.of, (key) => { state.of = key; refresh(); });
  $("of").hidden = !usable.errors;
  const several = RUN.measured && state.of === "errors" && RUN.classes.length > 1; // quantities, each with errors of its own
  $("search").hidden = !several && !(usable.class && state.of === "class");
  if (RUN.measured) $("class-input").placeholder = state.of === "errors" ? "Errors of which quantity?" : "Where is a quantity argued for?";
  drawLegend(heatOf(atlas, grid, refresh));
  $("axis").hidden = !atlas.pair;
  if (atlas.pair) $("axis").replaceChildren(make("span", {}, `← ${atlas.pair[0]}`), make("span", {}, "no preference"), make("span", {}, `${atlas.pair[1]} →`));
  drawPanel();
  redraw();
  writeHash();
}

function showAtlas(name) {
  const atlas = RUN.atlases.find((a) => a.name === name) ?? RUN.atlases[0];
  const { state } = map;
  const show = atlas.grids.some((g) => g[state.show]) ? state.show : KINDS.map((k) => k[0]).find((k) => atlas.grids.some((g) => g[k])) ?? "icons";
  const heat = state.heat !== null && (!atlas.attributed || atlas.attributed.includes(state.heat)) ? state.heat : null;
  if (state.mark?.atlas !== atlas.name) state.mark = null;
  Object.assign(state, { atlas, show, heat, grid: atlas.grids[0], level: atlas.grids.length > 1 ? "auto" : String(atlas.grids[0].n), cell: -1, hover: -1 });
  map.moved = false;
  moveTo(wholeView(), true);
  chooseLevel();
  map.before = null;
  refresh();
}

function chooseGrid(level) {
  map.state.level = level;
  if (level !== "auto") changeGrid(map.state.atlas.grids.find((g) => String(g.n) === level) ?? map.state.grid);
  refresh();
}

// Another grid of the same atlas; the chosen cell becomes the one at its centre.
function changeGrid(grid) {
  const { state } = map, old = state.grid;
  if (grid === old) return;
  const carry = (k) => k < 0 ? -1 : nearestCell(grid, (old.x[k] + 0.5) / old.n, (old.y[k] + 0.5) / old.n);
  map.before = calm ? null : old; map.faded = performance.now();
  Object.assign(state, { grid, cell: carry(state.cell), hover: -1 });
  queueMicrotask(refresh);
}

function nearestCell(grid, x, y) {
  let best = -1, least = Infinity;
  for (let k = 0; k < grid.x.length; k++) {
    const away = ((grid.x[k] + 0.5) / grid.n - x) ** 2 + ((grid.y[k] + 0.5) / grid.n - y) ** 2;
    if (away < least - 1e-12) { least = away; best = k; }
  }
  return best;
}

function choose(k) {
  map.state.cell = k;
  if (k >= 0) { showCell(map.state.grid, k); $("spoken").textContent = spoken(map.state.atlas, map.state.grid, k); }
  refresh();
}

// The nearest cell in a direction: what lies ahead counts once, what lies aside three times.
function step(dx, dy) {
  const { grid, cell, hover } = map.state, from = cell >= 0 ? cell : hover;
  if (from < 0) { choose(nearestCell(grid, 0.5, 0.5)); return; }
  let best = -1, least = Infinity;
  for (let k = 0; k < grid.x.length; k++) {
    const ahead = (grid.x[k] - grid.x[from]) * dx + (grid.y[k] - grid.y[from]) * dy;
    const aside = Math.abs((grid.x[k] - grid.x[from]) * dy) + Math.abs((grid.y[k] - grid.y[from]) * dx);
    if (ahead > 0 && ahead >= aside && ahead + 3 * aside < least) { least = ahead + 3 * aside; best = k; }
  }
  if (best >= 0) choose(best);
}

let writtenHash = null;
function writeHash() {
  const { atlas, level, grid, show, of, heat, by, cell } = map.state, hash = new URLSearchParams({ atlas: atlas.name });
  if (level !== "auto") hash.set("grid", level);
  if (show !== "icons") hash.set("show", show);
  if (of !== "class") hash.set("heat", of);
  if (heat !== null) hash.set("class", String(heat));
  if (by !== null && by !== atlas.statistics[0]?.key) hash.set("by", by);
  if (map.state.mark) hash.set("mark", map.state.mark.id);
  if (cell >= 0) hash.set("cell", `${grid.n},${grid.x[cell]},${grid.y[cell]}`);
  const text = `#${hash}`;
  if (text === writtenHash) return;
  const first = writtenHash === null && location.hash === "";
  writtenHash = text;
  if (!first) history.replaceState(null, "", text);
}

function readHash() {
  const hash = new URLSearchParams(location.hash.slice(1)), { state } = map;
  if (KINDS.some(([key]) => key === hash.get("show"))) state.show = hash.get("show");
  const index = Number(hash.get("class") ?? NaN);
  state.heat = Number.isInteger(index) && index >= 0 && index < RUN.classes.length ? index : null;
  const of = HEATS.some(([key]) => key === hash.get("heat")) ? hash.get("heat") : "class";
  state.by = hash.get("by");
  state.mark = RUN.found.find((one) => one.id === hash.get("mark")) ?? null;
  showAtlas(hash.get("atlas") ?? state.mark?.atlas);
  showClass(state.heat);
  if (of !== "class") { state.of = of; refresh(); }
  if (state.atlas.grids.some((g) => String(g.n) === hash.get("grid"))) chooseGrid(hash.get("grid"));
  if (state.mark) showMark(state.mark);
  const [n, x, y] = (hash.get("cell") ?? "").split(",").map(Number), grid = state.atlas.grids.find((g) => g.n === n);
  const k = grid?.at.get(x + y * n);
  if (k !== undefined) {
    if (grid !== state.grid) chooseGrid(String(n));
    choose(k);
  }
  map.before = null;
}

function pointerEvents(canvas) {
  const fingers = new Map();
  let start = null, moved = 0;
  const at = (event) => { const box = canvas.getBoundingClientRect(); return [event.clientX - box.left, event.clientY - box.top]; };
  const middle = () => { const p = [...fingers.values()]; return [(p[0][0] + p[1][0]) / 2, (p[0][1] + p[1][1]) / 2, Math.hypot(p[0][0] - p[1][0], p[0][1] - p[1][1])]; };
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, at(event));
    start = fingers.size === 2 ? middle() : at(event);
    if (fingers.size === 1) moved = 0;
    canvas.classList.add("dragging");
  });
  canvas.addEventListener("pointermove", (event) => {
    const [x, y] = at(event);
    if (!fingers.has(event.pointerId)) {
      const k = cellAt(x, y);
      if (k !== map.state.hover) { map.state.hover = k; if (map.state.cell < 0) drawPanel(); redraw(); }
      return;
    }
    const before = fingers.size === 2 ? middle() : null, [px, py] = fingers.get(event.pointerId);
    fingers.set(event.pointerId, [x, y]);
    map.goal = null; map.moved = true;
    if (before) {
      const now = middle();
      map.view.x += now[0] - before[0]; map.view.y += now[1] - before[1];
      zoomAt(now[0], now[1], now[2] / Math.max(1, before[2]), true);
      moved = 99;
    } else {
      moved += Math.abs(x - px) + Math.abs(y - py);
      if (moved > 4) map.view = { ...map.view, x: map.view.x + x - px, y: map.view.y + y - py };
      redraw();
    }
  });
  const end = (event) => {
    if (!fingers.delete(event.pointerId)) return;
    canvas.classList.toggle("dragging", fingers.size > 0);
    if (event.type === "pointerup" && fingers.size === 0 && moved <= 4) { const k = cellAt(...at(event)); choose(k === map.state.cell ? -1 : k); }
  };
  canvas.addEventListener("pointerup", end);
  canvas.addEventListener("pointercancel", end);
  // Not before: the click that belongs to a tap would meet what has come to lie under the finger.
  canvas.addEventListener("click", () => { if (moved <= 4) showPanel(); });
  canvas.addEventListener("pointerleave", () => { if (map.state.hover >= 0) { map.state.hover = -1; if (map.state.cell < 0) drawPanel(); redraw(); } });
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    const unit = event.deltaMode === 1 ? 16 : event.deltaMode === 2 ? 400 : 1;
    zoomAt(...at(event), Math.exp(-Math.max(-240, Math.min(240, event.deltaY * unit)) * (event.ctrlKey ? 0.01 : 0.0022)));
  }, { passive: false });
  canvas.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const arrow = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (arrow) step(...arrow);
    else if (event.key === "+" || event.key === "=") zoomButton("in");
    else if (event.key === "-") zoomButton("out");
    else if (event.key === "0") zoomButton("all");
    else if (event.key === "Enter") enter();
    else if (event.key === "Escape") choose(-1);
    else return;
    event.preventDefault();
  });
}

// Where the panel lies under the map and out of sight, the page moves so far that both are seen.
function showPanel() {
  const panel = $("panel").getBoundingClientRect(), box = document.querySelector(".map").getBoundingClientRect();
  if (map.state.cell < 0 || panel.top < box.bottom || panel.top < window.innerHeight - 160) return;
  window.scrollBy({ top: Math.min(box.top, panel.top - window.innerHeight / 2), behavior: calm ? "auto" : "smooth" });
}

// Keeps the cell under the pointer; where one is kept already, opens its pictures.
function enter() {
  const { grid, cell, hover } = map.state;
  if (hover >= 0 && hover !== cell) choose(hover);
  else if (cell >= 0) openCell(grid, cell, null);
}

function zoomButton(which) {
  const { width, height } = extent(), { grid, cell } = map.state, view = map.goal ?? map.view;
  if (which === "all") { map.moved = false; moveTo(wholeView()); return; }
  const at = cell >= 0 ? [view.x + (grid.x[cell] + 0.5) / grid.n * view.size, view.y + (grid.y[cell] + 0.5) / grid.n * view.size] : [width / 2, height / 2];
  zoomAt(...at, which === "in" ? 1.6 : 1 / 1.6);
}

theme(() => { if (map.state) refresh(); });
if (RUN.atlases.length) {
  for (const atlas of RUN.atlases) for (const grid of atlas.grids) grid.at = new Map(grid.x.map((x, k) => [x + grid.y[k] * grid.n, k]));
  $("atlases").hidden = false;
  const tabs = document.querySelector(".tabs");
  for (const atlas of RUN.atlases) tabs.append(make("button", { type: "button", role: "tab", "data-name": atlas.name, "aria-controls": "map", onclick: () => showAtlas(atlas.name) }, atlas.title));
  tabs.addEventListener("keydown", (event) => {
    const move = { ArrowRight: 1, ArrowLeft: -1 }[event.key], all = [...tabs.children];
    if (!move) return;
    const next = all[(all.indexOf(document.activeElement) + move + all.length) % all.length];
    next.focus(); next.click();
  });
  map.state = { atlas: RUN.atlases[0], grid: RUN.atlases[0].grids[0], level: "auto", show: "icons", of: "class", heat: null, by: null, mark: null, cell: -1, hover: -1, names: true };
  $("names").addEventListener("change", (event) => { map.state.names = event.target.checked; redraw(); });
  for (const button of document.querySelectorAll(".zoom button")) button.addEventListener("click", () => zoomButton(button.dataset.zoom));
  pointerEvents(map.canvas);
  readHash();
  resize();
  new ResizeObserver(resize).observe(map.canvas);
  window.addEventListener("hashchange", () => { if (location.hash !== writtenHash && /(^#|&)(atlas|mark)=/.test(location.hash)) readHash(); });
  document.fonts?.ready.then(redraw);
}
