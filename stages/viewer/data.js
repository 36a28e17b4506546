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

// A number near or below 1, in two digits.
const decimal = (value) => value.toFixed(2).replace("-", "−").replace("0.", ".").replace(/^−?\.00$/, "0");

// 95 % score interval of a share (Wilson 1927).
function wilson(share, n, z = 1.959964) {
  if (n <= 0) return [0, 1];
  const centre = share + z * z / (2 * n), half = z * Math.sqrt(share * (1 - share) / n + z * z / (4 * n * n));
  return [Math.max(0, (centre - half) / (1 + z * z / n)), Math.min(1, (centre + half) / (1 + z * z / n))];
}

// A quantity in its unit, in three digits.
const amount = (value) => String(Number(value.toPrecision(3))).replace("-", "−");

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
