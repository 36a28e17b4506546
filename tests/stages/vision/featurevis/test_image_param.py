"""Waves and colours by hand."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from activation_atlas.stages.vision.featurevis.image_param import Spectrum, cosine_image, cosines, start


def slow_paint(coefficients: np.ndarray, size: int, colour: np.ndarray, spectrum: Spectrum) -> np.ndarray:
    """One image, wave by wave."""
    planes = np.zeros((len(colour), size, size))
    x = np.arange(size) + 0.5
    for channel in range(len(colour)):
        for i in range(coefficients.shape[1]):
            for j in range(coefficients.shape[2]):
                w = np.sqrt(i * i + j * j) / 2
                factor = spectrum.amplitude / max(w, 1) ** spectrum.decay
                down = np.cos(np.pi * i * x / size) * (np.sqrt(2) if i else 1)
                across = np.cos(np.pi * j * x / size) * (np.sqrt(2) if j else 1)
                planes[channel] += factor * coefficients[channel, i, j] * np.outer(down, across)
    return 1 / (1 + np.exp(-np.einsum("dc,chw->dhw", colour, planes)))


@pytest.mark.parametrize("channels", [1, 3])
def test_paint_equals_its_slow_twin(channels):
    rng, spectrum = np.random.default_rng(0), Spectrum(decay=1.2, amplitude=0.7, finest=0.4)
    colour = rng.normal(size=(channels, channels))
    waves = spectrum.waves(9)
    assert waves == 7
    coefficients = rng.normal(size=(2, channels, waves, waves))
    got = cosine_image(9, colour, spectrum)(tf.constant(coefficients)).numpy()
    for image, own in zip(got, coefficients, strict=True):
        np.testing.assert_allclose(image, slow_paint(own, 9, colour, spectrum), rtol=1e-9)


def test_spectrum_by_hand():
    scale = Spectrum(decay=2.0, amplitude=0.5, finest=0.5).scale(8)
    assert scale.shape == (8, 8)
    assert scale[0, 0] == scale[0, 1] == scale[0, 2] == 0.5, "nothing is coarser than one wave a side"
    assert scale[0, 4] == pytest.approx(0.5 / 4) and scale[6, 0] == pytest.approx(0.5 / 9)
    assert scale[6, 8 - 0 - 0 - 4] == pytest.approx(0.5 / 13)  # sqrt(3^2 + 2^2) waves


def test_waves_are_orthogonal_with_root_mean_square_one():
    basis = cosines(12, 12)
    np.testing.assert_allclose(basis.T @ basis, 12 * np.eye(12), atol=1e-9)


def test_nothing_finer_than_asked_is_drawn():
    spectrum = Spectrum(finest=0.25)
    pixels = cosine_image(32, np.eye(1), spectrum)(tf.random.normal((1, 1, 16, 16), dtype=tf.float64)).numpy()[0, 0]
    logit = np.log(pixels / (1 - pixels))
    waves = cosines(32, 32).T @ logit @ cosines(32, 32) / 32**2
    assert np.abs(waves[16:]).max() < 1e-12 and np.abs(waves[:, 16:]).max() < 1e-12
    assert np.abs(waves[:16, :16]).min() > 1e-9


def test_start_depends_on_its_seed_alone():
    spectrum = Spectrum()
    np.testing.assert_array_equal(start((1, 2), 8, 3, spectrum), start((1, 2), 8, 3, spectrum))
    assert not np.array_equal(start((1, 2), 8, 3, spectrum), start((2, 1), 8, 3, spectrum))
    assert start((0,), 96, 3, spectrum).std() == pytest.approx(0.01, rel=0.02)
