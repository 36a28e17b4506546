// Looking closer: a picture in a window of its own, as large as the screen allows, with what is known of it and with
// its neighbours one key away.

// An entry is {title, caption, size, from} and one of
//   src: the picture's address; `full`: that of a finer one, shown once it has been loaded;
//   draw(canvas): draws the picture, and says (`closer.say`) what is missing.
// size: [width, height] of the picture; box: the piece to frame, [left, top, right, bottom] in thousandths;
// caption: nodes; tools(): controls; from: the element to go back to; file: [address, name] of the file it is of.
const closer = { entries: [], at: 0, zoomed: false };

closer.start = () => {
  const button = (name, text, act) => make("button", { type: "button", class: name, onclick: act }, text);
  Object.assign(closer, {
    title: make("h2", { id: "closer-title" }), place: make("span", { class: "place" }), tools: make("div", { class: "tools" }),
    stage: make("div", { class: "room", role: "group", "aria-label": "Picture" }), caption: make("div", { class: "caption", "aria-live": "polite" }),
    note: make("p", { class: "note", role: "status" }),
    zoom: button("zoomed", "Pixel for pixel", () => { closer.zoomed = !closer.zoomed; closer.fit(); }),
  });
  closer.dialog = make("dialog", { id: "closer", tabindex: "-1", "aria-labelledby": "closer-title" },
    make("div", { class: "lead" }, closer.title, closer.place, button("close", "Close", () => closer.dialog.close())),
    closer.tools, closer.stage,
    make("div", { class: "foot" }, button("previous", "‹ Previous", () => closer.step(-1)), button("next", "Next ›", () => closer.step(1)), closer.zoom, closer.caption),
    closer.note);
  document.body.append(closer.dialog);
  closer.dialog.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select") || closer.zoomed) return;
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    closer.step(step);
  });
  // What stays empty around the picture is as good as Close.
  closer.stage.addEventListener("click", (event) => { if (event.target === closer.stage) closer.dialog.close(); });
  closer.dialog.addEventListener("close", () => {
    const { from } = closer.entries[closer.at];
    closer.stage.replaceChildren();
    if (from?.isConnected) from.focus();
  });
  new ResizeObserver(() => { if (closer.dialog.open && !closer.zoomed) closer.fit(); }).observe(closer.stage);
  for (const link of document.querySelectorAll("a[data-closer]")) link.addEventListener("click", closer.linked);
};

closer.open = (entries, at) => {
  Object.assign(closer, { entries, at, zoomed: false });
  if (!closer.dialog.open) closer.dialog.showModal();
  closer.show();
  closer.dialog.focus();
};

closer.step = (by) => {
  const count = closer.entries.length;
  closer.at = (closer.at + by + count) % count;
  closer.zoomed = false;
  closer.show();
};

// All of the entry that is looked at.
closer.show = () => {
  const { entries, at } = closer, entry = entries[at], [width, height] = entry.size;
  closer.title.replaceChildren(entry.title);
  closer.place.textContent = entries.length > 1 ? `${at + 1} of ${entries.length}` : "";
  for (const name of ["previous", "next"]) closer.dialog.querySelector(`.${name}`).hidden = entries.length < 2;
  closer.tools.replaceChildren(...(entry.tools?.() ?? []));
  closer.tools.hidden = !closer.tools.children.length;
  closer.caption.replaceChildren(...entry.caption, ...(entry.file ? [" ", make("a", { href: entry.file[0] }, entry.file[1])] : []));
  closer.say("");
  closer.frame = make("div", { class: "frame", style: { aspectRatio: `${width} / ${height}` } }, entry.draw ? make("canvas", { role: "img", "aria-label": entry.title }) : closer.image(entry));
  if (entry.box) {
    const [left, top, right, bottom] = entry.box;
    closer.frame.append(make("i", { style: { left: `${left / 10}%`, top: `${top / 10}%`, width: `${(right - left) / 10}%`, height: `${(bottom - top) / 10}%` } }));
  }
  closer.stage.replaceChildren(closer.frame);
  closer.fit();
};

closer.image = (entry) => {
  const image = make("img", { alt: entry.alt ?? entry.title });
  image.onload = () => closer.fit();
  image.onerror = () => closer.say("This picture could not be loaded: the folder assets must lie beside this page.");
  image.src = entry.src;
  if (!entry.full) return image;
  const finer = new Image();
  finer.onload = () => { image.src = entry.full; };
  finer.onerror = () => { if (image.isConnected) closer.say(`${entry.full} could not be loaded; this is the page’s own, smaller copy.`); };
  finer.src = entry.full;
  return image;
};

// A small picture is enlarged, but no more than tenfold; one that is larger than the screen can be seen pixel for pixel.
closer.fit = () => {
  const { frame } = closer, [width, height] = closer.entries[closer.at].size, image = frame.querySelector("img");
  frame.style.setProperty("--ratio", width / height);
  frame.style.setProperty("--most", `${10 * width}px`);
  frame.style.width = "";
  const fine = image?.naturalWidth > frame.clientWidth + 1;
  closer.zoom.hidden = !fine;
  if (!fine) closer.zoomed = false;
  closer.zoom.setAttribute("aria-pressed", String(closer.zoomed));
  closer.dialog.classList.toggle("fine", closer.zoomed);
  if (closer.zoomed) frame.style.width = `${image.naturalWidth / (window.devicePixelRatio || 1)}px`;
  if (closer.zoomed) {
    closer.stage.tabIndex = 0;
    closer.stage.scrollTo((closer.stage.scrollWidth - closer.stage.clientWidth) / 2, (closer.stage.scrollHeight - closer.stage.clientHeight) / 2);
  } else closer.stage.removeAttribute("tabindex");
  closer.paint();
};

closer.paint = () => {
  const canvas = closer.frame?.querySelector("canvas");
  if (canvas) closer.entries[closer.at].draw(canvas);
};

closer.say = (text) => { closer.note.textContent = text; };

// Pictures that stand on the page as links to their files: those of one section are neighbours.
closer.linked = (event) => {
  if (event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  const links = [...event.currentTarget.closest("section").querySelectorAll("a[data-closer]")];
  closer.open(links.map((link) => {
    const image = link.querySelector("img"), href = link.getAttribute("href");
    return { title: link.dataset.closer, alt: image.alt, src: image.getAttribute("src"), full: href, size: [image.width, image.height].map(Number), caption: [], from: link, file: [href, `The file ${href.split("/").at(-1)}`] };
  }), links.indexOf(event.currentTarget));
};

closer.start();
