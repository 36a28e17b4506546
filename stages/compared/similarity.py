"""How alike two layers are, of two models, by the images that both have seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from activation_atlas.stages.compared.runs import Pairs, Run
from activation_atlas.stages.intervals import student_t
from activation_atlas.stages.specs import folder
from activation_atlas.stages.tables import to_numpy

MOST = 2000
"""Images that are looked at: a matrix of all pairs is held."""
NEIGHBOURS = 10
GROUPS = 20
"""Of images, each left out once for the interval."""
ROWS = 256
"""Images whose distances to all others are held at once."""


@dataclass(frozen=True)
class Alike:
    """How alike two spaces of features are.

    Attributes:
        images: shared ones that were looked at.
        cka, cka_low, cka_high: linear centred kernel alignment, 1 of spaces that are equal up to rotation and scale, 0
            of independent ones; its 95 % interval by leaving out a twentieth of the images at a time.
        neighbours, neighbours_low, neighbours_high: mean share of an image's nearest neighbours in the one space that
            are among its nearest in the other; interval by Student's t over images.
        near: how many neighbours; chance: the share to expect of spaces that have nothing to do with one another.
        pooled: what an image's vector is.
    """

    images: int
    cka: float
    cka_low: float
    cka_high: float
    neighbours: float
    neighbours_low: float
    neighbours_high: float
    near: int
    chance: float
    pooled: str


def hsic(one: np.ndarray, other: np.ndarray) -> float:
    """The unbiased estimator of the Hilbert-Schmidt independence criterion (Song et al. 2012, HSIC_1).

    (tr KL + 1'K1 1'L1 / ((n - 1) (n - 2)) - 2 / (n - 2) 1'KL1) / (n (n - 3)), of kernels K, L without their diagonals.

    Args:
        one, other: kernel matrices (n, n), symmetric, n at least 4; their diagonals are not read.
    """
    n = len(one)
    sums, other_sums = (k.sum(1) - k.diagonal() for k in (one, other))
    trace = float(np.vdot(one, other) - one.diagonal() @ other.diagonal())
    total = float(sums.sum() * other_sums.sum()) / ((n - 1) * (n - 2))
    return (trace + total - 2 / (n - 2) * float(sums @ other_sums)) / (n * (n - 3))


def cka(one: np.ndarray, other: np.ndarray) -> float:
    """Linear centred kernel alignment of features (n, C1) and (n, C2) by :func:`hsic` (Nguyen, Raghu & Kornblith 2021).

    The usual, biased estimator tends to 1 where there are more channels than images, whatever they hold. NaN where
    either has no variance.
    """
    return _aligned(*(_kernel(vectors) for vectors in (one, other)))


def _kernel(vectors: np.ndarray) -> np.ndarray:
    centred = vectors.astype(np.float64) - vectors.mean(0, dtype=np.float64)  # changes nothing but rounding
    return centred @ centred.T


def _aligned(one: np.ndarray, other: np.ndarray) -> float:
    own, others = hsic(one, one), hsic(other, other)
    return hsic(one, other) / float(np.sqrt(own * others)) if own > 0 and others > 0 else float("nan")


def neighbours(vectors: np.ndarray, near: int) -> np.ndarray:
    """(n, near) indices of the nearest others by cosine, the smaller index first of equals."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = (vectors / np.where(length > 0, length, 1)).astype(np.float32)
    found = []
    for start in range(0, len(unit), ROWS):
        cosine = unit[start : start + ROWS] @ unit.T
        cosine[np.arange(len(cosine)), np.arange(start, start + len(cosine))] = -np.inf
        found.append(np.argsort(-cosine, axis=1, kind="stable")[:, :near])
    return np.concatenate(found)


def alike(one: np.ndarray, other: np.ndarray, pooled: str) -> Alike | None:
    """Of features (n, C1) and (n, C2) of the same n images; None of fewer than 40."""
    n = len(one)
    if n < 2 * GROUPS:
        return None
    kernels = _kernel(one), _kernel(other)
    value = _aligned(*kernels)
    part = np.arange(n) * GROUPS // n
    left = np.array([_aligned(*(k[np.ix_(part != g, part != g)] for k in kernels)) for g in range(GROUPS)])
    error = float(np.sqrt((GROUPS - 1) / GROUPS * ((left - left.mean()) ** 2).sum()))
    half = float(student_t(np.array(GROUPS))) * error
    near = min(NEIGHBOURS, n // 4)
    codes = [np.arange(n)[:, None] * n + neighbours(vectors, near) for vectors in (one, other)]
    share = np.isin(codes[0], codes[1]).sum(1) / near
    mean, spread = float(share.mean()), float(student_t(np.array(n)) * share.std(ddof=1) / np.sqrt(n))
    ends = max(value - half, -1.0), min(value + half, 1.0)
    return Alike(n, value, *ends, mean, mean - spread, mean + spread, near, near / (n - 1), pooled)


def features(first: Run, second: Run, layers: tuple[str, str], shared: Pairs) -> tuple[np.ndarray, np.ndarray, str]:
    """Pooled features of at most :data:`MOST` shared images, in a random order that depends on their content alone.

    Of the table `features` where both runs have it, else the mean of the sampled positions.
    """
    order = np.argsort([first.files[k] or first.ids[k] for k in shared.one], kind="stable")[:MOST]
    names = [folder(layer) for layer in layers]
    whole = all(run.inputs.parts(f"features/{own}") for run, own in zip((first, second), names, strict=True))
    read: Callable[..., np.ndarray] = _whole if whole else _sampled
    one, two = (
        read(run, own, at[order]) for run, own, at in zip((first, second), names, (shared.one, shared.two), strict=True)
    )
    known = ~(np.isnan(one).any(1) | np.isnan(two).any(1))
    return one[known], two[known], "its features, pooled" if whole else "the mean of its sampled positions"


def _whole(run: Run, layer: str, wanted: np.ndarray) -> np.ndarray:
    return _sampled(run, layer, wanted, "features", "features")


def _sampled(
    run: Run, layer: str, wanted: np.ndarray, table: str = "activations", column: str = "activation"
) -> np.ndarray:
    """(n, C) the mean of an image's rows; NaN where it has none."""
    place = np.full(len(run), -1)
    place[wanted] = np.arange(len(wanted))
    sums: np.ndarray | None = None
    counts = np.zeros(len(wanted))
    for part in run.inputs.stream(f"{table}/{layer}", ["image_id", column]):
        image = run.indices(part["image_id"])
        at = np.where(image >= 0, place[image], -1)
        mine = at >= 0
        vectors = to_numpy(part[column])
        sums = np.zeros((len(wanted), vectors.shape[1])) if sums is None else sums
        np.add.at(sums, at[mine], vectors[mine].astype(np.float64))
        counts += np.bincount(at[mine], minlength=len(wanted))
    if sums is None:
        return np.full((len(wanted), 1), np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        return sums / counts[:, None]
