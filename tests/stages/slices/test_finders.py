"""Each finder by itself: the mark is found, and what it has learned follows from the search half alone."""

import numpy as np
import pytest

from activation_atlas.stages.slices.finders import FINDERS
from activation_atlas.stages.slices.finders.cells import failing, grown
from activation_atlas.stages.slices.finders.domino import FLOOR, WEIGHT, Mixture, begun, maximised
from activation_atlas.stages.slices.finders.planespot import joint
from activation_atlas.stages.slices.finders.spray import clusters
from activation_atlas.stages.slices.images import severity, surely
from tests.stages.slices.world import GRID, MARKED, World

WORLD = World()
IMAGES = WORLD.images()
MARK = WORLD.marked


@pytest.mark.parametrize("name", ["domino", "cells", pytest.param("planespot", marks=pytest.mark.slow)])
def test_the_worst_slice_is_the_mark_and_needs_no_label(name):
    held = IMAGES.take(WORLD.held)
    score = FINDERS[name].fit(IMAGES.take(~WORLD.held), 0, 5)
    strengths = score(held.unlabelled())
    assert strengths.shape[1] <= 5
    members = ~np.isnan(strengths[:, 0])
    assert MARK[WORLD.held][members].mean() > 0.9 and members.sum() >= 10
    # Nothing of the images scored is in what a score says of another: one alone has the same.
    np.testing.assert_allclose(score(held.take([3])), strengths[[3]])


def test_confusion_cells_and_highest_loss_by_hand():
    images = IMAGES.take(np.arange(12)).unlabelled()
    images.label[:] = [0] * 7 + [1] * 5
    images.pred[:] = [2, 2, 2, 2, 2, 0, 0, 2, 2, 2, 2, 2]
    score = FINDERS["confusion"].fit(images, 0, 5)
    found = score(images)
    assert found.shape == (12, 2)  # cat -> horse and dog -> horse, of five each
    assert np.flatnonzero(~np.isnan(found[:, 0])).tolist() == [0, 1, 2, 3, 4]
    np.testing.assert_array_equal(found[:5, 0], images.confidence[:5])
    images.loss[:] = np.arange(12)
    high = FINDERS["highest_loss"].fit(images, 0, 5)(images)  # the .95 quantile of 0 to 11 is 10.45
    assert np.flatnonzero(~np.isnan(high[:, 0])).tolist() == [11] and high[11, 0] == 11


def test_a_cell_fails_by_the_hypergeometric_tail():
    from math import comb

    images = IMAGES.take(np.arange(40))
    there = np.asarray(images.rows[:, MARKED[0] * GRID + MARKED[1]].todense()).reshape(-1) > 0
    n, errors, own = 40, int(images.wrong.sum()), int(there.sum())
    hits = int(images.wrong[there].sum())
    tail = sum(comb(errors, k) * comb(n - errors, own - k) for k in range(hits, min(own, errors) + 1)) / comb(n, own)
    assert own >= 10
    np.testing.assert_allclose(failing(images, -1)[MARKED[0] * GRID + MARKED[1]], tail, rtol=1e-9)


def test_regions_grow_over_sure_neighbours_alone():
    # On a grid of four: 0 and 5 touch at a corner and are sure, 10 touches 5 and is not, 15 is sure and far from 5.
    sure = np.zeros(16, bool)
    sure[[0, 5, 15]] = True
    assert [r.tolist() for r in grown(np.array([5, 0, 10, 15]), sure, 4)] == [[0, 5], [10], [15]]


def test_domino_s_likelihood_and_m_step_are_those_on_paper():
    rng = np.random.default_rng(0)
    z, share = rng.normal(size=(30, 2)), rng.dirichlet([1, 1], size=30)
    y, predicted = np.eye(3)[rng.integers(3, size=30)], rng.dirichlet([1, 1, 1], size=30)
    y[:4] = 0  # no label
    mixture = maximised(share, z, y, predicted)
    for k in range(2):
        w = share[:, k]
        np.testing.assert_allclose(mixture.means[k], np.average(z, axis=0, weights=w))
        spread = np.average((z - mixture.means[k]) ** 2, axis=0, weights=w) + FLOOR
        np.testing.assert_allclose(mixture.variances[k], spread)
        np.testing.assert_allclose(mixture.labels[k], np.average(y[4:], axis=0, weights=w[4:]))
        np.testing.assert_allclose(mixture.predictions[k], np.average(predicted, axis=0, weights=w))
    found = mixture.log_likelihood(z, y, predicted)
    for i in (0, 7):
        for k in range(2):
            gauss = np.exp(-((z[i] - mixture.means[k]) ** 2) / (2 * mixture.variances[k]))
            gauss = (gauss / np.sqrt(2 * np.pi * mixture.variances[k])).prod()
            slow = np.log(mixture.weights[k] * gauss) + WEIGHT * np.log(predicted[i] @ mixture.predictions[k])
            slow += WEIGHT * np.log(y[i] @ mixture.labels[k]) if y[i].any() else 0
            np.testing.assert_allclose(found[i, k], slow)
    assert isinstance(mixture, Mixture) and begun(IMAGES, 4, 0).sum(1) == pytest.approx(1)


def test_log_odds_and_severity_by_hand():
    likely = np.log(np.array([[0.6, 0.3, 0.1], [0.1, 0.1, 0.8]]))
    np.testing.assert_allclose(surely(likely), [[np.log(0.6 / 0.4), np.nan, np.nan], [np.nan, np.nan, np.log(4)]])
    risk = np.array([1, 1, 0, np.nan, 0])
    members = np.array([[1, 0], [1, 0], [1, 0], [1, 1], [0, 1]], bool)
    np.testing.assert_allclose(severity(risk, members), [2 / 3 * 2, 0])  # error rate times errors, of those known


@pytest.mark.slow
def test_a_mixture_s_joint_likelihood_is_scikit_learn_s():
    from sklearn.mixture import GaussianMixture

    rows = np.random.default_rng(0).normal(size=(80, 3))
    mixture = GaussianMixture(3, random_state=0).fit(rows)
    found = joint(mixture, rows)
    np.testing.assert_allclose(np.logaddexp.reduce(found, 1), mixture.score_samples(rows))
    np.testing.assert_array_equal(found.argmax(1), mixture.predict(rows))


def test_maps_of_three_kinds_are_three_clusters():
    rng = np.random.default_rng(0)
    kinds = np.eye(3, 256)[np.repeat(np.arange(3), 20)] + 0.01 * rng.random((60, 256))
    found = clusters(kinds / np.linalg.norm(kinds, axis=1, keepdims=True), 0)
    assert len({tuple(found[20 * k : 20 * k + 20]) for k in range(3)}) == 3
    assert all(len(set(found[20 * k : 20 * k + 20])) == 1 for k in range(3))
