"""The reducers: fitted rows to a layout. A new one is a function and a line in ``REDUCERS``.

A reducer is called as ``(index, dims, options, seed)``: ``index.vectors`` (n, m) are the rows, ``options`` are
already clamped to them. It returns a :class:`Reduction`. Distances are Euclidean: under cosine the vectors have
length 1. All run on one thread, so that a seed gives the same bytes again.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from activation_atlas.stages.reduce.components import leading
from activation_atlas.stages.reduce.neighbours import Index


@dataclass(frozen=True)
class Reduction:
    """Where the fitted rows lie.

    Attributes:
        layout: (n, d) float32, in the reducer's own units.
        axes: (m, d) float32 where the layout is linear, ``vectors @ axes``: then any row is placed exactly.
    """

    layout: np.ndarray
    axes: np.ndarray | None = None


@dataclass(frozen=True)
class Options:
    """A reducer's options, no larger than the rows allow."""

    n_neighbors: int
    min_dist: float
    perplexity: float | None


def clamp(spec: Any, rows: int, view: str, warn: Callable[[str], None]) -> Options:
    """``spec``'s options for ``rows`` rows; says what had to be lowered.

    t-SNE is given a third of the rows as neighbours at most: with more all of them attract each other alike.
    """
    most = (rows - 1) // 3 if spec.method == "tsne" else rows - 1
    neighbours = max(min(spec.n_neighbors, most), 1)
    perplexity = spec.perplexity and max(min(spec.perplexity, (rows - 1) / 3), 1.0)
    if spec.method == "tsne" and perplexity is not None:
        if perplexity < spec.perplexity:
            warn(f"atlas {view!r}: perplexity lowered from {spec.perplexity:g} to {perplexity:.3g}: it has {rows} rows")
    elif spec.method in BY_NEIGHBOURS and neighbours < spec.n_neighbors:
        warn(f"atlas {view!r}: n_neighbors lowered from {spec.n_neighbors} to {neighbours}: it has {rows} rows")
    return Options(neighbours, spec.min_dist, perplexity)


@contextmanager
def one_thread() -> Iterator[None]:
    """BLAS and OpenMP on one thread: their sums depend on the number of threads.

    Holds what is loaded: who imports a library within it, enters it again.
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        yield


def pca(index: Index, dims: int, options: Options | None = None, seed: int = 0) -> Reduction:
    """Principal components of the vectors."""
    wide = index.vectors.astype(np.float64)
    wide -= wide.mean(0)
    found = leading(wide.T @ wide, dims)
    axes = np.zeros((index.vectors.shape[1], dims), np.float32)
    axes[:, : found.shape[1]] = found
    return Reduction(index.vectors @ axes, axes)


def umap(index: Index, dims: int, options: Options, seed: int) -> Reduction:
    """UMAP (McInnes et al. 2018), begun from the principal components."""
    rows = len(index.vectors)
    if rows < 4:
        return Reduction(pca(index, dims).layout)
    UMAP = import_umap()
    near, distance = index.graph(max(options.n_neighbors, 2) - 1)
    near = np.concatenate([np.arange(rows)[:, None], near], 1)
    distance = np.concatenate([np.zeros((rows, 1)), distance], 1)
    with one_thread(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = UMAP(
            n_neighbors=near.shape[1],
            min_dist=options.min_dist,
            n_components=dims,
            init=_start(index, dims, 10.0, seed),
            metric="euclidean",
            precomputed_knn=(near.astype(np.int32), distance.astype(np.float32)),
            random_state=seed,
            n_jobs=1,
        )
        return Reduction(model.fit_transform(index.vectors).astype(np.float32))


def tsne(index: Index, dims: int, options: Options, seed: int) -> Reduction:
    """t-SNE as openTSNE does it (Policar et al. 2019), begun from the principal components (Kobak & Linderman 2021).

    Without a perplexity the nearest neighbours attract each other alike (Boehm et al. 2022): measured on
    activations, that keeps more neighbours than a Gaussian of any perplexity tried, in a third of the time.
    """
    if len(index.vectors) < 4:
        return Reduction(pca(index, dims).layout)
    from openTSNE import TSNE, affinity
    from openTSNE.nearest_neighbors import PrecomputedNeighbors

    count = options.n_neighbors if options.perplexity is None else int(3 * options.perplexity)
    known = PrecomputedNeighbors(*index.graph(min(count, len(index.vectors) - 1)))
    start = _start(index, dims, 1.0, seed)
    with one_thread(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if options.perplexity is None:
            attraction = affinity.Uniform(knn_index=known, k_neighbors=count)
        else:
            attraction = affinity.PerplexityBasedNN(knn_index=known, perplexity=options.perplexity)
        # Half of openTSNE's 250 + 500 steps: more did not raise trustworthiness at 100,000 rows.
        model = TSNE(n_components=dims, early_exaggeration_iter=125, n_iter=375, n_jobs=1, random_state=seed)
        layout = model.fit(affinities=attraction, initialization=start / start[:, 0].std() * 1e-4)
        return Reduction(np.asarray(layout, np.float32))


REDUCERS: dict[str, Callable[[Index, int, Any, int], Reduction]] = {
    "tsne": tsne,
    "umap": umap,
    "pca": pca,
}

BY_NEIGHBOURS = ("tsne", "umap")
"""Those that read ``n_neighbors``."""


def _start(index: Index, dims: int, scale: float, seed: int) -> np.ndarray:
    """Principal components scaled to ``scale``, with a trace of seeded noise so that equal rows can part."""
    layout = pca(index, dims).layout
    layout = layout / max(float(np.abs(layout).max()), 1e-12) * scale
    noise = np.random.default_rng([seed, len(layout)]).normal(scale=1e-4 * scale, size=layout.shape)
    return (layout + noise).astype(np.float32)


def import_umap() -> Any:
    """The UMAP class. Its package imports TensorFlow for a variant that is not used here; that import is barred."""
    barred = [name for name in ("tensorflow",) if name not in sys.modules]
    for name in barred:
        sys.modules[name] = None  # type: ignore[assignment]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from umap import UMAP
    finally:
        for name in barred:
            del sys.modules[name]
    return UMAP
