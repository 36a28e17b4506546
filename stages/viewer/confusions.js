// With many classes: the kinds of mistakes as a list, the most frequent first, and a search in it.

const confusionList = { shown: 12, text: "", here: new Map() };
for (const { label, pred, mistake, rank } of RUN.cases) if (mistake) {
  const found = confusionList.here.get(`${label},${pred}`) ?? { count: 0, rank };
  confusionList.here.set(`${label},${pred}`, { count: found.count + 1, rank: Math.min(found.rank, rank) });
}
// Of equally frequent ones the one with the most confident mistake comes first.
const hereOf = ([label, pred]) => confusionList.here.get(`${label},${pred}`) ?? { count: 0, rank: Infinity };
if ($("confusion-list")) RUN.confusions.sort((a, b) => b[2] - a[2] || Math.sign(hereOf(a).rank - hereOf(b).rank) || 0);

function drawConfusions(state) {
  for (const cell of document.querySelectorAll("[data-cell]")) {
    cell.setAttribute("aria-current", String(cell.dataset.cell === `${state.label},${state.pred}`));
  }
  const list = $("confusion-list");
  if (!list) return;
  const text = confusionList.text.trim().toLowerCase();
  const found = RUN.confusions.filter(([label, pred]) => !text || className(label).toLowerCase().includes(text) || className(pred).toLowerCase().includes(text));
  list.replaceChildren(...found.slice(0, confusionList.shown).map(([label, pred, count]) => {
    const here = hereOf([label, pred]).count;
    return make("tr", { "aria-current": String(state.label === label && state.pred === pred) },
      make("td", {}, make("a", { href: `#label=${label}` }, className(label))),
      make("td", {}, make("a", { href: `#label=${label}&pred=${pred}` }, className(pred))),
      make("td", { class: "n" }, group(count)), make("td", { class: "n" }, group(here)));
  }));
  $("confusion-found").textContent = found.length ? `${plural(found.length, "kind")} of mistakes` : "none of the mistakes is of a class so called";
  $("confusion-more").hidden = found.length <= confusionList.shown;
}

function watchConfusions(state) {
  if (!$("confusion-list")) return;
  $("confusion-search").addEventListener("input", (event) => { confusionList.text = event.target.value; confusionList.shown = 12; drawConfusions(state); });
  $("confusion-more").addEventListener("click", () => { confusionList.shown += 100; drawConfusions(state); });
}
