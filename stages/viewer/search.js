// The class search: type a part of a name, choose with arrows or pointer; the map then shows where it is argued for.

const search = { input: $("class-input"), list: $("class-list"), clear: $("class-clear"), found: [], at: 0 };

function matches(text) {
  const { atlas, of } = map.state, wanted = text.trim().toLowerCase(), all = (of === "class" ? atlas.attributed : null) ?? RUN.classes.map((_, k) => k);
  const scored = [];
  for (const index of all) {
    const name = className(index).toLowerCase(), at = name.indexOf(wanted);
    if (at < 0) continue;
    scored.push([at === 0 ? 0 : /[^a-z0-9]/.test(name[at - 1]) ? 1 : 2, name, index]);
  }
  scored.sort((a, b) => a[0] - b[0] || (a[1] < b[1] ? -1 : a[1] > b[1] ? 1 : a[2] - b[2]));
  return scored.slice(0, 40).map((entry) => entry[2]);
}

function openList() {
  search.found = matches(search.input.value);
  search.at = Math.min(search.at, Math.max(0, search.found.length - 1));
  const items = search.found.map((index, k) => make("li", { role: "option", id: `class-option-${k}`, "aria-selected": String(k === search.at), onpointerdown: (event) => { event.preventDefault(); showClass(index); } }, className(index)));
  search.list.replaceChildren(...(items.length ? items : [make("li", { class: "none" }, `no such ${RUN.measured ? "quantity" : "class"}`)]));
  search.list.hidden = false;
  search.input.setAttribute("aria-expanded", "true");
  if (items.length) search.input.setAttribute("aria-activedescendant", `class-option-${search.at}`);
  else search.input.removeAttribute("aria-activedescendant");
  items[search.at]?.scrollIntoView({ block: "nearest" });
}

function closeList() {
  search.list.hidden = true;
  search.input.setAttribute("aria-expanded", "false");
  search.input.removeAttribute("aria-activedescendant");
}

// Shows a class on the map (null: none); of a quantity its errors, where errors are shown.
function showClass(index) {
  Object.assign(map.state, { heat: index, of: RUN.measured && map.state.of === "errors" ? "errors" : "class" });
  search.input.value = index === null ? "" : className(index);
  search.clear.hidden = index === null;
  closeList();
  refresh();
}

search.input.addEventListener("input", () => { search.at = 0; openList(); });
search.input.addEventListener("focus", () => { search.input.select(); search.at = 0; });
search.input.addEventListener("click", openList);
search.input.addEventListener("blur", () => { closeList(); search.input.value = map.state.heat === null ? "" : className(map.state.heat); });
search.input.addEventListener("keydown", (event) => {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step) {
    event.preventDefault();
    if (search.list.hidden) { openList(); return; }
    search.at = (search.at + step + search.found.length) % Math.max(1, search.found.length);
    openList();
  } else if (event.key === "Enter") {
    if (search.input.value.trim() === "") showClass(null);
    else if (search.list.hidden) openList();
    else if (search.found.length) showClass(search.found[search.at]);
  } else if (event.key === "Escape") { closeList(); search.input.value = ""; showClass(null); }
});
search.clear.addEventListener("click", () => showClass(null));
