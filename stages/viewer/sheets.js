// One explained image as a row of pictures: the photograph, and a map for each class, drawn when it comes into view.

const LOST = -128, BARE = 142; // a level that is not finite; the grey where no cell of a map lies
const bytesOf = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
const ramps = { signed: bytesOf(RUN.ramps.signed), unsigned: bytesOf(RUN.ramps.unsigned) };
const chunkSize = RUN.chunk;

const maps = new Map(), asked = new Map();
// Called by the scripts of maps: the maps of some cases by one method, 8 bits each, one scale per case.
window.activationAtlasMaps = (key, { tops, maps: described, levels }) => {
  const all = new Int8Array(bytesOf(levels).buffer), name = key.slice(0, key.lastIndexOf("/")), first = chunkSize * Number(key.slice(key.lastIndexOf("/") + 1));
  const [height, width] = RUN.variants.find((v) => v.name === name).shape;
  let at = 0;
  described.forEach((found, k) => {
    const entries = found.map(([target, kinds, flag, score, most, peak, top, box, iou, fit]) => {
      const levels = all.subarray(at, at + height * width);
      at += height * width;
      return { target, kinds, flag, score, most, peak, top, box, iou, fit, levels, height, width };
    });
    maps.set(`${name}/${first + k}`, { top: tops[k], entries });
  });
  (asked.get(key) ?? []).forEach((ready) => ready());
  asked.delete(key);
};

// The maps of one case by one method; null until their script has been loaded, when `ready` is called.
function mapsOf(variant, index, ready) {
  const found = maps.get(`${variant.name}/${index}`);
  if (found) return found;
  const chunk = variant.chunks[Math.floor(index / chunkSize)];
  if (!asked.has(chunk.key)) {
    asked.set(chunk.key, []);
    load(chunk.src, "Maps");
  }
  asked.get(chunk.key).push(ready);
  return null;
}

// Left neighbours and weights of the right ones, bilinear, or the nearest cell; and which pixels no cell lies over. The
// middle of the first cell, the way to the next, and from where to where cells lie are shares of the picture.
function places(cells, pixels, smooth, [start, pitch, from, to]) {
  const low = new Int32Array(pixels), share = new Float32Array(pixels), bare = new Uint8Array(pixels);
  for (let p = 0; p < pixels; p++) {
    const place = (p + 0.5) / pixels, inside = Math.min(Math.max((place - start) / pitch, 0), cells - 1);
    bare[p] = place < from || place > to;
    if (!smooth) { low[p] = Math.min(cells - 1, Math.floor(inside + 0.5)); continue; }
    low[p] = Math.min(Math.floor(inside), Math.max(0, cells - 2));
    share[p] = cells > 1 ? inside - low[p] : 0;
  }
  return { low, share, bare };
}

// The levels of a map to draw between: as they are, or, where windows were spread to pixels in steps, their means over
// one step, which is the straight line from the middle of each step to the next.
function smoothed(entry, [down, across]) {
  if (down <= 1 && across <= 1) return entry.levels;
  return entry.smoothed ??= along(along(entry.levels, entry.height, entry.width, across, 1), entry.width, entry.height, down, entry.width);
}

// Means over `step` neighbours along one direction; what is lost stays so, and counts for nothing.
function along(levels, lines, cells, step, stride) {
  const out = new Float32Array(levels.length), reach = Math.ceil((step - 1) / 2), between = stride === 1 ? cells : 1;
  for (let line = 0; line < lines; line++) for (let cell = 0; cell < cells; cell++) {
    let sum = 0, weight = 0;
    for (let k = Math.max(0, cell - reach); k <= Math.min(cells - 1, cell + reach); k++) {
      const level = levels[line * between + k * stride], share = Math.min(step / 2, k - cell + 0.5) - Math.max(-step / 2, k - cell - 0.5);
      if (level !== LOST) { sum += share * level; weight += share; }
    }
    const at = line * between + cell * stride;
    out[at] = levels[at] === LOST ? LOST : sum / weight;
  }
  return out;
}

// A map as pixels of a canvas; `opaque`: without the transparency that lets a photograph show where a map says little.
function painted(entry, width, height, variant, smooth, opaque) {
  const { signed } = variant, canvas = make("canvas"), context = canvas.getContext("2d"), ramp = signed ? ramps.signed : ramps.unsigned;
  canvas.width = width; canvas.height = height;
  const image = context.createImageData(width, height), out = image.data, { width: cols, height: rows } = entry;
  const levels = smooth ? smoothed(entry, variant.step) : entry.levels;
  const x = places(cols, width, smooth, variant.axes[1]), y = places(rows, height, smooth, variant.axes[0]);
  for (let j = 0, k = 0; j < height; j++) {
    const up = y.low[j] * cols, v = y.share[j], down = v > 0 ? cols : 0;
    for (let i = 0; i < width; i++, k += 4) {
      if (y.bare[j] || x.bare[i]) {
        out[k] = out[k + 1] = out[k + 2] = BARE; out[k + 3] = 190;
        continue;
      }
      const a = up + x.low[i], u = x.share[i], next = u > 0 ? 1 : 0;
      const p = levels[a], q = levels[a + next], r = levels[a + down], s = levels[a + down + next];
      if (p === LOST || q === LOST || r === LOST || s === LOST) {
        const line = (i + j) % 8 < 4;
        out[k] = out[k + 1] = out[k + 2] = 150; out[k + 3] = line ? 255 : 110;
        continue;
      }
      const value = (p * (1 - u) + q * u) * (1 - v) + (r * (1 - u) + s * u) * v;
      const place = 4 * Math.round(signed ? (value / 127 + 1) * 127.5 : Math.max(0, value) / 127 * 255);
      out[k] = ramp[place]; out[k + 1] = ramp[place + 1]; out[k + 2] = ramp[place + 2]; out[k + 3] = opaque ? 255 : ramp[place + 3];
    }
  }
  context.putImageData(image, 0, 0);
  return canvas;
}

const rate = (share) => share === null || share === undefined ? "?" : share >= 0.9995 ? "> 99.9 %" : share < 0.0005 ? "< 0.1 %" : percent(share, 1);
const short = (value) => value === 0 ? "0" : String(Number(value.toPrecision(2))).replace("-", "−");
const called = { predicted: "predicted", label: "label", missed: "missed", false: "falsely called", second: "second" };

// What a class was asked for as, in words.
function asWhat(kinds) {
  if (RUN.measured) return ""; // each quantity is asked for, whatever is predicted
  const told = kinds.map((kind) => called[kind] ?? (/^rank:\d+$/.test(kind) ? `ranked ${kind.slice(5)}` : null)).filter(Boolean);
  return told.join(", ") || "asked for";
}
const mapName = (target, kinds) => `Map for ${[className(target), asWhat(kinds)].filter(Boolean).join(", ")}`;

// Where a map is strongest, in words, for those who cannot see it. Not by its levels: the least of them are 0 beside
// another map of the image, and of the largest several reach the end of the scale.
function strongest(entry, axes) {
  if (!(entry.most > 0)) return "nowhere above zero";
  const third = (cell, [start, pitch], names) => names[Math.max(0, Math.min(2, Math.floor(3 * (start + cell * pitch))))];
  const down = third(Math.floor(entry.peak / entry.width), axes[0], ["upper", "", "lower"]), across = third(entry.peak % entry.width, axes[1], ["left", "", "right"]);
  return `strongest ${down || across ? `at the ${`${down} ${across}`.trim()}` : "in the middle"}`;
}

// Pictures in a row, the same for all cases so that they can be compared: four where there are four or more than six.
const pictures = 1 + Math.max(0, ...RUN.cases.map((found) => found.targets.length)), across = RUN.variants.length ? pictures === 4 || pictures > 6 ? 4 : 3 : 1;

// What a photograph was taken for, and what it is.
const caseTitle = (found) => found.title ? found.title.map(([words, bold]) => bold ? make("b", {}, words) : words) : [found.mistake === false ? "rightly " : found.mistake ? "taken for " : "taken as ", make("b", {}, className(found.pred)), ` ${rate(found.prob)}`];

function caseLabel(found) {
  if (found.title) return [found.line];
  const label = found.label === null ? ["no label"] : ["label: ", make("b", {}, className(found.label)), ` ${rate(found.labelProb)}`];
  const second = found.second !== null && found.second !== found.label ? ` · second: ${className(found.second)} ${rate(found.secondProb)}` : found.second !== null && found.mistake ? " (its second choice)" : "";
  return [...label, second];
}

const cueName = (own) => RUN.cues.find(([candidate]) => candidate === own)[1];

// The card of one case. Its canvases are empty until `drawCase`.
function card(index) {
  const found = RUN.cases[index];
  // A button that opens the picture large (see closeups.js); its name is that of the picture in it.
  const box = () => make(found.src ? "button" : "div", { class: "frame", ...(found.src ? { type: "button" } : {}), style: { aspectRatio: found.size ? found.size.join(" / ") : "1" } });
  const photo = box();
  photo.append(found.src ? make("img", { src: link(found.src), loading: "lazy", decoding: "async", alt: `Photograph ${found.name}`, width: found.size[0], height: found.size[1] }) : make("div", { class: "blank" }, `could not be read again: ${found.missing}`), ...givenFrames(found));
  const element = make("article", { class: "case", "data-index": index, "aria-label": `${found.title ? found.title.map(([words]) => words).join("") : className(found.pred)}, ${found.name}` },
    make("h3", {}, make("span", { class: "rank" }, String(found.rank)), ...caseTitle(found)),
    make("p", {}, ...caseLabel(found)),
    found.cues ? make("p", { class: "leans" }, "shows ", ...found.cues.flatMap((own, k) => [k ? ", " : "", make("a", { href: `audit.html#cue-${own}` }, cueName(own))])) : null,
    make("div", { class: "pictures", style: { gridTemplateColumns: `repeat(${across}, minmax(0, 1fr))` } },
      make("figure", {}, photo, make("figcaption", {}, found.name, RUN.variants.length && !found.targets.length ? " · no maps: not among those explained" : "")),
      ...found.targets.map(([target, kinds]) => {
        const place = box(), canvas = make("canvas", { role: "img", "data-target": target, "aria-label": mapName(target, kinds) });
        canvas.width = canvas.height = 1;
        place.append(canvas);
        return make("figure", {}, place, make("figcaption", {}, make("b", {}, className(target)), asWhat(kinds) && ` ${asWhat(kinds)}`, make("span", { class: "most" }), make("span", { class: "merits" })));
      })),
    make("div", { class: "colours" }));
  return element;
}

// The colour scale of a case, with its numbers.
function colourBar(variant, top) {
  const ramp = variant.signed ? ramps.signed : ramps.unsigned, stops = [];
  for (let k = 0; k <= 16; k++) { const at = 4 * Math.round(k / 16 * 255); stops.push(`rgb(${ramp[at]},${ramp[at + 1]},${ramp[at + 2]})`); }
  const own = "each map’s own scale"; // of quantities, which have units of their own
  return [make("span", {}, variant.signed ? top === null ? "−" : short(-top) : "0"), make("i", { style: { background: `linear-gradient(90deg, ${stops.join(", ")})` } }), make("span", {}, top === null ? own : short(top)),
    variant.unit ? make("span", {}, variant.unit) : null].filter(Boolean);
}

// Draws all maps of a card as the controls stand.
function drawCase(element, state) {
  const index = Number(element.dataset.index), found = RUN.cases[index], { variant } = state;
  if (!variant || !found.targets.length) return;
  const again = () => { if (element.isConnected && element.near) drawCase(element, state); };
  const all = mapsOf(variant, index, again);
  if (!all) return;
  const file = found.src ? picture(found.src, () => {}) : null;
  if (file && !file.ready && !file.lost) {
    for (const end of ["load", "error"]) file.addEventListener(end, again, { once: true });
    return;
  }
  const photo = file?.ready ? file : null;
  element.querySelector(".colours").replaceChildren(...colourBar(variant, all.top));
  for (const canvas of element.querySelectorAll("canvas")) {
    const entry = all.entries.find((e) => e.target === Number(canvas.dataset.target)), width = Math.max(1, Math.round(canvas.parentElement.clientWidth * Math.min(2, window.devicePixelRatio || 1)));
    canvas.width = width;
    canvas.height = found.size ? Math.max(1, Math.round(width * found.size[1] / found.size[0])) : width;
    drawPicture(canvas, photo, entry, variant, state);
    canvas.parentElement.querySelector("em")?.remove();
    drawFrames(canvas.parentElement, found, entry);
    if (!entry) {
      canvas.parentElement.append(make("em", {}, "no map"));
      for (const told of canvas.closest("figure").querySelectorAll(".most, .merits")) told.textContent = "";
      continue;
    }
    canvas.setAttribute("aria-label", describeMap(entry, variant));
    const same = variant.byClass ? "" : `, the same for every ${RUN.measured ? "quantity" : "class"}`, reach = RUN.measured ? `, scale to ${short(entry.top)}` : `, up to ${short(entry.most)}`;
    canvas.closest("figure").querySelector(".most").textContent = same + (entry.most === null ? "" : reach);
    canvas.closest("figure").querySelector(".merits").replaceChildren(...merits(entry, variant).flatMap((part) => [", ", part]));
    if (entry.flag) canvas.parentElement.append(make("em", {}, said(entry.flag)));
  }
}

const describeMap = (entry, variant) => `${variant.title} for ${className(entry.target)}: ${entry.flag ? said(entry.flag) : strongest(entry, variant.axes)}`;

// Where the slider stands at first: colours are as strong as on paper.
const PRINTED = 75;

// The photograph and its map (either may be lacking) on a canvas that has its size, as the controls stand.
function drawPicture(canvas, photo, entry, variant, state) {
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  if (photo && state.view !== "maps") drawPhoto(context, photo, variant.faded && state.view === "over");
  if (!entry || state.view === "photo") return;
  context.globalAlpha = state.view === "maps" ? 1 : Math.min(1, variant.opacity * state.opacity / PRINTED);
  context.drawImage(painted(entry, canvas.width, canvas.height, variant, state.smooth && !variant.segmented, state.view === "maps"), 0, 0);
}

// The photograph; faded: as a light grey print, on which red and blue of single pixels can be seen.
function drawPhoto(context, photo, faded) {
  const { width, height } = context.canvas;
  if (faded) context.filter = "grayscale(1)";
  context.drawImage(photo, 0, 0, width, height);
  if (!faded) return;
  context.filter = "none";
  context.fillStyle = "rgba(255, 255, 255, .6)";
  context.fillRect(0, 0, width, height);
}

const said = (flag) => RUN.flags[flag] ?? flag;

// Gives back what the canvases of a card hold.
function emptyCase(element) {
  for (const canvas of element.querySelectorAll("canvas")) canvas.width = canvas.height = 1;
}
