"""Our expected gradients beside SHAP's GradientExplainer, given the logits. It draws the background image and the share
of the way for itself: ours are handed to it; and once both draw for themselves and agree in expectation. It keeps
colours apart: they are added here, as ours are. At a layer it is given the activations, and the rest of the network.
"""

import keras
import numpy as np
import pytest
import shap

from activation_atlas.stages.vision.attribution.methods.path import ExpectedGradients
from tests.peers.networks import case


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return case(tmp_path_factory.mktemp("small"), (-1, 1))


@pytest.fixture(scope="module")
def background(small):
    return np.random.default_rng(3).integers(0, 256, (5, *small.pixels.shape[1:])).astype(np.uint8)


def expected(case, background, samples, seed=0, layer=None):
    """The peer's values of all images and targets, colours or channels added: (n, k, h, w)."""
    model, seen = case.logits, [case.received, case.ours.to_input(background).numpy()]
    if layer:
        at = model.get_layer(layer).output
        seen = [keras.Model(model.inputs, at)(x).numpy() for x in seen]
        model = keras.Model(at, model.output)
    peer = shap.GradientExplainer(model, seen[1])
    chosen = {"ranked_outputs": case.targets, "output_rank_order": "custom"}
    found, _ = peer.shap_values(seen[0], nsamples=samples, rseed=seed, **chosen)
    return np.moveaxis(found.sum(3), -1, 1)


@pytest.mark.parametrize("layer", [None, "first", "last"])
def test_expected_gradients_equals_shap(small, background, same, monkeypatch, layer):
    options = ExpectedGradients(samples=20, background=len(background), layer=layer)
    explain = small.explain(options, background)
    shares, images = (jobs.reshape(-1) for jobs in explain.jobs(small.ids))
    place = {}
    monkeypatch.setattr(np.random, "seed", lambda seed: place.update(image=iter(images), share=iter(shares)))
    monkeypatch.setattr(np.random, "choice", lambda count: next(place["image"]))
    monkeypatch.setattr(np.random, "uniform", lambda: next(place["share"]))
    peer = expected(small, background, 20, layer=layer)
    assert next(place["share"], None) is None, "the peer has drawn as often as we have"
    same(explain(small.pixels, small.targets, small.ids).values, peer)


def test_expected_gradients_of_a_linear_model_are_exact(tmp_path, background, same):
    """With one background image nothing depends on what is drawn."""
    linear = case(tmp_path, (-1, 1), "linear")
    ours = linear.maps(ExpectedGradients(samples=2, background=1), background[:1])
    same(ours.values, expected(linear, background[:1], 2))


def test_expected_gradients_agree_in_expectation(small, background):
    """Both draw for themselves: 10 x 30 draws of the peer's, and 300 of ours."""
    drawn = np.stack([expected(small, background, 30, seed) for seed in range(10)])
    ours = small.maps(ExpectedGradients(samples=300, background=len(background)), background).values
    error = drawn.std(0, ddof=1) / np.sqrt(len(drawn))
    rms, rms_if_larger = (
        np.sqrt(np.mean(((factor * ours - drawn.mean(0)) / (np.sqrt(2) * error)) ** 2)) for factor in (1, 1.2)
    )
    assert 0.5 < rms < 1.3 and rms_if_larger > 1.5, "in standard errors; a fifth more would be told apart"
