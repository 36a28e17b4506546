// The panel's account of what a cell may be called, what colours it, and what it argues for.

function named(grid, k) {
  const found = grid.names[k] ?? [];
  if (!found.length) return [];
  return [make("h3", {}, found.length > 1 ? "Names" : "Name"), make("ul", { class: "named" }, ...found.map((row) => {
    const name = nameOf(row), why = reason(row), index = row[1];
    if (index === null) return make("li", {}, make("em", {}, name), make("small", {}, ` a group of classes; ${why}`));
    return make("li", {}, make("button", { type: "button", title: `${name}: show on the map`, onclick: () => showClass(index) }, name), make("small", {}, ` ${why}`));
  }))];
}

const nameOf = ([text, index]) => text ?? className(index);

// Why a cell is called so.
function reason([text, index, images, expected, q, lift]) {
  const there = lift === null ? "" : `; ${lift.toFixed(1)} times the map’s share of ${text ?? className(index)} photographs`;
  return `${group(images)} photographs rank it high here, ${expected < 10 ? expected : group(expected)} expected${there}; q ${q < 0.0005 ? "< .001" : `= ${q.toFixed(3).slice(1)}`}`;
}

// The value behind the cell's colour.
function colouredBy(atlas, grid, k) {
  const { of, heat: index } = map.state, heat = heatOf(atlas, grid, refresh);
  if (!heat || !Number.isFinite(heat.values[k])) return [];
  const by = of === "class" ? statisticOf(atlas, map.state.by).key : of, say = (value) => numberOf(by, value);
  const range = Number.isFinite(heat.low[k]) && Number.isFinite(heat.high[k]) ? `${say(heat.low[k])} to ${say(heat.high[k])}` : "not known";
  const what = of === "class" ? className(index) : of !== "errors" ? "variety of labels, bits" : RUN.measured ? `mean error of ${className(erring())}` : WRONG;
  const rows = [[what, make("b", { class: "value" }, say(heat.values[k]))],
    [of === "variety" ? "as many at random, 95 %" : "95 % interval", range], ...(of === "variety" ? [] : [["all of the map", say(heat.rates[k])]])];
  return [make("h3", {}, "Shown on the map ", make("small", {}, heat.sure[k] ? "" : "pale: may be as the map is")), make("dl", {}, ...rows.flatMap(([key, value]) => [make("dt", {}, key), make("dd", {}, value)]))];
}

// By which statistic, and rows of [class, value, mean, sure], best first.
function arguesFor(atlas, grid, k) {
  const key = statisticOf(atlas, map.state.by)?.key, away = key === "relative" ? grid.level[k] : 0, less = ([index, value]) => [index, value - away];
  if (key === "top_share") return { key, rows: grid.shares[k], against: [] };
  return { key, rows: grid.argues[k].map(less).filter(([, value]) => value > 0), against: grid.against[k].map(less).filter(([, value]) => value < 0) };
}

function argues(atlas, grid, k) {
  const { key, rows, against } = arguesFor(atlas, grid, k);
  if (!key) return [];
  if (key === "top_share") return shares(atlas, grid, rows);
  const top = barTop(grid, k, key), table = (list) => make("div", { class: "bars" }, ...list.flatMap(([index, value]) => bar(index, value, top)));
  const parts = rows.length ? [make("h3", {}, RUN.unit ? "Argues for " : "Raises ", make("small", {}, key === "relative" ? "mean attribution less that to all classes, logits" : RUN.unit ? "mean attribution, logits" : "mean attribution, in its unit")), table(rows)] : [];
  return against.length ? [...parts, make("h3", {}, RUN.unit ? "and against" : "and lowers"), table(against)] : parts;
}

const nameButton = (index, quiet = false) => make("button", { type: "button", class: quiet ? "doubtful" : null, title: `${className(index)}: show on the map`, onclick: () => showClass(index) }, className(index));

function shares(atlas, grid, rows) {
  const [before, after] = statisticOf(atlas, "top_share").words, column = (index) => atlas.attributed ? atlas.attributed.indexOf(index) : index;
  const heading = make("h3", {}, "Argues for ", make("small", {}, `${before}a class${after}, most above all of the map (the line) first`));
  if (!rows.length) return [heading, make("p", { class: "note" }, "nothing more than the map does")];
  const top = shareTop(grid), wide = (share) => `${100 * Math.min(1, share / top)}%`, lines = rows.flatMap(([index, share, mean, sure]) => [
    nameButton(index, !sure),
    make("span", { class: "track", "aria-hidden": "true" }, make("i", { style: { width: wide(share), left: "0", background: sure ? "var(--for)" : "var(--quiet)" } }), make("b", { style: { left: wide(atlas.rates[column(index)]) } })),
    make("span", { class: "value" }, percent(share)),
    make("span", { class: "value mean" }, signed(mean))]);
  const doubtful = rows.some((row) => !row[3]) ? make("p", { class: "note" }, "Grey: may be no more than on all of the map (95 %).") : null;
  return [heading, make("div", { class: "bars shares" }, make("span"), make("span"), make("span", { class: "value" }, "share"), make("span", { class: "value mean" }, "logits"), ...lines), ...(doubtful ? [doubtful] : [])];
}

// One scale for the shares of all cells that are not too small to trust.
const shareTop = (grid) => grid.shareTop ??= Math.max(...grid.shares.flatMap((rows, j) => grid.side[j] > 0 ? rows.map((row) => row[1]) : [])) || 1;

// One scale for the bars of all cells that are not too small to trust; smaller cells may reach its end.
function barTop(grid, k, key) {
  const tops = grid.barTops ??= {}, away = (j) => key === "relative" ? grid.level[j] : 0;
  const first = (lists) => lists.map((list, j) => (grid.side[j] > 0 && list.length ? Math.abs(list[0][1] - away(j)) : 0));
  tops[key] ??= Math.max(0, ...first(grid.argues), ...first(grid.against));
  return tops[key] || Math.abs(grid.argues[k][0]?.[1] ?? 0) || 1;
}

function bar(index, value, top) {
  const width = 50 * Math.min(1, Math.abs(value) / top);
  return [
    nameButton(index),
    make("span", { class: "track middle", "aria-hidden": "true" }, make("i", { style: { width: `${width}%`, left: value < 0 ? `${50 - width}%` : "50%", background: value < 0 ? "var(--against)" : "var(--for)" } })),
    make("span", { class: "value" }, signed(value)),
  ];
}
