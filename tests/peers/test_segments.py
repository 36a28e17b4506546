"""Our LIME beside the lime package's image explainer, our Kernel SHAP beside SHAP's KernelExplainer, on the logits.

Both are given our segments; lime also what we draw. SHAP sees every coalition, and where there are more, those that we
drew.
"""

import numpy as np
import pytest
import shap
from lime.lime_image import LimeImageExplainer

from activation_atlas.stages.vision.attribution.additive import coalitions
from activation_atlas.stages.vision.attribution.methods.kernel_shap import KernelShap
from activation_atlas.stages.vision.attribution.methods.lime import Lime
from activation_atlas.stages.vision.attribution.methods.many_passes import generator
from activation_atlas.stages.vision.attribution.superpixels import superpixels
from tests.peers.networks import CLASSES, case


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return case(tmp_path_factory.mktemp("small"), (-1, 1))


def logits(small, images):
    """Of images in 0 to 255, float."""
    return small.logits(small.ours.to_input(np.asarray(images, np.float32))).numpy()


class Drawn:
    """What we drew, as a random state."""

    def __init__(self, shown):
        self.shown = shown

    def randint(self, low, high, size):
        assert (low, high, size) == (0, 2, self.shown.size)
        return self.shown.astype(int).ravel()


@pytest.mark.parametrize("fill", [90.0, "mean"])
def test_lime_equals_the_lime_package(small, same, fill):
    options = Lime(samples=200, superpixels="felzenszwalb", segments=9, fill=fill)
    explain = small.explain(options)
    ours = explain(small.pixels, small.targets, small.ids)
    for image, image_id, targets, found in zip(small.pixels, small.ids, small.targets, ours.values, strict=True):
        labels = superpixels(image, "felzenszwalb", 9)
        own = explain.jobs(image_id, labels.max() + 1).shown
        shown = np.concatenate([np.ones((1, own.shape[1]), bool), own])
        peer = LimeImageExplainer(random_state=0)
        peer.random_state = Drawn(shown)
        told = peer.explain_instance(
            image.astype(float),
            lambda images: logits(small, images),
            labels=range(CLASSES),
            hide_color=None if fill == "mean" else fill,
            top_labels=None,
            num_samples=200,
            random_seed=0,
            segmentation_fn=lambda image, labels=labels: labels,
        )
        for target, values in zip(targets, found, strict=True):
            theirs = np.zeros(labels.max() + 1)
            for segment, value in told.local_exp[target]:
                theirs[segment] = value
            same(values, theirs[labels])


def explained_by_shap(small, image, labels, targets, samples):
    """SHAP's values of the segments, (k, h, w), what hides being 100."""

    def scores(rows):
        shown = np.asarray(rows, bool)[:, labels][..., None]
        return logits(small, np.where(shown, image, 100.0))[:, targets]

    parts = labels.max() + 1
    peer = shap.KernelExplainer(scores, np.zeros((1, parts)))
    return np.moveaxis(peer.shap_values(np.ones(parts), nsamples=samples, l1_reg=0, silent=True)[labels], -1, 0)


def test_kernel_shap_equals_shap(small, same):
    ours = small.maps(KernelShap(samples=600, superpixels="felzenszwalb", segments=9, fill=100))
    for image, targets, found in zip(small.pixels, small.targets, ours.values, strict=True):
        labels = superpixels(image, "felzenszwalb", 9)
        assert 5 <= labels.max() + 1 <= 9
        same(found, explained_by_shap(small, image, labels, targets, 600))


def test_sampled_kernel_shap_is_shaps(small, same, monkeypatch):
    """The peer draws a size and a permutation for each pair of coalitions: it is handed ours, as often as drawn."""
    parts, samples = 25, 300
    ours = small.maps(KernelShap(superpixels="grid", samples=samples, segments=parts, fill=100))
    labels = superpixels(small.pixels[0], "grid", parts)
    for image, image_id, targets, found in zip(small.pixels, small.ids, small.targets, ours.values, strict=True):
        jobs = coalitions(generator(0, image_id), parts, samples)
        drawn = ~np.isin(jobs.shown.sum(1), (1, 24))
        assert (~drawn).sum() == 2 * parts, "one part shown or hidden: all of them"
        pairs, weights = (x[drawn][: drawn.sum() // 2] for x in (jobs.shown, jobs.weights))
        smaller = np.where(pairs.sum(1, keepdims=True) < parts / 2, pairs, ~pairs)
        times = np.rint(weights / weights.min()).astype(int)
        often = np.argsort(-times, kind="stable")  # the peer ends with the last that is new
        order = smaller[often].repeat(times[often], 0)
        sizes, members = order.sum(1) - 2, iter(np.argsort(~order, axis=1, kind="stable"))
        monkeypatch.setattr(np.random, "choice", lambda n, many, p, sizes=sizes: sizes)
        monkeypatch.setattr(np.random, "permutation", lambda n, members=members: next(members))
        same(found, explained_by_shap(small, image, labels, targets, samples))
        assert next(members, None) is None, "the peer has drawn as often as we have"
