// What stands on a picture beside its map: a frame around what the map finds, frames that were given; and in its caption
// how far the two agree, and how well the map describes the model.

const BOXED = RUN.variants.some((v) => v.boxed), GIVEN = RUN.cases.some((found) => found.boxes);

// A frame over a picture: [left, top, right, bottom] in shares of it; `kind`: found or given.
function framed([left, top, right, bottom], kind) {
  const share = (value) => `${100 * value}%`;
  return make("i", { class: `box ${kind}`, "aria-hidden": "true", style: { left: share(left), top: share(top), width: share(right - left), height: share(bottom - top) } });
}

const givenFrames = (found) => (found.boxes ?? []).map((box) => framed(box, "given"));

// Puts frames into the place of those that a picture has.
function drawFrames(frame, found, entry) {
  for (const old of frame.querySelectorAll(".box")) old.remove();
  frame.append(...givenFrames(found), ...(entry?.box ? [framed(entry.box, "found")] : []));
}

// Pieces of a caption: a fit, marked where it is low, and an IoU; those that the map has.
function merits(entry, variant) {
  const low = entry.fit !== null && entry.fit < RUN.fit;
  return [
    entry.fit === null ? null : make("span", { class: low ? "fit low" : "fit", title: variant.fit }, low ? `low fit\u00a0${decimal(entry.fit)}` : `fit\u00a0${decimal(entry.fit)}`),
    entry.iou === null ? null : make("span", { class: "iou", title: "Intersection over union of the map’s box with the nearest of the given ones" }, `IoU\u00a0${decimal(entry.iou)}`),
  ].filter(Boolean);
}

// The page's words on frames, as far as there are any.
function framesSaid(variant) {
  const found = variant.boxed ? "Solid frame: the box around the largest piece of what a map says is the thing." : "", given = GIVEN ? "Dashed: where the thing is, as given." : "";
  return [found, given].filter(Boolean).join(" ");
}
