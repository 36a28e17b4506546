"""Logits found behind every end that a classifier may have: they give its own probabilities back, or it is refused."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

from activation_atlas.stages.specs import ModelSpec
from activation_atlas.stages.stage import UserError
from activation_atlas.stages.vision.model.classifier import Model
from activation_atlas.stages.vision.model.loading import Loaded
from activation_atlas.stages.vision.model.logits import functions
from activation_atlas.stages.vision.model.logits.meaning import Meaning, tell

CLASSES = 4


def image():
    """The input, and a map of six channels that pixels in [0, 255] move."""
    given = keras.Input((6, 6, 3))
    kernel = keras.initializers.RandomNormal(stddev=0.4, seed=4)
    x = layers.Conv2D(6, 3, activation="relu", kernel_initializer=kernel)(layers.Rescaling(1 / 255)(given))
    return given, x


def dense(seed=0, units=CLASSES, **options):
    """A layer of scores: of one seed, of the same weights whatever its activation is."""
    kernel, bias = (keras.initializers.RandomNormal(stddev=s, seed=seed + 9) for s in (12, 1))
    return layers.Dense(units, kernel_initializer=kernel, bias_initializer=bias, **options)


def pooled(x):
    return layers.GlobalAveragePooling2D()(x)


def scores(x, seed=0, units=CLASSES):
    return dense(seed, units)(pooled(x))


def over(function, **options):
    """An end that is a function of the scores, which are the logits."""

    def end(x):
        z = scores(x, **options)
        return function(z), z

    return end


def as_activation(activation, logits=lambda z: z):
    def end(x):
        return dense(activation=activation)(pooled(x)), logits(scores(x))

    return end


def channels_first(x):
    z = layers.Conv2D(CLASSES, 1, kernel_initializer=keras.initializers.RandomNormal(stddev=9, seed=0))(
        layers.GlobalAveragePooling2D(keepdims=True)(x)
    )
    z = layers.Permute((3, 1, 2))(z)
    return layers.Reshape((CLASSES,))(layers.Softmax(axis=1)(z)), z


def convolution(x):
    x = layers.GlobalAveragePooling2D(keepdims=True)(x)
    head, bare = (
        layers.Conv2D(CLASSES, 1, activation=a, kernel_initializer=keras.initializers.RandomNormal(stddev=9, seed=0))
        for a in ("softmax", None)
    )
    return ops.squeeze(head(x), (1, 2)), bare(x)


def spread_in_time(x):
    rows = layers.Reshape((1, 6))(pooled(x))
    once = layers.TimeDistributed(dense(activation="softmax"))(rows)
    return layers.Flatten()(once), layers.TimeDistributed(dense())(rows)


def normalised(p):
    return p / ops.sum(p, axis=-1, keepdims=True)


def by_hand(z):
    return normalised(ops.exp(z - ops.max(z, axis=-1, keepdims=True)))


def several(join, last, count=2, units=CLASSES):
    """Several softmaxes or sigmoids of scores of their own, joined."""

    def end(x):
        return join([last(scores(x, seed, units)) for seed in range(count)]), None

    return end


def two_sides(x):
    z = scores(x, units=1)
    p = ops.sigmoid(z)
    return layers.Concatenate()([1 - p, p]), layers.Concatenate()([-z / 2, z / 2])


def joined(x):
    each = [scores(x, seed) for seed in range(2)]
    return layers.Concatenate()([ops.sigmoid(z) for z in each]), layers.Concatenate()(each)


def hierarchy(x):
    above, left, right = (ops.softmax(scores(x, seed, 2)) for seed in range(3))
    return layers.Concatenate()([above[:, :1] * left, above[:, 1:] * right]), None


@keras.saving.register_keras_serializable("tests")
def tempered(z):
    return ops.softmax(z / 2.0)


@keras.saving.register_keras_serializable("tests")
class OwnHead(layers.Layer):
    """A layer of a user's own, made of Keras's: it is opened."""

    def build(self, shape):
        self.scores = dense()
        self.scores.build(shape)

    def call(self, x):
        return ops.softmax(self.scores(x))


@keras.saving.register_keras_serializable("tests")
class ClosedHead(OwnHead):
    """One that calls TensorFlow itself: its logits are nowhere to be had."""

    def call(self, x):
        return tf.nn.softmax(tf.matmul(x, self.scores.kernel) + self.scores.bias)


SOFTMAXES = {
    "layer": over(layers.Softmax()),
    "activation layer": over(layers.Activation("softmax")),
    "operation": over(ops.softmax),
    "function": over(keras.activations.softmax),
    "activation": as_activation("softmax"),
    "object as activation": as_activation(layers.Softmax()),
    "function of one's own": as_activation(tempered, lambda z: z / 2),
    "temperature": over(lambda z: ops.softmax(layers.Rescaling(2.0)(z / 2))),
    "by hand": over(by_hand),
    "moved": over(lambda z: layers.Reshape((4,))(layers.Dropout(0.5)(layers.Reshape((2, 2))(ops.softmax(z))))),
    "permuted": over(lambda z: layers.Flatten()(layers.Permute((2, 1))(layers.Reshape((4, 1))(ops.softmax(z))))),
    "cast": over(lambda z: ops.cast(layers.Identity()(ops.softmax(z)), "float32")),
    "of n x 1 x 1 x K": over(lambda z: layers.Softmax()(layers.Reshape((1, 1, CLASSES))(z))),
    "axis 1 of n x K x 1 x 1": over(lambda z: layers.Flatten()(layers.Softmax(axis=1)(ops.reshape(z, (-1, 4, 1, 1))))),
    "channels first": channels_first,
    "convolution": convolution,
    "time distributed": spread_in_time,
    "log_softmax": over(layers.Activation("log_softmax")),
    "log_softmax as activation": as_activation("log_softmax"),
    "log of softmax": over(lambda z: ops.log(ops.softmax(z) + 1e-7)),
    "less logsumexp": over(lambda z: z - ops.logsumexp(z, axis=-1, keepdims=True)),
    "exp of log_softmax": over(lambda z: ops.exp(ops.log_softmax(z))),
    "clipped": over(lambda z: ops.clip(ops.softmax(z), 1e-7, 1 - 1e-7)),
    "half precision": over(lambda z: ops.cast(layers.Softmax(dtype="float16")(z), "float32")),
    "two sides of a sigmoid": two_sides,
    "one network twice": over(lambda z: layers.Average()([ops.softmax(z), layers.Softmax()(z)])),
    "average": several(layers.Average(), ops.softmax),
    "mean of a stack": several(lambda p: ops.mean(ops.stack(p), axis=0), ops.softmax),
    "weighted sum": several(lambda p: 0.3 * p[0] + 0.7 * p[1], ops.softmax),
    "product": several(lambda p: normalised(p[0] * p[1]), ops.softmax),
    "normalised sigmoids": lambda x: (normalised(ops.sigmoid(scores(x))), None),
    "hierarchy": hierarchy,
    "smoothed labels": lambda x: (0.9 * ops.softmax(scores(x)) + 0.1 / CLASSES, None),
    "mean over places": lambda x: (pooled(layers.Conv2D(CLASSES, 1, activation="softmax")(x)), None),
    "a layer of one's own": lambda x: (OwnHead()(pooled(x)), scores(x)),
    "a closed layer": lambda x: (ClosedHead()(pooled(x)), scores(x)),
}
SIGMOIDS = {
    "operation": over(ops.sigmoid),
    "activation": as_activation("sigmoid"),
    "function of TensorFlow's": as_activation(tf.math.sigmoid),
    "clipped": over(lambda z: ops.clip(ops.sigmoid(z), 1e-7, 1 - 1e-7)),
    "log_sigmoid": over(ops.log_sigmoid),
    "joined": joined,
    "one network twice": over(lambda z: layers.Average()([ops.sigmoid(z), layers.Activation("sigmoid")(z)])),
    "average": several(layers.Average(), ops.sigmoid),
    "half a sum": several(lambda p: (p[0] + p[1]) / 2, ops.sigmoid),
    "clipped by much": lambda x: (ops.clip(ops.sigmoid(scores(x)), 0.05, 0.95), None),
    "softmax clipped by much": lambda x: (ops.clip(ops.softmax(scores(x)), 0.05, 0.95), None),
    "rescaled within [0, 1]": lambda x: (layers.Rescaling(0.9, 0.05)(ops.sigmoid(scores(x))), None),
    "hard_sigmoid": lambda x: (dense(activation="hard_sigmoid")(pooled(x)), None),
    "softmaxes side by side": several(layers.Concatenate(), ops.softmax, units=3),
    "a part of a softmax": lambda x: (ops.softmax(scores(x))[:, :3], None),
    "mean over places": lambda x: (pooled(layers.Conv2D(CLASSES, 1, activation="sigmoid")(x)), None),
}
ONE = {
    "activation": lambda x: (dense(units=1, activation="sigmoid")(pooled(x)), scores(x, units=1)),
    "average": several(layers.Average(), ops.sigmoid, units=1),
    "hard_sigmoid": lambda x: (ops.hard_sigmoid(scores(x, units=1)), None),
    "second of two": lambda x: (ops.softmax(scores(x, units=2))[:, 1:], None),
}
CASES = [(kind, name) for kind, zoo in (("softmax", SOFTMAXES), ("sigmoid", SIGMOIDS), ("one", ONE)) for name in zoo]
UNKNOWN = {
    "softmax": ["average", "mean of a stack", "weighted sum", "product", "hierarchy", "smoothed labels"]
    + ["mean over places", "a closed layer", "normalised sigmoids"],
    "sigmoid": ["average", "half a sum", "clipped by much", "softmax clipped by much", "rescaled within [0, 1]"]
    + ["hard_sigmoid", "softmaxes side by side", "a part of a softmax", "mean over places"],
    "one": ["average", "hard_sigmoid", "second of two"],
}
"""Ends behind which a network has no logits of its own."""
SAID = {
    "softmax": [*UNKNOWN["softmax"], "one network twice"],
    "sigmoid": [*UNKNOWN["sigmoid"], "one network twice"],
    "one": ["average", "hard_sigmoid"],
}
"""Ends that are said to have no logits behind them."""


def network(end):
    """The model of an end, with its logits, where they are known, or its output again as a second output."""
    given, x = image()
    output, logits = end(x)
    return keras.Model(given, [output, layers.Identity()(output) if logits is None else logits])


def opened(model, output="auto"):
    own = keras.Model(model.inputs, model.outputs[0])
    return Model(Loaded("end.keras", own, lambda x: x), ModelSpec(path="end.keras", output=output))


@pytest.fixture(scope="module")
def pixels():
    """Noise, a faint one, black and white: scores from -15 to 15."""
    noise = np.random.default_rng(3).integers(0, 256, (4, 6, 6, 3)).astype("float32")
    return np.concatenate([noise, 100 + noise / 10, noise[:1] * 0, noise[:1] * 0 + 255])


def values(tensor):
    found = tf.cast(tensor, "float32").numpy()
    return found.reshape(len(found), -1)


@pytest.mark.parametrize(("kind", "name"), CASES, ids=lambda x: x)
def test_logits_give_the_models_own_probabilities_back(kind, name, pixels):
    zoo = {"softmax": SOFTMAXES, "sigmoid": SIGMOIDS, "one": ONE}[kind]
    own = network(zoo[name])
    model = opened(own)
    found = own(pixels)
    logits = model.forward()(model.to_input(pixels))[1]
    probabilities = values(found[0])
    probabilities = np.exp(probabilities) if name.startswith(("log", "less")) else probabilities
    rebuilt = model.probabilities(logits).numpy()
    near = 1e-3 if name == "half precision" else 1e-5
    np.testing.assert_allclose(rebuilt[:, 1:] if kind == "one" else rebuilt, probabilities, atol=near, rtol=0)
    assert model.kind == ("sigmoid" if kind == "sigmoid" else "softmax")
    assert (model.ending.remark is not None) == (name in SAID[kind]), model.ending.remark
    if name not in UNKNOWN[kind]:  # those of the network, of a softmax but for a constant for each image
        gap = values(logits)[:, 1:] - values(found[1]) if kind == "one" else values(logits) - values(found[1])
        gap = gap - gap.mean(1, keepdims=True) if kind == "softmax" else gap
        np.testing.assert_allclose(gap, 0, atol=1e-4)


REFUSED = {
    "one class": (lambda x: dense(units=1, activation="softmax")(pooled(x)), "a softmax over one class is always 1"),
    "a quantity": (lambda x: scores(x, units=1), r"one number without a sigmoid; .* model.output: logits \(or prob"),
    "per cent": (
        lambda x: 100 * ops.softmax(scores(x)),
        r"ends in multiply\S* \(Multiply\) of 1 softmax, and returns values from \S+ to 1\S+: neither logits nor",
    ),
    "from -1 to 1": (lambda x: 2 * ops.sigmoid(scores(x)) - 1, r"\(Subtract\) of 1 sigmoid, and returns values from -"),
    "within [0, 1] by chance": (
        lambda x: layers.Dense(3, use_bias=False, kernel_initializer=keras.initializers.Constant(0.2))(
            ops.sigmoid(scores(x))
        ),
        r"within \[0, 1\] and do not sum to 1, but ends in dense\S* \(Dense\).*model.output \(--output\): logits or pr",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_neither_logits_nor_probabilities_is_refused_in_one_line(case):
    end, words = REFUSED[case]
    with pytest.raises(UserError, match=f"model end.keras: .*{words}") as raised:
        opened(network(lambda x: (end(x), None)))
    assert "\n" not in str(raised.value)


def test_the_users_word_is_held_against_the_numbers(pixels):
    average = network(SIGMOIDS["average"])
    stated = opened(average, "probabilities")
    np.testing.assert_allclose(stated.probabilities(stated.forward()(pixels)[1]), average(pixels)[0], atol=1e-5)
    assert stated.kind == "sigmoid" and stated.ending.remark is None
    raw = opened(average, "logits")
    np.testing.assert_allclose(raw.forward()(pixels)[1], average(pixels)[0], rtol=1e-6)
    assert raw.ending.remark.endswith("taken for logits, as model.output says, though it lies within [0, 1]")
    assert opened(network(over(lambda z: z)), "logits").ending.remark is None
    with pytest.raises(UserError, match=r"model.output: probabilities, but model end.keras returns values from -"):
        opened(network(over(lambda z: z)), "probabilities")
    with pytest.raises(UserError, match=r"which are logarithms of them; leave model.output \(--output\) out"):
        opened(network(over(ops.log_softmax)), "probabilities")


def test_scores_are_logits_and_those_that_know_a_bound_are_said_to():
    assert opened(network(over(lambda z: z))).ending.remark is None
    assert opened(network(several(layers.Average(), lambda z: z))).ending.remark is None
    assert opened(network(lambda x: (scores(x) * ops.sigmoid(scores(x, 1)), None))).ending.remark is None
    bounded = opened(network(as_activation("tanh"))).ending.remark
    assert "(tanh), whose values are between -1 and 1: they are taken for logits" in bounded
    assert "(relu), whose values are never below 0" in opened(network(as_activation("relu"))).ending.remark
    sides = opened(network(SIGMOIDS["softmaxes side by side"])).ending.remark
    assert (
        "of 2 softmaxes, whose values sum to 2, and has no logits behind it: those explained are the log-odds" in sides
    )


@pytest.mark.parametrize("zoo", [SOFTMAXES, SIGMOIDS], ids=["softmax", "sigmoid"])
@pytest.mark.parametrize("name", ["one network twice", "clipped"])
def test_no_gradient_is_lost_where_probabilities_are_0_or_1(zoo, name, pixels):
    """Of a probability that is 1 in single precision no logarithm has a gradient; the logits of the network have."""
    own = network(zoo[name])
    for variable in own.trainable_variables[2:]:
        variable.assign(variable * 100)
    model = opened(own)
    assert np.isin(values(own(pixels)[0]).round(6), (0, 1)).mean() > 0.5

    def gradient(logits):
        with tf.GradientTape() as tape:
            x = tf.constant(pixels)
            tape.watch(x)
            found = logits(x)
            score = found[:, 1] - found[:, 0] if model.kind == "softmax" else found[:, 1]
        return tape.gradient(score, x).numpy()

    expected = gradient(lambda x: own(x)[1])
    assert np.abs(expected).max() > 1
    found = gradient(lambda x: model.forward()(x)[1])
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())


def test_a_model_shuffled_is_read_as_it_was():
    own = network(SIGMOIDS["average"])
    ending = opened(own).ending
    for variable in own.trainable_variables:
        variable.assign(variable * 0)
    spec = ModelSpec(path="end.keras")
    again = Model(Loaded("end.keras", keras.Model(own.inputs, own.outputs[0]), lambda x: x), spec, ending)
    assert again.kind == "sigmoid" and again.ending == ending


MEANINGS = {
    "softmax over all": (lambda x: tf.nn.softmax(x, 1), (2, 5, 1), Meaning("softmax", (1, 2))),
    "softmax over one of two axes": (lambda x: tf.nn.softmax(x, 1), (2, 5, 3), Meaning("softmax", (1,))),
    "log_softmax": (tf.nn.log_softmax, (2, 5), Meaning("log_softmax", (1,))),
    "sigmoid": (tf.sigmoid, (2, 1), Meaning("sigmoid")),
    "transpose": (lambda x: tf.transpose(x, (0, 2, 1)), (2, 3, 4), Meaning("move")),
    "gather": (lambda x: tf.gather(x, [2, 0], axis=1), (2, 3), Meaning("move")),
    "relu of 1": (lambda x: tf.clip_by_value(x, 0, 1), (2, 3), Meaning("clip", low=0.0, high=1.0)),
    "relu": (tf.nn.relu, (2, 3), Meaning("clip", low=0.0)),
    "exp": (tf.exp, (2, 3), Meaning("exp")),
    "log": (tf.math.log, (2, 3), Meaning("log")),
    "mean": (lambda x: tf.reduce_mean(x, (1, 2)), (2, 3, 4, 5), Meaning("mean", (1, 2))),
    "sum": (lambda x: tf.reduce_sum(x, 1, keepdims=True), (2, 3), Meaning("sum", (1,))),
    "affine": (lambda x: 1 - 2 * x, (2, 3), Meaning("affine", scale=-2.0, offset=1.0)),
    "hard_sigmoid": (keras.activations.hard_sigmoid, (2, 3), None),
    "maximum": (lambda x: tf.reduce_max(x, 1), (2, 3, 4), None),
    "swish": (tf.nn.silu, (2, 3), None),
    "what does not take it": (lambda x: tf.matmul(x, x), (2, 3), None),
}


@pytest.mark.parametrize("case", MEANINGS)
def test_a_function_is_known_by_its_numbers(case):
    function, shape, expected = MEANINGS[case]
    assert tell(function, shape, "float32") == expected


def test_logarithms_beside_the_slow_way_in_double_precision():
    z = np.array([[0.0, 1, -2, 3], [40, 0, 0, 1], [500, -500, 0, 20], [5, 5, -5, -5]])
    p = np.exp(z - z.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    others = np.log([[p[i, np.arange(4) != k].sum() for k in range(4)] for i in (0, 1, 3)])
    found = functions.log_of_others(tf.constant(z, "float32"), axes=(1,)).numpy()
    np.testing.assert_allclose(found[[0, 1, 3]], others, rtol=1e-5, atol=1e-12)
    np.testing.assert_allclose(found[2, 0], 20 - 500, rtol=1e-6)  # exp(20) beside exp(500), where 1 - p is 0
    assert np.isfinite(functions.log(tf.constant([0.0, 1.0]))).all()
    assert np.isfinite(functions.log_rest(tf.constant([0.0, 1.0]))).all()
    assert functions.log_rest(tf.constant([1e-12])).numpy() == np.float32(-1e-12)
    clipped = functions.clipped_odds(tf.constant([-9.0, 0.5, 9.0]), 0.0, 0.95).numpy()
    np.testing.assert_allclose(clipped, [-9, 0.5, np.log(19)], rtol=1e-6)
