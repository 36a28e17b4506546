"""SpRAy: clusters of attribution maps, by which one sees where in the image a class is decided."""

from __future__ import annotations

import numpy as np

from activation_atlas.stages.slices.images import Finder, Images, Score, severity

LEAST = 30
"""Maps of a class that are clustered by themselves; where no class has so many, all are clustered together."""
MOST = 2_000
"""Maps that are clustered at once."""
NEIGHBOURS = 10
CLUSTERS = 8
"""At most; the widest gap among the eigenvalues says how many."""


def fit(search: Images, seed: int, most: int) -> Score:
    """For each class the maps of what is taken for it, clustered by the graph of nearest maps (Lapuschkin et al. 2019).

    An image is of the cluster that its nearest map of the search half is of, and the more so the farther the nearest
    map of another cluster is beyond that.
    """
    assert search.maps is not None
    search = search.take(np.isfinite(search.maps[:, 0]))
    assert search.maps is not None
    count = np.bincount(search.pred)
    classes = [np.array([k]) for k in np.flatnonzero(count >= LEAST)] or [np.flatnonzero(count)]
    rng, found = np.random.default_rng(seed), []
    for group in classes:
        own = np.flatnonzero(np.isin(search.pred, group))
        own = np.sort(rng.permutation(own)[:MOST])
        cluster = clusters(search.maps[own], seed)
        if cluster.max(initial=0) > 0:
            found.append((group, search.maps[own], cluster))
    ranks = [severity(search.risk, _members(search, found, k)) for k in range(len(found))]
    place = np.cumsum([0, *(len(r) for r in ranks)])
    order = np.argsort(-np.concatenate([*ranks, np.zeros(0)]), kind="stable")[:most]

    def score(images: Images) -> np.ndarray:
        strengths = np.full((len(images), place[-1]), np.nan)
        for k in range(len(found)):
            strengths[:, place[k] : place[k + 1]] = _strengths(images, *found[k])
        return strengths[:, order]

    return score


def _members(images: Images, found: list, k: int) -> np.ndarray:
    return ~np.isnan(_strengths(images, *found[k]))


def _strengths(images: Images, group: np.ndarray, maps: np.ndarray, cluster: np.ndarray) -> np.ndarray:
    """(n, clusters): by how much the nearest map of another is farther, where that of this one is nearest."""
    assert images.maps is not None
    found = np.full((len(images), cluster.max() + 1), np.nan)
    mine = np.flatnonzero(np.isin(images.pred, group) & np.isfinite(images.maps[:, 0]))
    if not len(mine):
        return found
    square = np.maximum(2 - 2 * (images.maps[mine].astype(np.float64) @ maps.T.astype(np.float64)), 0)
    nearest = np.stack([np.sqrt(square[:, cluster == c].min(1)) for c in range(found.shape[1])], 1)
    own, rows = nearest.argmin(1), np.arange(len(mine))
    others = nearest.copy()
    others[rows, own] = np.inf
    found[mine, own] = others.min(1) - nearest[rows, own]
    return found


def clusters(maps: np.ndarray, seed: int) -> np.ndarray:
    """The cluster of each map, (n,): spectral clustering with as many as the widest gap of eigenvalues says.

    Of the symmetric graph of 10 nearest neighbours, L = 1 - D^-1/2 W D^-1/2 (von Luxburg 2007); its first eigenvectors,
    rows made 1 long (Ng, Jordan & Weiss 2002), by k-means.
    """
    from sklearn.cluster import KMeans
    from sklearn.neighbors import kneighbors_graph

    if len(maps) < LEAST:
        return np.zeros(len(maps), np.int64)
    graph = kneighbors_graph(maps, min(NEIGHBOURS, len(maps) - 1), n_jobs=1).toarray()
    graph = (graph + graph.T) / 2
    scale = 1 / np.sqrt(graph.sum(1))
    values, vectors = np.linalg.eigh(np.eye(len(maps)) - scale[:, None] * graph * scale)
    count = int(np.diff(values[: CLUSTERS + 1]).argmax()) + 1
    if count == 1:
        return np.zeros(len(maps), np.int64)
    rows = vectors[:, :count] / np.maximum(np.linalg.norm(vectors[:, :count], axis=1, keepdims=True), 1e-12)
    return KMeans(count, n_init=10, random_state=seed).fit_predict(rows).astype(np.int64)


FINDER = Finder("spray", "clusters of attribution maps", "SpRAy: Lapuschkin et al. 2019", fit, ("maps",))
