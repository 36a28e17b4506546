"""The reducers: vectors (n, m) to a layout (n, d). A new one is a function and a line in ``REDUCERS``.

A reducer is called as ``(vectors, dims, options, seed)``, with options already clamped to the rows there are,
and returns a :class:`Reduction`. Cosine has become Euclidean before: vectors of length 1.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from stages.reduce.components import leading


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
    perplexity: float


def clamp(spec: Any, rows: int, view: str, warn: Callable[[str], None]) -> Options:
    """``spec``'s options for ``rows`` rows; says what had to be lowered."""
    neighbours = max(min(spec.n_neighbors, rows - 1), 2)
    perplexity = max(min(spec.perplexity, (rows - 1) / 3), 1.0)
    if spec.method == "umap" and neighbours < spec.n_neighbors:
        warn(f"atlas {view!r}: n_neighbors lowered from {spec.n_neighbors} to {neighbours}: it has {rows} rows")
    if spec.method == "tsne" and perplexity < spec.perplexity:
        warn(f"atlas {view!r}: perplexity lowered from {spec.perplexity:g} to {perplexity:.3g}: it has {rows} rows")
    return Options(neighbours, spec.min_dist, perplexity)


@contextmanager
def one_thread() -> Iterator[None]:
    """BLAS and OpenMP on one thread: their sums depend on the number of threads."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        yield


def pca(vectors: np.ndarray, dims: int, options: Options | None = None, seed: int = 0) -> Reduction:
    """Principal components of the vectors."""
    wide = vectors.astype(np.float64)
    wide -= wide.mean(0)
    found = leading(wide.T @ wide, dims)
    axes = np.zeros((vectors.shape[1], dims), np.float32)
    axes[:, : found.shape[1]] = found
    return Reduction(vectors @ axes, axes)


def umap(vectors: np.ndarray, dims: int, options: Options, seed: int) -> Reduction:
    """UMAP (McInnes et al. 2018), seeded and therefore on one thread, begun from the principal components."""
    if len(vectors) < 4:
        return Reduction(pca(vectors, dims).layout)
    UMAP = import_umap()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = UMAP(
            n_neighbors=options.n_neighbors,
            min_dist=options.min_dist,
            n_components=dims,
            init=_start(vectors, dims, 10.0, seed),
            metric="euclidean",
            random_state=seed,
            n_jobs=1,
        )
        return Reduction(model.fit_transform(vectors).astype(np.float32))


def tsne(vectors: np.ndarray, dims: int, options: Options, seed: int) -> Reduction:
    """t-SNE as openTSNE does it (Poličar et al. 2019), begun from the principal components (Kobak & Linderman 2021)."""
    if len(vectors) < 4:
        return Reduction(pca(vectors, dims).layout)
    from openTSNE import TSNE

    start = _start(vectors, dims, 1.0, seed)
    model = TSNE(
        n_components=dims,
        perplexity=options.perplexity,
        initialization=start / max(start[:, 0].std(), 1e-12) * 1e-4,
        metric="euclidean",
        n_jobs=1,
        random_state=seed,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Reduction(np.asarray(model.fit(vectors), np.float32))


REDUCERS: dict[str, Callable[[np.ndarray, int, Any, int], Reduction]] = {"umap": umap, "tsne": tsne, "pca": pca}


def _start(vectors: np.ndarray, dims: int, scale: float, seed: int) -> np.ndarray:
    """Principal components scaled to ``scale``, with a trace of seeded noise so that equal rows can part."""
    layout = pca(vectors, dims).layout
    layout = layout / max(float(np.abs(layout).max()), 1e-12) * scale
    noise = np.random.default_rng([seed, len(vectors)]).normal(scale=1e-4 * scale, size=layout.shape)
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
