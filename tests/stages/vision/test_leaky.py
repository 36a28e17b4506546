"""A leaky ReLU behind a convolution and an addition keeps its slope in a graph, which TensorFlow's fusion does not."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

from activation_atlas.stages.specs import ModelSpec
from activation_atlas.stages.vision.model import freeze, open_model
from tests import quick
from tests.stages.vision import small_models as small

FORMS = {
    "layer": lambda slope: layers.LeakyReLU(slope),
    "relu": lambda slope: layers.ReLU(negative_slope=slope),
    "operation": lambda slope: lambda x: ops.leaky_relu(x, slope),
}


@pytest.mark.parametrize("dtype", quick.first(["float32", "mixed_float16"]))
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("slope", quick.first([0.05, 0.2, 0.3, 1.5], 0.2))
def test_a_graph_gives_what_the_layers_give(form, slope, dtype, tmp_path):
    def build():
        image = keras.Input((16, 16, 3))
        start = layers.Conv2D(8, 1)(layers.Rescaling(1 / 255, offset=-0.5)(image))
        x = layers.Add()([layers.Conv2D(8, 3, padding="same")(start), start])
        x = layers.GlobalAveragePooling2D()(FORMS[form](slope)(x))
        return keras.Model(image, layers.Dense(3, dtype="float32")(x))

    built = small.build(build, dtype)
    model = open_model(ModelSpec(path=small.save(built, tmp_path)))
    x = small.pixels()
    expected = built(x).numpy()  # layer by layer, nothing fused
    graph = freeze(lambda x: model.forward()(model.to_input(x))[1], tf.TensorSpec(x.shape))
    close = 1e-5 if dtype == "float32" else 5e-3
    np.testing.assert_allclose(graph(tf.constant(x)), expected, rtol=0, atol=close * np.abs(expected).max())
