"""Weights of models that a test makes are the same in every run."""

import activation_atlas.stages.vision.quiet  # noqa: F401, I001 - before what imports TensorFlow
import keras
import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    keras.utils.set_random_seed(0)
