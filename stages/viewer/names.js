// The names on the map: each inside the cell it belongs to, or not drawn until there is room.

const NAMES = { least: 9.5, most: 19, font: (size, isGroup) => `${isGroup ? "italic " : ""}600 ${size}px "Source Sans 3", system-ui, sans-serif` };

function drawNames(ink) {
  const { atlas, grid } = map.state, cell = map.view.size / grid.n, room = cell - Math.max(3, cell * 0.06);
  if (room < 24) return;
  // Of neighbours of one name the heaviest is named, until they are so large that one is seen without the other.
  const own = (index) => atlas.kind === "class" && atlas.own.includes(index);
  const cells = cell < 150 ? grid.drawn : Object.keys(grid.names).map(Number).filter((k) => !own(grid.names[k][0][1]));
  context.textAlign = "center"; context.textBaseline = "middle"; context.lineJoin = "round";
  for (const k of cells) {
    const name = nameOf(grid.names[k][0]), isGroup = grid.names[k][0][1] === null, left = map.view.x + grid.x[k] * cell, top = map.view.y + grid.y[k] * cell, { width, height } = extent();
    if (left + cell < 0 || top + cell < 0 || left > width || top > height) continue;
    const fit = lettered(name, isGroup, Math.round(room));
    if (!fit) continue;
    const foot = top + cell - (cell - room) / 2 - fit.size * 0.12;
    context.font = NAMES.font(fit.size, isGroup);
    fit.lines.forEach((line, n) => {
      const y = foot - (fit.lines.length - n - 0.5) * fit.size * 1.02;
      context.strokeStyle = ink.halo; context.lineWidth = Math.min(4.5, fit.size * 0.3); context.strokeText(line, left + cell / 2, y);
      context.fillStyle = isGroup ? ink.group : ink.label; context.fillText(line, left + cell / 2, y);
    });
  }
}

const fitted = new Map();
// The largest lettering of a name that stands inside a square: {size, lines}; null where even the smallest does not.
function lettered(name, isGroup, room) {
  const key = `${isGroup} ${room} ${name}`;
  if (fitted.has(key)) return fitted.get(key);
  if (fitted.size > 4000) fitted.clear();
  let found = null;
  const words = name.replaceAll("_", " ").trim().split(/\s+/).flatMap((word) => word.split(/(?<=[-/])/));
  for (let size = Math.min(NAMES.most, Math.max(11, room * 0.17)); size >= NAMES.least && !found; size -= 0.5) {
    context.font = NAMES.font(size, isGroup);
    const span = (text) => context.measureText(text).width + size * 0.15, lines = [];
    for (const word of words) {
      const last = lines.at(-1), longer = last === undefined ? word : /[-/]$/.test(last) ? last + word : `${last} ${word}`;
      if (last !== undefined && span(longer) <= room) lines[lines.length - 1] = longer; else lines.push(word);
    }
    if (lines.every((line) => span(line) <= room) && lines.length * size * 1.02 <= room * 0.75) found = { size, lines };
  }
  fitted.set(key, found);
  return found;
}
