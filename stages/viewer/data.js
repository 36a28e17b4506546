"use strict";
// What the page was built with: cells as columns, photographs, sprites; and the small pieces everything uses.

const RUN = JSON.parse(document.getElementById("data").textContent);

const $ = (id) => document.getElementById(id);

// An element from its name, properties and children; strings become text, never markup.
function make(name, properties = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (value === null || value === undefined) continue;
    if (key === "style") Object.assign(element.style, value);
    else if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key === "class") element.className = value;
    else element.setAttribute(key, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

const className = (index) => RUN.classes[index] ?? `class ${index}`;
const group = (value) => Math.round(value).toLocaleString("en-US");
const percent = (share, digits = 0) => `${(100 * share).toFixed(digits)} %`;
const plural = (count, one) => `${group(count)} ${one}${count === 1 ? "" : "s"}`;

function signed(value) {
  const text = Math.abs(value) >= 10 ? value.toFixed(1) : Math.abs(value) >= 0.095 ? value.toFixed(2) : value.toFixed(3);
  return Number(text) === 0 ? "0" : (value > 0 ? "+" : "") + text.replace("-", "−");
}

// 95 % score interval of a share (Wilson 1927).
function wilson(share, n, z = 1.959964) {
  if (n <= 0) return [0, 1];
  const centre = share + z * z / (2 * n), half = z * Math.sqrt(share * (1 - share) / n + z * z / (4 * n * n));
  return [Math.max(0, (centre - half) / (1 + z * z / n)), Math.min(1, (centre + half) / (1 + z * z / n))];
}

const link = (name) => RUN.links[name];

const unloaded = new Set();
// What lies beside the page and could not be read is said where the page says what it shows; of each kind once.
function notLoaded(what) {
  if (unloaded.has(what)) return;
  unloaded.add(what);
  const kinds = [...unloaded].map((kind, k) => k ? kind.toLowerCase() : kind).join(" and ");
  $("lost").textContent = `${kinds} could not be loaded: the folder assets must lie beside this page.`;
}

// A script beside the page that hands over data.
function load(name, what) { document.head.append(make("script", { src: link(name), onerror: () => notLoaded(what) })); }

const images = new Map();
// An image by asset name, loaded once; `ready` is called when it can be drawn, or is `lost`.
function picture(name, ready) {
  if (!images.has(name)) {
    const image = new Image();
    image.onload = () => { image.ready = true; image.grey = null; ready(); };
    image.onerror = () => { image.lost = true; notLoaded("Pictures"); ready(); };
    image.src = link(name);
    images.set(name, image);
  }
  return images.get(name);
}

const attributions = new Map(), waiting = new Map();
// Called by the attribution scripts: all mean attributions of one grid, 8 bits each, one scale per class.
window.activationAtlasData = (key, { scale, levels }) => {
  const bytes = atob(levels), values = new Int8Array(bytes.length);
  for (let k = 0; k < bytes.length; k++) values[k] = bytes.charCodeAt(k) << 24 >> 24;
  attributions.set(key, { scale, values });
  (waiting.get(key) ?? []).forEach((ready) => ready());
  waiting.delete(key);
};

// Mean attributions of one class over a grid's cells, in logits; null until their script has been loaded.
function attributionOf(atlas, grid, index, ready) {
  if (!grid.heat) return null;
  const column = atlas.attributed ? atlas.attributed.indexOf(index) : index;
  if (column < 0) return null;
  const found = attributions.get(grid.heat.key);
  if (!found) {
    if (!waiting.has(grid.heat.key)) {
      waiting.set(grid.heat.key, []);
      load(grid.heat.src, "Attributions");
    }
    waiting.get(grid.heat.key).push(ready);
    return null;
  }
  const cells = grid.x.length, unit = found.scale[column] / 127;
  return Float32Array.from(found.values.subarray(column * cells, (column + 1) * cells), (level) => level * unit);
}

// Half-width of a class's colour scale: its largest absolute mean among cells that are not too small to trust.
function heatTop(grid, values) {
  let top = 0;
  for (let k = 0; k < values.length; k++) if (grid.side[k] > 0) top = Math.max(top, Math.abs(values[k]));
  return top || Math.max(...values.map(Math.abs)) || 1;
}

// The colours of the posters' heat maps (RdBu), white at 0.
const RAMP = ["#053061", "#2166ac", "#4393c3", "#92c5de", "#d1e5f0", "#f7f7f7", "#fddbc7", "#f4a582", "#d6604d", "#b2182b", "#67001f"]
  .map((hex) => [1, 3, 5].map((k) => parseInt(hex.slice(k, k + 2), 16)));

function heatColour(value, top) {
  const place = Math.min(Math.max(value / (2 * top) + 0.5, 0), 1) * (RAMP.length - 1), low = Math.min(Math.floor(place), RAMP.length - 2);
  const mixed = RAMP[low].map((from, k) => Math.round(from + (RAMP[low + 1][k] - from) * (place - low)));
  return `rgb(${mixed.join(",")})`;
}
