"""Reducers on real activations: 100,000 x 384 of conv_pw_11_relu, seeded, against a limit of 150 s.

Beside each reducer of ours stand the libraries' own defaults on the same vectors, and the neighbours a layout
could at best keep. Seconds are wall time after compilation, and in brackets the process's own CPU time, which
tells of a busy machine.
"""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from activation_atlas.stages.reduce.components import fit_components, project
from activation_atlas.stages.reduce.fidelity import fidelity
from activation_atlas.stages.reduce.neighbours import Index
from activation_atlas.stages.reduce.place import limits, normalise, place
from activation_atlas.stages.reduce.reducers import REDUCERS, Options, import_umap, one_thread
from activation_atlas.stages.specs import ModelSpec

LIMIT = 150.0
LAYER = "conv_pw_11_relu"
POSITIONS = 100


def activations(shared: Path) -> np.ndarray:
    """(100,000, 384) float16: 100 positions of each of the 1,000 photographs."""
    from activation_atlas.stages.vision.images import decode_to
    from activation_atlas.stages.vision.model import open_model

    model = open_model(ModelSpec(path=str(shared / "models/mobilenet_075_224_imagenet.keras"), range=(-1, 1)))
    forward, rng, rows = model.forward([LAYER]), np.random.default_rng(0), []
    files = sorted((shared / "data/imagenet_sample/images").rglob("*.*"))
    for start in range(0, len(files), 50):
        pixels = np.stack([decode_to(f.read_bytes(), model.input_size) for f in files[start : start + 50]])
        inner = forward(model.to_input(pixels.astype(np.float32)))[0][LAYER].numpy()[:, 1:-1, 1:-1]
        inner = inner.reshape(len(inner), -1, inner.shape[-1])
        rows += [one[rng.choice(len(one), POSITIONS, replace=False)].astype(np.float16) for one in inner]
    return np.concatenate(rows)


def figures(raw: np.ndarray, layout: np.ndarray) -> dict[str, float]:
    """Fidelity of a layout, and how it fills a 20 x 20 grid."""
    places = normalise(layout, *limits(layout))
    cells = np.floor(places * 20).astype(int)
    counts = np.bincount(cells[:, 0] * 20 + cells[:, 1], minlength=400)
    share = counts[counts > 0] / len(raw)
    found = fidelity(raw, layout, "cosine", 0)
    return {
        "trustworthiness": found["trustworthiness"],
        "neighbour_preservation": found["neighbour_preservation"],
        "occupied_20x20": float((counts > 0).mean()),
        "evenness_20x20": float(-(share * np.log(share)).sum() / np.log(400)),
        "median_members": float(np.median(counts[counts > 0])),
    }


def timed(call: Callable[[], Any]) -> tuple[Any, dict[str, float]]:
    wall, cpu = time.perf_counter(), time.process_time()
    result = call()
    return result, {"seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - cpu}


def peers(vectors: np.ndarray) -> dict[str, Callable[[], np.ndarray]]:
    """The libraries as they come, seeded where that is all they offer."""
    from openTSNE import TSNE

    UMAP = import_umap()
    return {
        "umap-learn, seeded": lambda: UMAP(random_state=0, n_jobs=1).fit_transform(vectors),
        "openTSNE, 2 jobs": lambda: np.asarray(TSNE(random_state=0, n_jobs=2).fit(vectors)),
    }


def run(raw: np.ndarray | None = None) -> dict[str, Any]:
    """Measure and print; ``raw`` (n, C) replaces the photographs' activations."""
    if raw is None:
        root = Path(__file__).parent.parent
        raw = activations(Path(os.environ.get("ATLAS_DATA") or root.parent / "shared"))
    options = Options(n_neighbors=30, min_dist=0.1, perplexity=None)
    table: dict[str, Any] = {}
    with one_thread(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _, compiling = timed(lambda: REDUCERS["umap"](Index.build(_unit_rows(5000), 0), 2, options, 0))

        def prepare() -> Index:
            components, center = fit_components(raw, 50, "cosine")
            return Index.build(project(raw, components, center, "cosine"), 0)

        index, preparing = timed(prepare)
        print(f"{len(raw):,} x {raw.shape[1]}; limit {LIMIT:.0f} s; umap compiles in {compiling['seconds']:.0f} s")
        print(f"{'components and index, part of each of ours':44s}{_seconds(preparing)}")
        print(f"{'':44s}{'seconds (CPU)':>16s}  trust  kept  occupied  even  members")
        for name, reducer in REDUCERS.items():
            reduction, spent = timed(lambda reducer=reducer: reducer(index, 2, options, 0))
            spent = {key: value + preparing[key] for key, value in spent.items()}
            table[name] = _line(name, spent, figures(raw, reduction.layout))
        for name, peer in peers(index.vectors).items():
            layout, spent = timed(peer)
            table[name] = _line(name, spent, figures(raw, layout))
        table["placed"] = _placing(raw, index.vectors, options)
        best = fidelity(raw, index.vectors, "cosine", 0)["neighbour_preservation"]
    print(f"{'at best: the 50 components themselves':44s}{'':>16s}  {'':5s}  {best:.3f}")
    ours = table["tsne"]
    print(f"tsne, the default: {ours['seconds']:.0f} s of {LIMIT:.0f} s, trustworthiness {ours['trustworthiness']:.3f}")
    return {"rows": len(raw), "channels": raw.shape[1], "limit_seconds": LIMIT, "kept_by_components": best, **table}


def _placing(raw: np.ndarray, vectors: np.ndarray, options: Options) -> dict[str, float]:
    """Half of the rows fitted, the other half placed by them: fidelity among the placed."""
    order = np.random.default_rng(1).permutation(len(vectors))
    fitted, rest = np.sort(order[: len(order) // 2]), np.sort(order[len(order) // 2 :])
    index = Index.build(vectors[fitted], 0)
    layout = REDUCERS["tsne"](index, 2, options, 0).layout
    placed, spent = timed(lambda: place(vectors[rest], index, layout, None))
    return _line(f"tsne, {len(rest):,} rows placed by {len(fitted):,}", spent, figures(raw[rest], placed))


def _unit_rows(count: int) -> np.ndarray:
    rows = np.random.default_rng(0).normal(size=(count, 50)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def _seconds(spent: dict[str, float]) -> str:
    return f"{spent['seconds']:8.1f} ({spent['cpu_seconds']:.1f})".rjust(16)


def _line(name: str, spent: dict[str, float], found: dict[str, float]) -> dict[str, float]:
    print(
        f"{name:44s}{_seconds(spent)}  {found['trustworthiness']:.3f}  {found['neighbour_preservation']:.3f}"
        f"  {found['occupied_20x20']:8.3f}  {found['evenness_20x20']:.3f}  {found['median_members']:5.0f}",
        flush=True,
    )
    return spent | found
