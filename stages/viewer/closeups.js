// The photographs of the page of mistakes, large, with the map over them or without.

// Which map: "photo" for none, or what its class was asked for as, kept from one photograph to the next.
const closeup = { kind: "photo" };

const kindOf = (kinds) => kinds[0] ?? "photo";
const mapShown = (found) => found.targets.find(([, kinds]) => kinds.includes(closeup.kind)) ?? null;

// Opens what was pressed, among all photographs that the filters leave.
function openCase(frame) {
  const cards = [...document.querySelectorAll(".case")].filter((card) => RUN.cases[Number(card.dataset.index)].src);
  const own = frame.closest(".case"), target = frame.querySelector("canvas")?.dataset.target, found = RUN.cases[Number(own.dataset.index)];
  closeup.kind = target === undefined ? "photo" : kindOf(found.targets.find(([index]) => index === Number(target))[1]);
  const place = [...own.querySelectorAll("button.frame")].indexOf(frame);
  closer.open(cards.map((card) => caseEntry(Number(card.dataset.index), card.querySelectorAll("button.frame")[place] ?? card.querySelector("button.frame"))), cards.indexOf(own));
}

function caseEntry(index, from) {
  const found = RUN.cases[index];
  return {
    from, size: found.size, title: found.name, tools: () => caseTools(found),
    draw: (canvas) => drawClose(canvas, index),
    caption: [...caseTitle(found), make("br"), ...caseLabel(found), make("div", { class: "colours" })],
  };
}

// The controls of the large picture; those of the page follow.
function caseTools(found) {
  if (!state.variant || !found.targets.length) return [];
  const shown = mapShown(found), press = (kind, text, on) => make("button", { type: "button", "aria-pressed": String(on), "data-kind": kind, onclick: () => look(() => { closeup.kind = kind; }) }, text);
  const look = (change) => {
    const focused = document.activeElement.dataset.kind;
    change();
    closer.show();
    closer.tools.querySelector(`[data-kind="${focused}"]`)?.focus();
  };
  const method = make("select", { "data-kind": "method", "aria-label": "Method" }, ...RUN.variants.map((v) => make("option", { value: v.name }, v.title)));
  method.value = state.variant.name;
  method.addEventListener("change", () => look(() => { state.variant = RUN.variants.find((v) => v.name === method.value); changed(redrawMaps); }));
  const opacity = make("input", { type: "range", min: 0, max: 100, step: 5 });
  opacity.value = state.opacity;
  opacity.addEventListener("input", () => { state.opacity = Number(opacity.value); changed(redrawMaps); closer.paint(); });
  return [
    make("div", { class: "maps", role: "group", "aria-label": "Map over the photograph" }, press("photo", "Photograph", !shown),
      ...found.targets.map(([target, kinds]) => press(kindOf(kinds), mapName(target, kinds), shown?.[0] === target))),
    RUN.variants.length > 1 ? method : null,
    shown ? make("label", { class: "slide" }, "Opacity ", opacity) : null,
    BOXED || GIVEN ? make("button", { type: "button", "aria-pressed": String(state.boxes), "data-kind": "boxes", onclick: () => look(() => { state.boxes = !state.boxes; changed(() => {}); }) }, "Boxes") : null,
  ].filter(Boolean);
}

function drawClose(canvas, index) {
  const found = RUN.cases[index], { variant } = state, shown = mapShown(found), photo = picture(found.src, () => {});
  const colours = closer.caption.querySelector(".colours");
  colours.replaceChildren();
  if (photo.lost) closer.say("This photograph could not be loaded: the folder assets must lie beside this page.");
  if (!photo.ready && !photo.lost) { for (const end of ["load", "error"]) photo.addEventListener(end, closer.paint, { once: true }); return; }
  canvas.width = Math.max(1, Math.round(canvas.clientWidth * Math.min(2, window.devicePixelRatio || 1)));
  canvas.height = Math.max(1, Math.round(canvas.width * found.size[1] / found.size[0]));
  canvas.setAttribute("aria-label", `Photograph ${found.name}`);
  const all = shown ? mapsOf(variant, index, closer.paint) : null, entry = all?.entries.find((e) => e.target === shown[0]);
  drawPicture(canvas, photo.ready ? photo : null, entry, entry ? variant : { ...variant, faded: false }, { ...state, view: "over" });
  drawFrames(closer.frame, found, entry);
  if (shown && !all) closer.say("The map has not been loaded.");
  else if (shown) closer.say(!entry ? "No map." : entry.flag ? `This map: ${said(entry.flag)}.` : "");
  if (!entry) return;
  canvas.setAttribute("aria-label", `${found.name}: ${describeMap(entry, variant)}`);
  colours.replaceChildren(...colourBar(variant, all.top ?? entry.top), ...merits(entry, variant));
}

$("cases").addEventListener("click", (event) => {
  const frame = event.target.closest("button.frame");
  if (frame) openCase(frame);
});
