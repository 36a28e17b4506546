// What the map is coloured by: a statistic of a class, the mistakes (of quantities, how far off they are) or the variety
// of labels of the cells; against the same of all of the map, and paler where the two cannot be told apart.

const HEATS = RUN.measured ? [["class", "Quantities"], ["errors", "Errors"]] : [["class", "Classes"], ["errors", "Mistakes"], ["variety", "Variety"]];
const WRONG = RUN.several ? "wrong in some class" : "misclassified";

// The quantity whose errors are shown: that which was searched for, else the first.
const erring = () => map.state.heat ?? 0;

const planes = new Map(), waiting = new Map();
// Called by the scripts of attributions: statistics of all classes over one grid, 8 bits each, deflated.
window.activationAtlasData = async (key, { packed, ...rest }) => {
  const bytes = Uint8Array.from(atob(packed), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  planes.set(key, { ...rest, levels: new Uint8Array(await new Response(stream).arrayBuffer()) });
  (waiting.get(key) ?? []).forEach((ready) => ready());
  waiting.delete(key);
};

// The levels of one class on each plane of a script; null until it has been loaded.
function levelsOf(atlas, grid, part, column, ready) {
  const { key, src } = grid.heat[part], found = planes.get(key), cells = grid.x.length;
  if (!found) {
    if (!waiting.has(key)) {
      waiting.set(key, []);
      load(src, "Attributions");
    }
    waiting.get(key).push(ready);
    return null;
  }
  const classes = (atlas.attributed ?? RUN.classes).length;
  return { ...found, plane: (n) => Array.from({ length: cells }, (_, k) => found.levels[(n * cells + k) * classes + column]) };
}

const statisticOf = (atlas, key) => atlas.statistics.find((s) => s.key === key) ?? atlas.statistics[0];

// What colours the cells of a grid as the controls stand; null: nothing, or not yet. Of each cell `values` and `rates`
// (the same of the map), between `low` and `high` with 95 %, `sure` where that lies beside the rate; `reach` of the scale.
function heatOf(atlas, grid, ready) {
  const { of, heat } = map.state, by = statisticOf(atlas, map.state.by)?.key, name = of === "class" ? `${heat} ${by}` : RUN.measured ? `${of} ${erring()}` : of;
  grid.heats ??= new Map();
  if (!grid.heats.has(name)) {
    const found = of === "class" ? classHeat(atlas, grid, heat, by, ready) : of === "errors" ? errorHeat(atlas, grid) : varietyHeat(grid);
    if (!found) return null;
    if (grid.heats.size > 50) grid.heats.clear();
    grid.heats.set(name, found);
  }
  return grid.heats.get(name);
}

function classHeat(atlas, grid, index, by, ready) {
  const column = index === null || !grid.heat ? -1 : atlas.attributed ? atlas.attributed.indexOf(index) : index;
  if (column < 0) return null;
  const found = levelsOf(atlas, grid, by === "top_share" ? "share" : "mean", column, ready);
  if (!found) return null;
  const values = found.plane(0), other = by === "relative" ? found.plane(2) : null, spread = found.plane(1).map((level, k) => other ? level + other[k] & 255 : level);
  if (by === "top_share") {
    const shares = values.map((level) => (level / 255) ** 2);
    return toldApart(grid, shares, () => found.rate[column], (k) => wilson(shares[k], 2 ** (spread[k] / 8) - 1));
  }
  const unit = found.scale[column], away = by === "relative" ? grid.level : null;
  const means = values.map((level, k) => (level << 24 >> 24) / 127 * unit - (away ? away[k] : 0));
  const rate = found.rate[column] - (away ? found.rate.reduce((sum, r) => sum + r, 0) / found.rate.length : 0);
  const half = (k) => spread[k] === 255 ? Infinity : spread[k] === 0 ? 0 : unit * 2 ** ((spread[k] - 128) / 8);
  return toldApart(grid, means, () => rate, (k) => [means[k] - half(k), means[k] + half(k)]);
}

function errorHeat(atlas, grid) {
  if (RUN.measured) return awayHeat(atlas, grid, erring());
  if (atlas.errorRate === null) return null;
  return toldApart(grid, grid.error.map((share) => share ?? NaN), () => atlas.errorRate, (k) => wilson(grid.error[k] ?? 0, grid.labelled[k]));
}

function awayHeat(atlas, grid, output) {
  if (!grid.away) return null;
  const [mean, half] = grid.away.map((rows) => rows[output].map((value) => value ?? NaN));
  return toldApart(grid, mean, () => atlas.mae[output], (k) => between(mean[k], half[k]));
}

// An interval of what is never below 0; of a single photograph nothing is known.
const between = (mean, half) => Number.isFinite(half ?? NaN) ? [Math.max(0, mean - half), mean + half] : [0, Infinity];

// The interval is of as many photographs drawn at random: what the variety is held against is not the same for all.
function varietyHeat(grid) {
  if (!grid.variety) return null;
  const [mean, low, high] = grid.variety, rounding = 0.01;
  const values = grid.entropy.map((bits, k) => bits === null ? NaN : Math.abs(bits - mean[k]) < rounding ? mean[k] : bits);
  return toldApart(grid, values, (k) => mean[k], (k) => [low[k] - rounding, high[k] + rounding], (k) => values[k]);
}

function toldApart(grid, values, rateOf, interval, held = rateOf) {
  const low = [], high = [], rates = values.map((_, k) => rateOf(k));
  const sure = values.map((_, k) => { [low[k], high[k]] = interval(k); return held(k) < low[k] || held(k) > high[k]; });
  const size = values.map((value, k) => Math.abs(value - rates[k]) || 0), most = (chosen) => Math.max(0, ...size.filter((_, k) => chosen(k)));
  return { values, rates, low, high, sure, reach: most((k) => grid.side[k] > 0 && sure[k]) || most((k) => grid.side[k] > 0) || most(() => true) || 1 };
}

// From less than the map to more. As light as paper between on light pages, as dark as the page on dark ones.
const RAMPS = Object.fromEntries(Object.entries({
  light: ["#053061", "#2166ac", "#4393c3", "#92c5de", "#d1e5f0", "#f7f7f7", "#fddbc7", "#f4a582", "#d6604d", "#b2182b", "#67001f"],
  dark: ["#c3e2ff", "#7fbcf3", "#4590d0", "#2d669a", "#28425a", "#222226", "#5c3029", "#9c4333", "#d9644a", "#f6a17c", "#ffdcc2"],
}).map(([name, stops]) => [name, stops.map((hex) => [1, 3, 5].map((k) => parseInt(hex.slice(k, k + 2), 16)))]));

const PALE = 0.22; // of a colour where the cell may be as the map is

// The colour of a place between -1 and 1 on the scale.
function heatColour(place, share = 1) {
  const ramp = RAMPS[document.documentElement.dataset.theme === "dark" ? "dark" : "light"], middle = ramp[(ramp.length - 1) / 2];
  const at = Math.min(Math.max((Number.isFinite(place) ? place : 0) / 2 + 0.5, 0), 1) * (ramp.length - 1), low = Math.min(Math.floor(at), ramp.length - 2);
  return `rgb(${ramp[low].map((from, k) => Math.round(middle[k] + (from + (ramp[low + 1][k] - from) * (at - low) - middle[k]) * share)).join(",")})`;
}

const cellColour = (heat, k) => heatColour((heat.values[k] - heat.rates[k]) / heat.reach, heat.sure[k] ? 1 : PALE);
