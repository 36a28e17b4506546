// The page of mistakes: what the controls say, which cases that leaves, and the address that leads back to it.

const VIEWS = [["over", "Map over photograph", true], ["maps", "Map only", true], ["photo", "Photograph only", true]];
// Of several labels, what is missed stands as a label, and what is falsely called as a prediction.
const ORDERS = RUN.measured ? [["worst", "farthest off first"]]
  : RUN.several ? [["worst", "most confident first"], ["pred", "grouped by what is falsely called"], ["label", "grouped by what is missed"]]
  : [["worst", "most confident first"], ["pred", "grouped by prediction"], ["label", "grouped by label"]];
const groupName = (key) => key === null ? (state.order === "pred" ? "Missed" : "Falsely called")
  : RUN.several ? `${state.order === "pred" ? "Falsely called" : "Missed"}: ${className(key)}`
  : state.order === "pred" ? `Taken for ${className(key)}` : `${className(key)}, taken for something else`;
const opening = RUN.variants.find((v) => v.name === RUN.opens.variant) ?? null;
const state = { variant: opening, view: "over", opacity: PRINTED, smooth: true, boxes: true, order: "worst", label: null, pred: null, text: "", image: null, cue: null };

const near = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    target.near = isIntersecting;
    if (isIntersecting) drawCase(target, state); else emptyCase(target);
  }
}, { rootMargin: "400px 0px" });

// Cases that the filters leave, as indices.
function filtered() {
  const text = state.text.trim().toLowerCase();
  const holds = (c) => (state.label === null || c.label === state.label) && (state.pred === null || c.pred === state.pred)
    && (state.image === null || c.id === state.image) && (state.cue === null || c.cues?.includes(state.cue))
    && (!text || [c.name, ...[c.pred, c.label].filter((k) => k !== null).map(className), ...(c.title ?? []).map(([words]) => words), c.line ?? ""].some((name) => name.toLowerCase().includes(text)));
  return RUN.cases.map((c, k) => k).filter((k) => holds(RUN.cases[k]));
}

// [heading, indices] in the order they stand on the page; what is no mistake comes last.
function groups(indices) {
  const wrong = indices.filter((k) => RUN.cases[k].mistake), rest = indices.filter((k) => !RUN.cases[k].mistake), found = [];
  if (state.order === "worst") found.push([RUN.measured ? "The tenth farthest off" : "Mistakes, the most confident first", wrong]);
  else {
    const by = new Map();
    for (const k of wrong) { const key = RUN.cases[k][state.order]; by.set(key, [...(by.get(key) ?? []), k]); }
    const sorted = [...by].sort((a, b) => b[1].length - a[1].length || a[0] - b[0]);
    for (const [key, members] of sorted) found.push([groupName(key), members]);
  }
  const labelled = rest.filter((k) => RUN.cases[k].mistake === false), unknown = rest.filter((k) => RUN.cases[k].mistake === null);
  return [...found, ["Explained, and no mistakes", labelled], ["Explained, without a label", unknown]].filter(([, members]) => members.length);
}

function drawCases() {
  near.disconnect();
  const indices = filtered(), parts = [];
  for (const [heading, members] of groups(indices)) {
    const sheet = make("div", { class: RUN.variants.length ? "sheet" : "sheet bare" }, ...members.map((k) => card(k)));
    parts.push(make("h2", {}, heading, make("small", {}, `  ${group(members.length)}`)), sheet);
  }
  if (!parts.length) parts.push(make("p", { class: "none" }, RUN.cases.length ? "No photograph on this page is of this kind." : RUN.variants.length ? "No image was explained." : "The model makes no mistake."));
  $("cases").replaceChildren(...parts);
  for (const element of $("cases").querySelectorAll(".case")) near.observe(element);
  $("status").textContent = status(indices.length);
  drawConfusions(state);
}

// One line: how many there are here, and how many in the run.
function status(count) {
  const parts = [`${group(count)} of ${plural(RUN.cases.length, RUN.several ? "case" : "photograph")} on this page`], { label, pred } = state;
  const kinds = RUN.confusions.filter(([l, p]) => (label === null || l === label) && (pred === null || p === pred));
  if (label !== null || pred !== null) {
    const words = RUN.several ? ["that miss", "that falsely call"] : ["of", "taken for"];
    const which = [label === null ? null : `${words[0]} ${className(label)}`, pred === null ? null : `${words[1]} ${className(pred)}`].filter(Boolean).join(" ");
    const all = kinds.reduce((n, k) => n + k[2], 0), here = RUN.cases.filter((c) => c.mistake && (label === null || c.label === label) && (pred === null || c.pred === pred)).length;
    parts.push(`the run has ${plural(all, "mistake")} ${which}${all > here ? `, ${group(all - here)} of them not on this page (report.errors sets how many are)` : ""}`);
  }
  if (state.image !== null) parts.push("one image");
  if (state.cue !== null) parts.push(`those that show ${cueName(state.cue)}`);
  if (state.text.trim()) parts.push(`“${state.text.trim()}”`);
  return parts.join(" · ");
}

function redrawMaps() {
  for (const element of document.querySelectorAll(".case")) if (element.near) drawCase(element, state);
}

function drawControls() {
  const { variant } = state;
  radios($("method"), RUN.variants.map((v) => [v.name, v.title, true]), variant?.name, (key) => { state.variant = RUN.variants.find((v) => v.name === key); changed(redrawMaps); });
  if (variant) drawStanding(variant);
  radios($("view"), VIEWS, state.view, (key) => { state.view = key; changed(redrawMaps); });
  const segmented = variant?.segmented, smooth = state.smooth && !segmented; // segments end where they end
  radios($("smooth"), [["yes", "Smooth", !segmented], ["no", segmented ? "Segments" : "Cells", true]], smooth ? "yes" : "no", (key) => { state.smooth = key === "yes"; changed(redrawMaps); });
  radios($("boxes"), BOXED || GIVEN ? [["yes", "Boxes", true], ["no", "No boxes", true]] : [], state.boxes ? "yes" : "no", (key) => { state.boxes = key === "yes"; changed(() => {}); });
  document.body.classList.toggle("unboxed", !state.boxes);
  $("opacity").value = state.opacity;
  $("opacity").disabled = state.view !== "over";
  $("order").value = state.order;
  for (const key of ["label", "pred"]) $(key).value = state[key] === null ? "" : String(state[key]);
  if (document.activeElement !== $("text")) $("text").value = state.text;
  $("reset").hidden = state.label === null && state.pred === null && state.image === null && state.cue === null && !state.text.trim();
  if (!variant) return;
  const step = Math.max(...variant.step) > 1 ? ", after a mean over one step of the windows" : "";
  const how = segmented ? "Every segment is drawn as it is: between two there is a border, and nothing to interpolate" : smooth ? `Between the centres of its cells a map is drawn smoothly (bilinear, half-pixel centres${step})` : "Every cell of a map is drawn as it is, without interpolation";
  const scales = !variant.byClass ? "Each image has a scale of its own." : RUN.measured ? "Each map has a scale of its own, in its quantity’s unit." : `All maps of one image share one scale, so that ${RUN.several ? "they" : "prediction and label"} can be compared; other images have their own.`;
  $("meaning").textContent = [variant.meaning, scales, state.boxes ? framesSaid(variant) : "", variant.fit].filter(Boolean).join(" ");
  $("reading").textContent = `${variant.placement} ${how}. Colours reach to the number ${RUN.measured ? "below the map, the 99th percentile of its absolute values" : "beside the colour bar, the 99th percentile of the absolute values of all maps of the image"}; what is beyond takes the last colour. Where a map says little, the photograph shows through${variant.faded ? ", here as a light grey print" : ""}. ${variant.lost ? `${variant.lost} ` : ""}${RUN.crop}`;
}

// Beside the switch: why the page opens on this method, and how far the one that is shown agrees with the others.
function drawStanding(variant) {
  const said = [variant === opening ? RUN.opens.why : "", variant.agrees].filter(Boolean);
  $("standing").textContent = said.join(" ");
  $("standing").hidden = !said.length;
}

function changed(draw) { drawControls(); draw(); writeHash(); }

function choices(select, key) {
  const counts = new Map();
  for (const c of RUN.cases) if (c[key] !== null) counts.set(c[key], (counts.get(c[key]) ?? 0) + 1);
  if (state[key] !== null && !counts.has(state[key])) counts.set(state[key], 0);
  const sorted = [...counts].sort((a, b) => className(a[0]) < className(b[0]) ? -1 : 1);
  select.replaceChildren(make("option", { value: "" }, "any"), ...sorted.map(([index, n]) => make("option", { value: index }, `${className(index)} (${n})`)));
}

let writtenHash = null;
function writeHash() {
  const hash = new URLSearchParams();
  for (const key of ["label", "pred"]) if (state[key] !== null) hash.set(key, String(state[key]));
  if (state.text.trim()) hash.set("text", state.text.trim());
  if (state.image !== null) hash.set("image", state.image);
  if (state.cue !== null) hash.set("cue", String(state.cue));
  if (state.order !== "worst") hash.set("order", state.order);
  if (state.variant !== opening) hash.set("method", state.variant.name);
  if (state.view !== "over") hash.set("view", state.view);
  if (state.opacity !== PRINTED) hash.set("opacity", String(state.opacity));
  if (!state.smooth) hash.set("smooth", "no");
  if (!state.boxes) hash.set("boxes", "no");
  writtenHash = `#${hash}`;
  if (writtenHash !== (location.hash || "#")) history.replaceState(null, "", writtenHash);
}

// A link names the filters it wants; of the rest it changes what it names.
function readHash() {
  const hash = new URLSearchParams(location.hash.slice(1)), whole = (key) => {
    const value = hash.get(key), index = Number(value);
    return value !== null && value !== "" && Number.isInteger(index) && index >= 0 && index < RUN.classes.length ? index : null;
  };
  Object.assign(state, { label: whole("label"), pred: whole("pred"), text: hash.get("text") ?? "", image: hash.get("image"), cue: null });
  const cue = Number(hash.get("cue") ?? NaN);
  if (RUN.cues.some(([own]) => own === cue)) state.cue = cue;
  state.variant = RUN.variants.find((v) => v.name === hash.get("method")) ?? state.variant;
  if (ORDERS.some(([key]) => key === hash.get("order"))) state.order = hash.get("order");
  if (VIEWS.some(([key]) => key === hash.get("view"))) state.view = hash.get("view");
  const opacity = Number(hash.get("opacity") ?? NaN);
  if (opacity >= 0 && opacity <= 100) state.opacity = opacity;
  for (const key of ["smooth", "boxes"]) if (hash.has(key)) state[key] = hash.get(key) !== "no";
  choices($("label"), "label");
  choices($("pred"), "pred");
  changed(drawCases);
}

theme(() => {});
$("order").replaceChildren(...ORDERS.map(([key, name]) => make("option", { value: key }, name)));
$("order").addEventListener("change", (event) => { state.order = event.target.value; changed(drawCases); });
for (const key of ["label", "pred"]) $(key).addEventListener("change", (event) => { state[key] = event.target.value === "" ? null : Number(event.target.value); changed(drawCases); });
$("text").addEventListener("input", (event) => { state.text = event.target.value; changed(drawCases); });
$("opacity").addEventListener("input", (event) => { state.opacity = Number(event.target.value); changed(redrawMaps); });
$("reset").addEventListener("click", () => { Object.assign(state, { label: null, pred: null, text: "", image: null, cue: null }); changed(drawCases); });
watchConfusions(state);
readHash();
if (!$("reset").hidden) $("sheets").scrollIntoView();
window.addEventListener("hashchange", () => {
  if (location.hash === writtenHash || /^#[^=]+$/.test(location.hash)) return; // a place on the page, and no filters
  readHash();
  $("sheets").scrollIntoView();
});
let resized = 0;
window.addEventListener("resize", () => { cancelAnimationFrame(resized); resized = requestAnimationFrame(redrawMaps); });
