// The panel: all that is known of one cell, and the photographs that are its evidence.

function drawPanel() {
  const { atlas, grid } = map.state, k = map.state.cell >= 0 ? map.state.cell : map.state.hover;
  const panel = $("panel");
  if (k < 0) { panel.replaceChildren(...invitation(atlas, grid)); return; }
  const pinned = map.state.cell >= 0;
  const parts = [
    make("div", { class: "head" },
      make("span", {}, `Column ${grid.x[k] + 1}, row ${grid.y[k] + 1} of ${grid.n} × ${grid.n}`),
      pinned ? make("button", { type: "button", onclick: () => choose(-1) }, "Let go") : make("span", {}, "· click to keep")),
    make("div", { class: "pair" }, iconFigure(atlas, grid, k), photoFigure(grid, k, 0, true)),
    ...foundHere(atlas, grid, k), ...named(grid, k), ...colouredBy(atlas, grid, k), ...argues(atlas, grid, k),
    make("h3", {}, "In this cell"),
    facts(atlas, grid, k),
  ];
  const shown = grid.exemplars[k].map((_, rank) => rank);
  if (shown.length) {
    parts.push(make("h3", {}, "Nearest to its mean ", make("small", {}, "best first; each opens large")));
    parts.push(make("div", { class: "photos" }, ...shown.map((rank) => photoFigure(grid, k, rank, false))));
  }
  panel.replaceChildren(...parts);
}

function invitation(atlas, grid) {
  const full = Math.max(1, Math.round(grid.full)), cell = 34;
  const sizes = [full, full / 4].filter((count) => count >= atlas.minCount || count === full);
  return [
    make("p", { class: "hint" }, "Point at a cell to see what it argues for and which photographs stand behind it; click to keep it. Scroll or pinch to zoom, drag to move, arrow keys to walk."),
    make("div", { class: "key" },
      ...sizes.map((count, i) => make("span", {},
        make("i", { style: { width: `${Math.sqrt(count / full) * cell}px`, height: `${Math.sqrt(count / full) * cell}px` } }), `${i ? "" : "≥ "}${group(count)}`)),
      atlas.minCount > 1 ? make("span", {}, make("i", { class: "dot" }), `< ${atlas.minCount}`) : null,
      make("span", {}, `${atlas.things} in a cell`)),
    ...foundList(atlas),
  ];
}

// Where a cell's picture lies on a sheet; -1 where it has none.
const pictureOf = (sheet, k) => sheet ? sheet.places[k] : -1;

function iconFigure(atlas, grid, k) {
  const sheet = grid.icons, place = pictureOf(sheet, k);
  if (place < 0) {
    const why = !sheet ? "no icons were drawn for this grid" : grid.count[k] < atlas.minCount ? `fewer than ${atlas.minCount} ${atlas.things}: no icon` : "no icon";
    return make("figure", {}, make("div", { class: "tile blank" }, why));
  }
  const tile = make("button", { class: "tile", type: "button", "data-close": "icon", "aria-label": "Icon, a picture synthesised to excite the layer as this cell’s mean does: open large", onclick: () => openCell(grid, k, tile) });
  const rows = Math.ceil((Math.max(...sheet.places) + 1) / sheet.across), column = place % sheet.across, row = Math.floor(place / sheet.across);
  tile.style.backgroundImage = `url("${link(sheet.src)}")`;
  tile.style.backgroundSize = `${sheet.across * 100}% ${rows * 100}%`;
  tile.style.backgroundPosition = `${sheet.across > 1 ? 100 * column / (sheet.across - 1) : 0}% ${rows > 1 ? 100 * row / (rows - 1) : 0}%`;
  return make("figure", {}, tile, make("figcaption", {}, "Icon"));
}

function photoFigure(grid, k, rank, brief) {
  const exemplar = grid.exemplars[k][rank];
  if (!exemplar) return make("figure", {}, make("div", { class: "tile blank" }, "no photograph"));
  const [index, left, top, right, bottom] = exemplar, photo = RUN.photos[index];
  const caption = brief ? make("figcaption", {}, "Photograph") : photoCaption(photo);
  if (!photo.src) return make("figure", {}, make("div", { class: "tile blank" }, photo.missing ? `could not be read again: ${photo.missing}` : "not kept"), caption);
  const whole = left <= 0 && top <= 0 && right >= 1000 && bottom >= 1000, w = (right - left) / 1000, h = (bottom - top) / 1000;
  const tile = make("button", { class: "tile", type: "button", "data-close": rank, "aria-label": `${photo.name}${whole ? "" : ", the piece this activation saw"}: open large`, onclick: () => openCell(grid, k, tile) });
  tile.style.backgroundImage = `url("${link(photo.src)}")`;
  tile.style.backgroundSize = `${100 / w}% ${100 / h}%`;
  tile.style.backgroundPosition = `${w < 1 ? 100 * left / 1000 / (1 - w) : 0}% ${h < 1 ? 100 * top / 1000 / (1 - h) : 0}%`;
  return make("figure", {}, tile, caption);
}

// The pictures of a cell, large: its icon, then its photographs, whole, the piece that was sampled framed. `from`: the
// tile that was pressed; null where it was none of them, so that there is none to go back to.
function openCell(grid, k, from) {
  const where = `column ${grid.x[k] + 1}, row ${grid.y[k] + 1}`, entries = [];
  const tiles = new Map([...$("panel").querySelectorAll("[data-close]")].map((tile) => [tile.dataset.close, tile]));
  if (pictureOf(grid.icons, k) >= 0) entries.push({
    key: "icon", title: `Icon of ${where}`, size: [grid.icons.side, grid.icons.side], from: from && tiles.get("icon"), draw: (canvas) => drawIcon(canvas, grid, k),
    caption: ["Synthesised: a picture that excites the layer as the mean of this cell does."],
  });
  grid.exemplars[k].forEach(([index, ...box], rank) => {
    const photo = RUN.photos[index], [left, top, right, bottom] = box;
    if (!photo.src) return;
    const whole = left <= 0 && top <= 0 && right >= 1000 && bottom >= 1000;
    entries.push({
      key: String(rank), title: photo.name, src: link(photo.src), size: photo.size, box: whole ? null : box, from: from && tiles.get(String(rank)),
      caption: [photo.label === null || photo.pred === photo.label ? "" : "label ", ...verdict(photo), make("br"), whole ? "" : "Framed: the piece this activation saw. ", `${rank ? `Number ${rank + 1} of the` : "Of all the"} nearest to the mean of ${where}.`],
    });
  });
  const at = entries.findIndex((entry) => entry.key === from?.dataset.close);
  if (entries.length) closer.open(entries, Math.max(0, at));
}

function drawIcon(canvas, grid, k) {
  const { src, side, across } = grid.icons, place = grid.icons.places[k], image = picture(src, closer.paint);
  if (image.lost) closer.say("This picture could not be loaded: the folder assets must lie beside this page.");
  if (!image.ready) { image.addEventListener("load", closer.paint, { once: true }); return; }
  canvas.width = canvas.height = side;
  canvas.getContext("2d").drawImage(image, place % across * side, Math.floor(place / across) * side, side, side, 0, 0, side, side);
}

// What the model said of a photograph, and whether it was right.
function verdict(photo) {
  if (photo.said !== undefined) return [photo.said];
  const predicted = photo.pred === null ? null : `${className(photo.pred)}${photo.prob === null ? "" : ` ${percent(photo.prob)}`}`;
  if (photo.label === null) return predicted ? [`predicted ${predicted}`] : [];
  if (photo.pred === photo.label) return [`${predicted}, right`];
  return [className(photo.label), ...(predicted ? [make("span", { class: "wrong" }, `, taken for ${predicted}`)] : [])];
}

function photoCaption(photo) {
  const said = verdict(photo);
  return make("figcaption", { title: photo.name }, ...said, said.length ? make("br") : null, photo.name);
}

function facts(atlas, grid, k) {
  const rows = [[atlas.things === "photographs" ? "photographs" : "activations", group(grid.count[k])]];
  if (atlas.things !== "photographs") rows.push(["distinct photographs", group(grid.images[k])]);
  if (grid.error[k] !== null) {
    const [low, high] = wilson(grid.error[k], grid.labelled[k]);
    rows.push([WRONG, `${percent(grid.error[k])}  (95 %: ${(100 * low).toFixed(0)} to ${percent(high)})`]);
  }
  for (const [output, mean, half] of awayOf(atlas, grid, k)) {
    const [low, high] = between(mean, half);
    rows.push([`mean error of ${className(output)}`, `${amount(mean)}${half === null ? "" : `  (95 %: ${amount(low)} to ${amount(high)})`}`]);
  }
  if (grid.entropy[k] !== null) rows.push(["variety of labels", `${grid.entropy[k].toFixed(1)} bits${grid.variety ? `  (at random: ${grid.variety[1][k].toFixed(1)} to ${grid.variety[2][k].toFixed(1)})` : ""}`]);
  const f = grid.fidelity;
  if (f && f.cosine[k] !== null) {
    rows.push(["icon, cosine to the mean", f.cosine[k].toFixed(2)]);
    const rank = f.retrieval_rank_raw[k];
    if (rank !== null) rows.push(["icon recognised", rank === 0 ? "yes, before all other cells" : `${plural(rank, "other cell")} fit${rank === 1 ? "s" : ""} better`]);
    if (f.contrast[k] !== null) rows.push(["icon, contrast", f.contrast[k].toFixed(2)]);
    if (f.predicted[k] !== null && f.predicted[k] >= 0) rows.push(["icon is taken for", className(f.predicted[k])]);
  }
  return make("dl", {}, ...rows.flatMap(([key, value]) => [make("dt", {}, key), make("dd", {}, value)]));
}

// Of a cell's quantities how far off they are, [quantity, mean, half of the interval]: of many those farthest off beside
// all of the map.
function awayOf(atlas, grid, k, most = 6) {
  const [means, halves] = grid.away ?? [[], []], beside = ([output, mean]) => mean / (atlas.mae[output] || 1);
  const found = means.map((row, output) => [output, row[k], halves[output][k]]).filter(([, mean]) => mean !== null);
  return found.length <= most ? found : found.sort((a, b) => beside(b) - beside(a)).slice(0, most);
}

// One sentence for screen readers.
function spoken(atlas, grid, k) {
  const { key, rows } = arguesFor(atlas, grid, k), names = (grid.names[k] ?? []).map(nameOf).join(", ");
  const first = rows.slice(0, 3).map(([index, value]) => `${className(index)} ${numberOf(key, value)}`).join(", ");
  const away = awayOf(atlas, grid, k, 3).map(([output, mean]) => `${className(output)} ${amount(mean)}`).join(", ");
  const wrong = grid.error[k] !== null ? ` ${percent(grid.error[k])} ${WRONG}.` : away ? ` Off by ${away} in the mean.` : "";
  return `Column ${grid.x[k] + 1}, row ${grid.y[k] + 1}: ${group(grid.count[k])} ${atlas.things}.${names ? ` Named ${names}.` : ""}${first ? ` Argues for ${first}.` : ""}${wrong}`;
}
