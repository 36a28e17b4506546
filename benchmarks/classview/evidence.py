"""What else might say what a position argues for: other evidence at some of a kept run's positions.

Everything is computed by brute force, a pass of the head for each position, and judged as the run's own: which
classes a position ranks high, against where photographs lie. "Only the attributions of photographs predicted as the
class" is not among them: it measures itself, since such heat can lie nowhere else.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from activation_atlas.stages.clusters import among_highest
from activation_atlas.stages.feed import Feed, at_size
from activation_atlas.stages.keys import cell, find
from activation_atlas.stages.ranked import ONE_IN
from activation_atlas.stages.specs import folder
from activation_atlas.stages.tables import to_numpy
from activation_atlas.stages.validity.measures import centred, correlation, moments
from activation_atlas.stages.validity.telling import WORDS
from activation_atlas.stages.vision.batching import padded
from benchmarks.classview.networks import Kept, medians, table

BATCH, TILE = 20, 50
"""Images whose maps are held at once; maps that go through the head at once."""
POINTS, COPIES, NOISE = 5, 4, 0.3
"""Along the scale of the layer (Gauss-Legendre); noisy copies, and their noise in the layer's standard deviations."""
MIN_COUNT = 5


@dataclass(frozen=True)
class Sample:
    """Some positions of a run, sorted by photograph.

    Attributes:
        uris: of every photograph.
        image, row, col: (m,) photograph and place of each position.
        cell: (m,) its cell.
        pred: (photographs,) class index.
    """

    uris: list[str]
    image: np.ndarray
    row: np.ndarray
    col: np.ndarray
    cell: np.ndarray
    pred: np.ndarray


def sample(kept: Kept, positions: int) -> Sample:
    """At most so many of the run's positions of each photograph, drawn anew."""
    inputs = kept.inputs
    layout = inputs.table(f"layouts/{kept.view.name}").combine_chunks()
    said = inputs.table("predictions", ["image_id", "pred"])
    uri = dict(
        zip(*(inputs.table("images", ["image_id", "uri"])[n].to_pylist() for n in ("image_id", "uri")), strict=True)
    )
    ids = said["image_id"].to_pylist()
    number = {image_id: k for k, image_id in enumerate(ids)}
    owner = np.array([number[i] for i in layout["image_id"].to_pylist()])
    order = np.random.default_rng(kept.config.run.seed).permutation(len(owner))
    place = np.argsort(owner[order], kind="stable")
    starts = np.searchsorted(owner[order][place], np.arange(len(ids)))
    nth = np.arange(len(owner)) - starts[owner[order][place]]
    rows = np.sort(order[place][nth < positions])
    rows = rows[np.argsort(owner[rows], kind="stable")]
    side = kept.network.few
    code = cell(layout["x"].to_numpy(), side) * side + cell(layout["y"].to_numpy(), side)
    row, col = (layout[name].to_numpy()[rows].astype(np.int64) for name in ("row", "col"))
    pred = said["pred"].to_numpy().astype(np.int64)
    return Sample([uri[i] for i in ids], owner[rows], row, col, np.unique(code[rows], return_inverse=True)[1], pred)


def correlations(kept: Kept, own: Sample, values: np.ndarray) -> dict[str, dict[str, float]]:
    """Of values (m, A): the median correlation over cells by group, of each statistic."""
    count = np.bincount(own.cell)
    enough = (count >= MIN_COUNT)[None]
    high = among_highest(values.astype(np.float32), max(1, values.shape[1] // ONE_IN))
    shown = {"top_share": high, "relative": values - values.mean(1, keepdims=True), "mean": values}
    column = {int(index): k for k, index in enumerate(kept.extract["attributed"])}
    found = {}
    for name, each in shown.items():
        of = np.full(values.shape[1], np.nan)
        for classes in kept.groups.values():
            lies = np.bincount(own.cell, np.isin(own.pred[own.image], classes), len(count)) / count
            share = centred(lies[None].astype(np.float32), enough)
            for k in (column[c] for c in classes if c in column):
                heat = np.bincount(own.cell, each[:, k], len(count)) / count
                of[k] = correlation(moments(centred(heat[None].astype(np.float32), enough), share, enough.sum(1)))[0]
        found[name] = medians(kept, of)
    return found


class Passes:
    """A model cut at the run's layer: maps of its photographs, and the logits of changed ones."""

    def __init__(self, kept: Kept, own: Sample) -> None:
        import tensorflow as tf

        from activation_atlas.stages.vision.attribution.choice import choose
        from activation_atlas.stages.vision.attribution.forward_mode import ForwardMode
        from activation_atlas.stages.vision.attribution.local_maps import Positions
        from activation_atlas.stages.vision.model import freeze, open_model

        self.kept, self.own = kept, own
        steps = kept.config
        self.model = model = open_model(steps.model.model_copy(update={"classes": kept.extract["classes"]}))
        layer = kept.view.layer
        self.classes = [int(k) for k in kept.extract["attributed"]]
        trunk, head, slot = model.trunk(layer), model.head(layer), model.slot(layer)
        slots = [slot, *model.program.frontier(slot)]
        specs = [tf.TensorSpec((TILE, *model.shapes[s][1:]), model.held(s)) for s in slots]
        pixels = tf.TensorSpec((BATCH, *model.input_size, model.channels), tf.uint8)
        self._trunk = freeze(lambda x: tuple(trunk(model.to_input(x))), pixels)
        self._head = freeze(lambda *tensors: head(list(tensors)), *specs)
        mode = ForwardMode(model, layer, choose(model, layer, kept.network.positions, self.classes))
        others = [s for s in mode.slots if s != slot]
        resumed = model.resumed(layer, [s for s in others if s not in slots])

        def forward(places: tuple[tf.Tensor, ...], *tensors: tf.Tensor) -> tf.Tensor:
            known = dict(zip(slots, tensors, strict=True))
            known |= dict(zip([s for s in others if s not in slots], resumed(list(tensors)), strict=True))
            return mode([known[s] for s in mode.slots], Positions(*places))[1]

        self._forward = tf.function(forward, autograph=False)
        self._constant = tf.constant

    def batches(self) -> Iterator[tuple[np.ndarray, list[np.ndarray]]]:
        """Photographs (n,) and what the layer and its frontier give of them, each (n, ...)."""
        images = self.kept.config.images
        feed = Feed(images, at_size(images.settled(self.model.brings), self.model.input_size, self.model.channels))
        for batch in feed.batches(dict(enumerate(self.own.uris)), BATCH):
            assert not batch.rejected, batch.rejected
            number, pixels = np.array(batch.keys), np.stack(batch.images)
            yield number, [np.asarray(t)[: len(number)] for t in self._trunk(self._constant(padded(pixels, BATCH)))]

    def grey(self) -> list[np.ndarray]:
        """What the layer and its frontier give of a plain grey image, each (1, ...)."""
        pixels = np.full((BATCH, *self.model.input_size, self.model.channels), 127, np.uint8)
        return [np.asarray(t)[:1] for t in self._trunk(self._constant(pixels))]

    def logits(self, tensors: list[np.ndarray]) -> np.ndarray:
        """Of what the layer and its frontier are made to give, each (n, ...): the attributed classes' (n, A)."""
        found = []
        for start in range(0, len(tensors[0]), TILE):
            part = [t[start : start + TILE] for t in tensors]
            count = len(part[0])
            part = [np.concatenate([t, np.repeat(t[-1:], TILE - count, 0)]) for t in part]
            found.append(np.asarray(self._head(*(self._constant(t) for t in part)))[:count])
        return np.concatenate(found)[:, self.classes]

    def gradients(self, tensors: list[np.ndarray], at: list[np.ndarray]) -> np.ndarray:
        """Activation . d logit / d activation at positions (image, row, col), each (m,): (m, A)."""
        places = tuple(self._constant(axis.astype(np.int32)) for axis in at)
        return np.asarray(self._forward(places, *(self._constant(t) for t in tensors)))[:, self.classes]


def _within(tensor: np.ndarray, row: int, col: int, window: int) -> tuple[slice, slice]:
    """The part of a map that a window about a position covers; at the border less."""
    half = window // 2
    return slice(max(0, row - half), row + half + 1), slice(max(0, col - half), col + half + 1)


def removal(passes: Passes, tensors: list[np.ndarray], at: list[np.ndarray], window: int, fill: Any) -> np.ndarray:
    """The logit less the logit where a window of the layer is filled with ``fill``."""
    changed = [t[at[0]].copy() for t in tensors]
    for k, (row, col) in enumerate(zip(*at[1:], strict=True)):
        changed[0][(k, *_within(changed[0], row, col, window))] = fill
    return passes.logits(tensors)[at[0]] - passes.logits(changed)


def insertion(
    passes: Passes, tensors: list[np.ndarray], at: list[np.ndarray], window: int, reference: list[np.ndarray]
) -> np.ndarray:
    """The logits of a reference map into which a window of the layer is put, less those of the reference alone."""
    changed = [np.repeat(each, len(at[0]), 0) for each in reference]
    for k, (image, row, col) in enumerate(zip(*at, strict=True)):
        here = _within(changed[0], row, col, window)
        changed[0][(k, *here)] = tensors[0][(image, *here)]
    return passes.logits(changed) - passes.logits(reference)


def integrated(passes: Passes, tensors: list[np.ndarray], at: list[np.ndarray]) -> np.ndarray:
    """Gradients summed on the way from nothing to the layer's map (Sundararajan, Taly & Yan 2017, at the layer)."""
    points, weights = np.polynomial.legendre.leggauss(POINTS)
    found = 0.0
    for point, weight in zip((points + 1) / 2, weights / 2, strict=True):
        scaled = [(tensors[0] * point).astype(tensors[0].dtype), *tensors[1:]]
        found = found + weight * passes.gradients(scaled, at) / point
    return found


def noisy(
    passes: Passes, tensors: list[np.ndarray], at: list[np.ndarray], spread: np.ndarray, least: float
) -> np.ndarray:
    """The mean over copies of the layer's map with Gaussian noise (Smilkov et al. 2017, at the layer)."""
    found = 0.0
    for copy in range(COPIES):
        noise = np.random.default_rng([copy, len(at[0])]).normal(0, NOISE, tensors[0].shape) * spread
        found = found + passes.gradients(
            [np.maximum(tensors[0] + noise, least).astype(tensors[0].dtype), *tensors[1:]], at
        )
    return found / COPIES


def over_runner_up(values: np.ndarray) -> np.ndarray:
    """Each class's value less the largest of the others'."""
    second, first = np.sort(values, axis=1)[:, -2:].T
    return values - np.where(values == first[:, None], second[:, None], first[:, None])


def compute(kept: Kept, own: Sample) -> dict[str, np.ndarray]:
    """Every kind of evidence at the sampled positions, each (m, A) float32; says how far it is."""
    passes = Passes(kept, own)
    count, total, squares, least = 0, None, None, np.inf
    for number, tensors in passes.batches():
        sums = [t.sum(0, dtype=np.float64) for t in tensors]
        total = sums if total is None else [a + b for a, b in zip(total, sums, strict=True)]
        squares = (0 if squares is None else squares) + (tensors[0].astype(np.float64) ** 2).sum((0, 1, 2))
        count, least = count + len(number), min(least, float(tensors[0].min()))
    whole = [t / count for t in total]
    mean = whole[0].mean((0, 1))
    spread = np.sqrt(np.maximum(squares / (count * whole[0].shape[0] * whole[0].shape[1]) - mean**2, 0))
    flat = [np.broadcast_to(t.mean((0, 1)), t.shape) if t.ndim == 3 else t for t in whole]
    means, grey = [t[None].astype(np.float32) for t in flat], passes.grey()
    kinds: dict[str, Callable[[list[np.ndarray], list[np.ndarray]], np.ndarray]] = {
        "gradient": passes.gradients,
        "removal 1 x 1": lambda t, at: removal(passes, t, at, 1, 0.0),
        "removal 3 x 3": lambda t, at: removal(passes, t, at, 3, 0.0),
        "removal 3 x 3, to the mean": lambda t, at: removal(passes, t, at, 3, mean),
        "insertion 1 x 1": lambda t, at: insertion(passes, t, at, 1, grey),
        "insertion 3 x 3": lambda t, at: insertion(passes, t, at, 3, grey),
        "insertion 5 x 5": lambda t, at: insertion(passes, t, at, 5, grey),
        "insertion 3 x 3, into the mean": lambda t, at: insertion(passes, t, at, 3, means),
        "integrated along the layer's scale": lambda t, at: integrated(passes, t, at),
        "noisy copies": lambda t, at: noisy(passes, t, at, spread, 0.0 if least >= 0 else -np.inf),
    }
    found: dict[str, list[np.ndarray]] = {name: [] for name in kinds}
    began, told = time.perf_counter(), 0.0
    for number, tensors in passes.batches():
        mine = np.flatnonzero((own.image >= number[0]) & (own.image <= number[-1]))
        at = [own.image[mine] - number[0], own.row[mine], own.col[mine]]
        for name, kind in kinds.items():
            found[name].append(kind(tensors, at).astype(np.float32))
        if time.perf_counter() - told > 30:
            told = time.perf_counter()
            print(f"  {number[-1] + 1} of {len(own.uris)} photographs, {told - began:.0f} s", flush=True)
    made = {name: np.concatenate(each) for name, each in found.items()}
    made["gradient, over the runner-up"] = over_runner_up(made["gradient"])
    made["insertion 3 x 3, over the runner-up"] = over_runner_up(made["insertion 3 x 3"])
    return made


def stored(kept: Kept, own: Sample) -> np.ndarray:
    """The run's own attributions at positions, (m, A)."""
    import pyarrow as pa

    ids = kept.inputs.table("predictions", ["image_id"])["image_id"].combine_chunks()
    keys = pa.table({"image_id": ids.take(pa.array(own.image)), "row": pa.array(own.row.astype(np.int16)),
                     "col": pa.array(own.col.astype(np.int16))})  # fmt: skip
    found = np.zeros((len(own.image), len(kept.extract["attributed"])), np.float32)
    columns = ["image_id", "row", "col", "attribution"]
    for part in kept.inputs.stream(f"activations/{folder(kept.view.layer)}", columns):
        where = find(keys, part)
        found[where >= 0] = to_numpy(part["attribution"])[where[where >= 0]]
    return found


def judge(runs: Sequence[Kept]) -> dict[str, Any]:
    """Prints what each kind of evidence gives on one network; the one that its last run was made with in bold.

    The runs differ in their evidence alone, so that their positions are the same.
    """
    kept = runs[-1]
    network = kept.network
    own = sample(kept, network.positions)
    side = network.few
    print(
        f"\n{network.about.rsplit(',', 1)[0]}, {side} x {side}: other evidence at {len(own.image):,} positions",
        flush=True,
    )
    values = compute(kept, own)
    figures = {name: correlations(kept, own, each) for name, each in values.items()}
    more = sample(kept, kept.config.extract.positions_per_image)
    for run in runs:
        figures[f"{run.evidence}, {len(more.image):,} positions"] = correlations(run, more, stored(run, more))
    chosen = list(figures).index(kept.evidence) if kept.evidence in figures else None
    for name in ("top_share", "relative", "mean"):
        print(f"\nmedian correlation of the {WORDS[name]}")
        heads = list(next(iter(figures.values()))[name])
        rows = [[kind, *(f"{found[name][head]:.2f}" for head in heads)] for kind, found in figures.items()]
        table(["evidence", *heads], rows, chosen)
    return figures
