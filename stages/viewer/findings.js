// What an audit found on the atlas: outlines on the map, what each cell is part of, and the way to the proof.

const foundOn = (atlas) => RUN.found.filter((one) => one.atlas === atlas.name);

// Those whose cells, which are of one grid, lie where a cell of any grid lies.
function foundAt(atlas, grid, k) {
  const beside = (at, n, other, m) => (at + 1) * m > other * n && at * m < (other + 1) * n;
  return foundOn(atlas).filter((one) => one.cells.some(([m, x, y]) => beside(grid.x[k], grid.n, x, m) && beside(grid.y[k], grid.n, y, m)));
}

const badgeOf = (one) => [make("span", { class: `verdict ${one.badge}` }, one.badge), " "];
const proofOf = (one) => make("a", { href: `audit.html#${one.id}` }, one.words);

// In the panel of a cell.
function foundHere(atlas, grid, k) {
  const here = foundAt(atlas, grid, k);
  if (!here.length) return [];
  return [make("h3", {}, "Found by the audit"), make("ul", { class: "findings" }, ...here.map((one) => make("li", {}, ...badgeOf(one), proofOf(one))))];
}

// In the panel while no cell is chosen: all but what was refuted, each to be shown on the map.
function foundList(atlas) {
  const all = foundOn(atlas).filter((one) => one.badge !== "refuted"), refuted = foundOn(atlas).length - all.length, { mark } = map.state;
  if (!all.length && !refuted) return [];
  const items = all.map((one) => make("li", {}, ...badgeOf(one),
    make("button", { type: "button", "aria-pressed": String(one === mark), title: "Show on the map", onclick: () => { map.state.mark = one === mark ? null : one; if (one !== mark) showMark(one); refresh(); } }, one.words),
    " ", make("a", { href: `audit.html#${one.id}` }, "proof")));
  return [make("h3", {}, "Found by the audit ", make("small", {}, all.some((one) => one.badge === "verified") ? "outlined: verified, or what is chosen here" : "")),
    all.length ? make("ul", { class: "findings" }, ...items) : null,
    refuted ? make("p", { class: "note" }, make("a", { href: "audit.html#cues" }, `${plural(refuted, "candidate")} refuted`)) : null].filter(Boolean);
}

// Moves the map so that the cells of a finding are seen with what lies around them.
function showMark(one) {
  const { width, height } = extent(), ends = (axis, by) => one.cells.map((cell) => (cell[axis] + by) / cell[0]);
  const box = [Math.min(...ends(1, 0)), Math.min(...ends(2, 0)), Math.max(...ends(1, 1)), Math.max(...ends(2, 1))];
  const room = 0.6 * Math.min(width / (box[2] - box[0]), height / (box[3] - box[1])), size = Math.max(Math.min(60 * one.cells[0][0], room), wholeView().size);
  map.moved = true;
  moveTo({ size, x: width / 2 - size * (box[0] + box[2]) / 2, y: height / 2 - size * (box[1] + box[3]) / 2 });
}

// Lines around the cells of what is marked; else around those of what is verified.
function drawFound(ink) {
  const { atlas, mark } = map.state, { view } = map;
  for (const one of mark ? [mark] : foundOn(atlas).filter((each) => each.badge === "verified")) {
    const own = new Set(one.cells.map(([, x, y]) => `${x},${y}`));
    context.beginPath();
    for (const [n, x, y] of one.cells) {
      const cell = view.size / n, left = view.x + x * cell, top = view.y + y * cell, right = left + cell, bottom = top + cell;
      for (const [dx, dy, ...line] of [[-1, 0, left, top, left, bottom], [1, 0, right, top, right, bottom], [0, -1, left, top, right, top], [0, 1, left, bottom, right, bottom]]) {
        if (own.has(`${x + dx},${y + dy}`)) continue;
        context.moveTo(line[0], line[1]); context.lineTo(line[2], line[3]);
      }
    }
    context.lineCap = "square";
    context.strokeStyle = ink.halo; context.lineWidth = mark ? 6 : 5; context.stroke();
    context.strokeStyle = ink.mark; context.lineWidth = mark ? 3 : 2; context.stroke();
  }
}
