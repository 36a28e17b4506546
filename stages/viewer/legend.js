// The legend over the map: the colours with their numbers, what they mean, and how far they can be trusted.

function drawLegend(heat) {
  const { state } = map, { atlas, grid } = state, box = $("legend");
  box.hidden = !heat;
  if (!heat) return;
  const by = state.of === "class" ? statisticOf(atlas, state.by).key : state.of, relative = by === "variety";
  const rate = relative ? 0 : heat.rates[0], isShare = by === "top_share" || (by === "errors" && !RUN.measured), least = isShare || by === "errors" ? 0 : -Infinity;
  const ends = [rate - heat.reach, rate + heat.reach].map((end) => Math.min(isShare ? 1 : Infinity, Math.max(least, end)));
  const at = (end) => (end - rate) / heat.reach, stops = Array.from({ length: 13 }, (_, k) => heatColour(at(ends[0] + (ends[1] - ends[0]) * k / 12)));
  $("scale").replaceChildren(
    make("span", {}, numberOf(by, ends[0], relative)),
    make("i", { style: { background: `linear-gradient(90deg, ${stops.join(", ")})` } }, make("b", { style: { left: `${100 * (rate - ends[0]) / (ends[1] - ends[0])}%` } })),
    make("span", {}, numberOf(by, ends[1], relative), isShare ? "" : relative ? " bits" : RUN.unit));
  radios($("by"), state.of === "class" ? atlas.statistics.map((s) => [s.key, s.name, true]) : [], by, (key) => { state.by = key; refresh(); });
  // Numbers stay with their signs. Said aloud once: not again with every cell that is chosen.
  const parts = told(atlas, grid, by, rate).map((part) => typeof part === "string" ? part.replaceAll(" %", "\u00a0%") : part);
  const text = parts.map((part) => part.textContent ?? part).join("");
  if ($("told").textContent !== text) $("told").replaceChildren(...parts);
}

// A value of what is shown as text.
function numberOf(by, value, sign = false) {
  if (by === "errors" && RUN.measured) return amount(value);
  if (by === "top_share" || by === "errors") return percent(value, value <= 0 || value >= 0.095 ? 0 : value >= 0.00095 ? 1 : 2);
  return by === "variety" && !sign ? value.toFixed(1) : signed(value);
}

function told(atlas, grid, by, rate) {
  const pale = "pale: may be as the map is (95 %).";
  if (by === "errors" && RUN.measured) return ["Mean absolute error of ", make("b", {}, className(erring())), ` over a cell’s labelled photographs, in its unit; the mark: the map’s ${amount(rate)}; ${pale}`];
  if (by === "errors") return [`Share of a cell’s labelled photographs that are ${WRONG}; the mark: the map’s ${numberOf(by, rate)}; ${pale}`];
  if (by === "variety") return ["Entropy of a cell’s labels, above or below that of as many photographs drawn at random from the map; pale: as 95 % of the draws."];
  const [before, after] = statisticOf(atlas, by).words;
  return [`${before[0].toUpperCase()}${before.slice(1)}`, make("b", {}, className(map.state.heat)), `${after}; the mark: the map’s ${numberOf(by, rate)}; ${pale} `, ...trusted(grid, by)];
}

// How far a class's heat goes with where its photographs lie; where that was not measured of the class, of all of them.
function trusted(grid, by) {
  const [all, own, groups] = grid.trust[by] ?? ["", {}, {}], name = Object.keys(groups).find((key) => RUN.groups[key]?.includes(map.state.heat));
  const row = own[map.state.heat] ?? groups[name], lead = make("a", { href: "#trust" }, "How far to trust it");
  if (!row) return all ? [lead, `: ${all}`] : [];
  const [correlation, low, high, lift, little, kind] = row, lie = `where the photographs ${{ predicted: "taken for it", label: "labelled so", group: `taken for ${name}, its group,` }[kind]} lie`;
  const told = `correlation ${decimal(correlation)}${low === null ? "" : ` (95 %: ${decimal(low)} to ${decimal(high)} with very many photographs)`}`;
  if (little) return [lead, ": ", make("strong", {}, `this heat ${little === 1 ? "says" : "may say"} little about `, lie), `, ${told}.`];
  return [lead, `: ${told} with ${lie}${lift === null ? "" : `; warmest cells: ${lift.toFixed(1)} times the map’s share`}.`];
}
