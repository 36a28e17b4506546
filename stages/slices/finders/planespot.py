"""PlaneSpot: a mixture of Gaussians over the plane of the features, with the model's confidence beside it."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from activation_atlas.stages.slices.images import Finder, Images, Score, severity, surely

COMPONENTS = 33
"""At most so many Gaussians; BIC says how many."""
WEIGHT = 0.025
"""Of the confidence, beside a plane that is 1 wide."""
EACH = 10
"""A Gaussian stands for at least so many images."""
MOST = 5_000
"""Images that are laid out."""
NEAREST = 5


def fit(search: Images, seed: int, most: int) -> Score:
    """Gaussians over the layout of the pooled features, scaled to [0, 1], and the weighted confidence as a third axis.

    Plumb, Johnson, Cabrera & Talwalkar (2023) lay out by scvis, a variational form of t-SNE that is trained; here it is
    t-SNE itself, and an image that was not laid out lies at the median of its five nearest ones that were.
    """
    from sklearn.decomposition import PCA
    from sklearn.mixture import GaussianMixture
    from sklearn.neighbors import NearestNeighbors

    search = search.take(np.sort(np.random.default_rng(seed).permutation(len(search))[:MOST]))
    assert search.features is not None
    pca = PCA(min(50, *search.features.shape), svd_solver="full").fit(search.features)
    vectors = pca.transform(search.features)
    plane = laid_out(vectors, seed)
    low, extent = plane.min(0), np.maximum(np.ptp(plane, axis=0), 1e-12)
    near = NearestNeighbors(n_neighbors=min(NEAREST, len(plane)), n_jobs=1).fit(vectors)

    def axes(places: np.ndarray, images: Images) -> np.ndarray:
        return np.concatenate([(places - low) / extent, WEIGHT * images.confidence[:, None]], 1)

    known, best, least = axes(plane, search), None, np.inf
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that one of the fits did not converge
        for count in range(1, max(1, min(COMPONENTS, len(known) // EACH)) + 1):
            mixture = GaussianMixture(count, random_state=seed).fit(known)
            if (bic := mixture.bic(known)) < least:
                best, least = mixture, bic
    assert best is not None
    mine = np.eye(best.n_components, dtype=bool)[best.predict(known)]
    order = np.argsort(-severity(search.risk, mine), kind="stable")[:most]

    def score(images: Images) -> np.ndarray:
        assert images.features is not None
        places = np.median(plane[near.kneighbors(pca.transform(images.features), return_distance=False)], axis=1)
        return surely(joint(best, axes(places, images)))[:, order]

    return score


def joint(mixture: Any, rows: np.ndarray) -> np.ndarray:
    """log w + log N of rows (n, d) for each Gaussian of full covariance of scikit-learn's mixture, (n, k)."""
    roots, means = mixture.precisions_cholesky_, mixture.means_
    apart = np.einsum("nkd,kde->nke", rows[:, None] - means, roots)
    scale = np.log(np.diagonal(roots, axis1=1, axis2=2)).sum(1) - 0.5 * rows.shape[1] * np.log(2 * np.pi)
    return np.log(mixture.weights_) + scale - 0.5 * (apart**2).sum(2)


def laid_out(vectors: np.ndarray, seed: int) -> np.ndarray:
    """t-SNE of rows (n, d): (n, 2) float64."""
    from openTSNE import TSNE

    perplexity = min(30.0, max(1.0, (len(vectors) - 1) / 3))
    steps = {"early_exaggeration_iter": 125, "n_iter": 375}  # as atlases are laid out
    model = TSNE(perplexity=perplexity, neighbors="exact", n_jobs=1, random_state=seed, **steps)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return np.asarray(model.fit(vectors), np.float64)


FINDER = Finder(
    "planespot",
    "clusters of the features’ plane and confidence",
    "PlaneSpot: Plumb, Johnson, Cabrera & Talwalkar 2023",
    fit,
    ("features",),
)
