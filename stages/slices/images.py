"""What finders are given of images, and what they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Images:
    """n images; what the run does not have is None.

    Attributes:
        ids: (n,) str.
        label: (n,) int64, -1 where there is none, several, or it is hidden.
        pred: (n,) int64, the class of the largest logit.
        wrong: (n,) float64, 1 where the model errs, 0 where it does not, NaN where that is not known.
        loss: (n,) float64, cross entropy with the label in nats (of several labels summed over classes), or NaN.
        confidence: (n,) float64, the probability of what is predicted, in [0, 1].
        probabilities: (n, K) float32, of the classes.
        features: (n, C) float32, a layer's map averaged over its positions.
        rows: sparse (n, cells), sampled positions of the image in each cell of the atlas.
        evidence: sparse (n, cells), the sum over these of the attribution for ``pred``, in logits.
        maps: (n, 256) float32, the attribution map for ``pred`` as 16 x 16 means, of length 1; NaN where there is none.
    """

    ids: np.ndarray
    label: np.ndarray
    pred: np.ndarray
    wrong: np.ndarray
    loss: np.ndarray
    confidence: np.ndarray
    probabilities: np.ndarray
    features: np.ndarray | None = None
    rows: Any = None
    evidence: Any = None
    maps: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, which: np.ndarray) -> Images:
        """Some of them: indices, or (n,) bool."""
        own = {f.name: getattr(self, f.name) for f in fields(self)}
        some: dict[str, Any] = {name: None if values is None else values[which] for name, values in own.items()}
        return Images(**some)

    def unlabelled(self) -> Images:
        """The same without what is known by labels."""
        unknown = np.full(len(self), np.nan)
        return replace(self, label=np.full(len(self), -1), wrong=unknown, loss=unknown)

    def slim(self) -> Images:
        """The same without what is large."""
        return replace(
            self, probabilities=self.probabilities[:, :0], features=None, rows=None, evidence=None, maps=None
        )

    @property
    def risk(self) -> np.ndarray:
        """(n,) ``wrong``; where no image at all has a label, 1 - ``confidence`` stands for it."""
        return self.wrong if (~np.isnan(self.wrong)).any() else 1 - self.confidence


def joined(parts: Sequence[Images]) -> Images:
    """Images of several parts as one (at least one part)."""
    from scipy.sparse import issparse, vstack

    def together(values: list[Any]) -> Any:
        if values[0] is None:
            return None
        return vstack(values, format="csr") if issparse(values[0]) else np.concatenate(values)

    return Images(**{f.name: together([getattr(part, f.name) for part in parts]) for f in fields(Images)})


Score = Callable[[Images], np.ndarray]
"""Images (n) -> (n, k) float64: how strongly each is of each slice, NaN where it is not; the worst slice first."""


@dataclass(frozen=True)
class Finder:
    """One way to find slices.

    Attributes:
        name: as in the configuration.
        title: in words.
        source: of the method.
        fit: ``(images, seed, most) -> score`` of the ``most`` worst slices. It is given the search half alone, with its
            labels.
        needs: fields of :class:`Images` that must be there, for at least one image where it is ``label`` or ``loss``.
        labelled: whether a score reads the label of the image itself. Others are given images without labels, so that
            the labels of the held-out half can test the slice.
    """

    name: str
    title: str
    source: str
    fit: Callable[[Images, int, int], Score]
    needs: tuple[str, ...] = ()
    labelled: bool = False

    def lacks(self, images: Images) -> str | None:
        """The first of its needs that these images do not meet."""
        for name in self.needs:
            values = getattr(images, name)
            known = values is not None and len(images) > 0
            if known and name in ("label", "loss"):
                known = bool((values >= 0).any())
            if known and name == "maps":
                known = bool(np.isfinite(values[:, 0]).any())
            if not known:
                return name
        return None


def severity(risk: np.ndarray, members: np.ndarray) -> np.ndarray:
    """What slices are ranked by in the half they are found in: error rate times errors (Plumb et al. 2023), (k,).

    Args:
        risk: (n,), NaN where it is not known.
        members: (n, k) bool.
    """
    known = (~np.isnan(risk)).astype(np.float64)
    errors = np.where(known > 0, risk, 0.0) @ members
    return errors**2 / np.maximum(known @ members, 1)


def surely(log_likelihood: np.ndarray) -> np.ndarray:
    """Log odds that an image is of a component, (n, k), where it is the likeliest, else NaN.

    Args:
        log_likelihood: (n, k), joint with the component's weight.
    """
    from scipy.special import logsumexp

    if log_likelihood.shape[1] == 1:
        return np.zeros(log_likelihood.shape)
    found = np.full(log_likelihood.shape, np.nan)
    rows, best = np.arange(len(log_likelihood)), log_likelihood.argmax(1)
    others = log_likelihood.copy()
    others[rows, best] = -np.inf
    found[rows, best] = log_likelihood[rows, best] - logsumexp(others, axis=1)
    return found
