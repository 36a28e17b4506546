"""Any classifier as a line of steps: the same output, cut anywhere; and one clear line where that is impossible."""

from __future__ import annotations

import gc
import weakref
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from activation_atlas.stages.specs import ModelSpec
from activation_atlas.stages.stage import UserError
from activation_atlas.stages.vision.attribution.deletion import pixel_curves
from activation_atlas.stages.vision.attribution.methods import METHODS, explainer
from activation_atlas.stages.vision.attribution.sampler import open_sampler
from activation_atlas.stages.vision.model import freeze, freezing, open_model
from tests import quick
from tests.stages.vision import small_models as small

CASES = [(name, layer) for name, (_, layers_) in small.BUILDERS.items() for layer in layers_]


@pytest.mark.parametrize("name", quick.first(small.BUILDERS, "linear", "nested", "residual"))
def test_probabilities_are_those_of_keras(name, tmp_path):
    model = small.opened(name, tmp_path)
    x = small.pixels(model.channels)
    logits = model.forward()(model.to_input(x))[1]
    expected = small.build(small.BUILDERS[name][0]).predict(x, verbose=0)
    found = logits if name in ("shared", "grey") else model.probabilities(logits)
    found = found[:, 1:] if name == "sigmoid" else found
    np.testing.assert_allclose(found, expected, rtol=2e-5, atol=1e-6)
    assert logits.shape == (3, len(model.classes))
    assert not np.allclose(np.sum(logits, 1), 1), "these would be probabilities"


@pytest.mark.parametrize(("name", "layer"), CASES)
def test_head_finishes_what_trunk_began(name, layer, tmp_path):
    model = small.opened(name, tmp_path)
    x = model.to_input(small.pixels(model.channels))
    maps, logits = model.forward([layer])(x)
    tensors = model.trunk(layer)(x)
    np.testing.assert_array_equal(tensors[0], maps[layer])
    np.testing.assert_array_equal(model.tap(layer)(x), maps[layer])
    np.testing.assert_allclose(model.head(layer)(tensors), logits, rtol=1e-6)
    info = model.layer(layer)
    assert tensors[0].shape[1:] == (info.height, info.width, info.channels)
    changed = model.head(layer)([tensors[0] + 1, *tensors[1:]])
    assert not np.allclose(changed, logits)


def test_each_call_of_a_layer_has_its_own_output(tmp_path):
    model = small.opened("shared", tmp_path)
    maps, _ = model.forward(["conv#0", "conv#1"])(model.to_input(small.pixels()))
    assert not np.allclose(maps["conv#0"], maps["conv#1"])
    with pytest.raises(UserError, match="is called 2 times; choose one call: conv#0, conv#1"):
        model.layer("conv")


def test_the_trunk_runs_at_other_sizes_where_the_graph_allows_it(tmp_path):
    model = small.opened("flat", tmp_path)
    x = model.from_unit(tf.random.uniform((2, 40, 24, 3)))
    assert model.tap("conv")(x).shape == (2, 10, 6, 4)
    assert model.accepts("conv", 40, 24)
    deep = small.opened("deep", tmp_path)
    assert deep.accepts("pool", 40, 40) and not deep.accepts("mid", 0, 40)


@pytest.mark.parametrize("name", ["linear", "deep", "residual", "nested", "sequential"])
def test_receptive_field_is_where_the_gradient_is(name, tmp_path):
    """The window computed from the graph holds all input pixels that a middle position depends on, and touches them."""
    model = small.opened(name, tmp_path)
    for info in model.layers():
        if info.kind == "Multiply":  # its gate looks at the whole image, and is left out of the window
            continue
        row, col = info.height // 2, info.width // 2
        seen = np.zeros((small.SIZE, small.SIZE))
        gradient = _gradient(model, info.name, row, col)
        for seed in range(4):
            seen += np.abs(gradient(tf.constant(small.pixels(seed=seed, count=1)))).max((0, 3))
        for axis, place in ((0, row), (1, col)):
            touched = np.flatnonzero(seen.max(1 - axis))
            if touched.size == 0:
                continue
            centre, size = info.offset[axis] + info.stride[axis] * place, info.receptive_field[axis]
            first, last = centre - (size - 1) / 2, centre + (size - 1) / 2
            assert first <= touched[0] and touched[-1] <= last, info
            if "pool" not in info.name:
                assert (touched[0], touched[-1]) == (max(0, first), min(small.SIZE - 1, last)), info


def _gradient(model, layer, row, col):
    tap = model.tap(layer)

    # In a graph: in eager mode the (unused) filter gradient of a dilated convolution crashes TensorFlow 2.21.
    @tf.function(autograph=False)
    def gradient(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            value = tf.reduce_sum(tap(model.to_input(x))[0, row, col] ** 2)
        return tape.gradient(value, x)

    return gradient


def test_share_of_compute_rises_to_one(tmp_path):
    found = [info.compute for info in small.opened("nested", tmp_path).layers()]
    assert found == sorted(found) and 0 < found[0] and 0.9 < found[-1] < 1


@pytest.mark.parametrize("dtype", ["mixed_bfloat16", "mixed_float16", "float64"])
def test_precision_of_what_comes_out(dtype, tmp_path):
    model = small.opened("nested", tmp_path, dtype)
    plain = small.opened("nested", tmp_path / "..")
    wanted = "float64" if dtype == "float64" else "float32"
    x = model.to_input(small.pixels())
    tensors = model.trunk("backbone/conv_a")(x)
    logits = model.head("backbone/conv_a")(tensors)
    assert {t.dtype.name for t in tensors} == {wanted} == {logits.dtype.name}
    np.testing.assert_allclose(logits, plain.forward()(plain.to_input(small.pixels()))[1], atol=0.05)


def test_input_range_and_grey(tmp_path):
    path = small.save(small.build(small.linear), tmp_path)
    model = open_model(ModelSpec(path=path, range=(-1, 1)))
    x = np.array([0, 127.5, 255], "float32").reshape(1, 1, 1, 3).repeat(16, 1).repeat(16, 2)
    np.testing.assert_allclose(model.to_input(x)[0, 0, 0], [-1, 0, 1], atol=1e-6)
    np.testing.assert_allclose(model.from_unit(x / 255)[0, 0, 0], [-1, 0, 1], atol=1e-6)
    grey = small.opened("grey", tmp_path)
    white = np.full((1, 16, 16, 3), 255, np.uint8)
    assert grey.to_input(white).shape == (1, 16, 16, 1)
    np.testing.assert_allclose(grey.to_input(white), 255, rtol=1e-6)


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_files_of_both_formats(suffix, tmp_path):
    path = small.save(small.build(small.nested), tmp_path, suffix)
    model = open_model(ModelSpec(path=path, classes=["a", "b", "c"]))
    assert model.classes == ["a", "b", "c"] and model.input_size == (16, 16)
    assert model is open_model(ModelSpec(path=path, classes=["a", "b", "c"]))


def test_an_application_brings_its_preprocessing():
    model = open_model(ModelSpec(application="MobileNetV2", weights=None, input_size=96))
    x = model.to_input(np.full((1, 96, 96, 3), 255, np.uint8))
    np.testing.assert_allclose(x, 1)
    assert len(model.classes) == 1000 and model.layer("out_relu").height == 3


def test_a_frozen_graph_gives_the_same(tmp_path):
    model = small.opened("deep", tmp_path)
    forward = model.forward(["mid"])
    frozen = freeze(lambda x: forward(model.to_input(x)), tf.TensorSpec((3, 16, 16, 3), "uint8"))
    x = small.pixels().astype("uint8")
    maps, logits = frozen(tf.constant(x))
    plain_maps, plain_logits = forward(model.to_input(x))
    np.testing.assert_allclose(logits, plain_logits, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(maps["mid"], plain_maps["mid"], rtol=1e-4, atol=1e-5)


def test_a_graph_that_cannot_be_frozen_runs_as_it_is(monkeypatch, caplog):
    def refuse(*args):
        raise ValueError("no such luck")

    monkeypatch.setattr("activation_atlas.stages.vision.model.freezing.with_constants", refuse)
    double = freeze(lambda x: {"y": 2 * x}, tf.TensorSpec((1,), "float32"))
    assert double(tf.constant([2.0]))["y"].numpy() == 4
    assert "no such luck" in caplog.text


def test_calls_at_once_each_have_their_own_copy_of_the_graph(monkeypatch):
    """A kernel of oneDNN keeps tensors between its steps: two calls in one graph have crashed the process."""
    made, convert, both = [], freezing.with_constants, Barrier(2, timeout=60)

    def counted(*args):
        made.append(convert(*args))
        return made[-1]

    def meet(x):
        both.wait()
        return x

    monkeypatch.setattr(freezing, "with_constants", counted)
    double = freeze(lambda x: 2 * tf.ensure_shape(tf.numpy_function(meet, [x], x.dtype), x.shape), tf.TensorSpec((1,)))
    with ThreadPoolExecutor(2) as pool:
        for _ in range(2):
            found = pool.map(lambda value: double(tf.constant([value])).numpy().item(), (1.0, 3.0))
            assert list(found) == [2.0, 6.0]
    assert len(made) == 2, "one for each call under way, none for those that come later"


# -- logits ----------------------------------------------------------------------


def _one_output(activation):
    image = keras.Input((16, 16, 3))
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(2, 3, name="conv")(image))
    return small.build(lambda: keras.Model(image, layers.Dense(1, activation=activation)(x)))


def test_one_output_needs_a_sigmoid_or_a_word(tmp_path):
    path = small.save(_one_output(None), tmp_path)
    with pytest.raises(UserError, match="one number without a sigmoid; .* say what it is with model.output: logits"):
        open_model(ModelSpec(path=path))
    model = open_model(ModelSpec(path=path, output="logits"))
    logits = model.forward()(model.to_input(small.pixels()))[1].numpy()
    assert logits.shape == (3, 2) and not logits[:, 0].any() and model.classes == ["class 0", "class 1"]


def test_the_users_word_on_the_output_is_taken(tmp_path):
    path = small.save(small.build(small.linear), tmp_path)
    x = small.pixels()
    auto = open_model(ModelSpec(path=path))
    logits = auto.forward()(auto.to_input(x))[1]
    raw = open_model(ModelSpec(path=path, output="logits"))
    np.testing.assert_allclose(raw.forward()(raw.to_input(x))[1], auto.probabilities(logits), rtol=1e-5)
    stated = open_model(ModelSpec(path=path, output="probabilities"))
    np.testing.assert_allclose(stated.forward()(stated.to_input(x))[1], logits, rtol=1e-5)


@pytest.mark.parametrize("output", ["auto", "probabilities"])
def test_probabilities_without_a_visible_softmax(output, tmp_path):
    def builder():
        image = keras.Input((16, 16, 3))
        maps = layers.Softmax()(layers.Conv2D(3, 3, name="conv")(image))
        return keras.Model(image, layers.GlobalAveragePooling2D()(maps))

    keras_model = small.build(builder)
    model = open_model(ModelSpec(path=small.save(keras_model, tmp_path), output=output))
    x = small.pixels()
    logits = model.forward()(model.to_input(x))[1]
    expected = keras_model.predict(x, verbose=0)
    np.testing.assert_allclose(model.probabilities(logits), expected, rtol=1e-4, atol=1e-6)
    said = "(GlobalAveragePooling2D) of 1 softmax, and has no logits behind it"
    assert (said in (model.ending.remark or "")) == (output == "auto")


def test_several_labels_at_once_keep_their_own_sigmoids(tmp_path):
    def builder():
        image = keras.Input((16, 16, 3))
        x = layers.GlobalAveragePooling2D()(layers.Conv2D(2, 3, name="conv")(image))
        return keras.Model(image, layers.Activation("sigmoid")(layers.Dense(3)(x)))

    keras_model = small.build(builder)
    model = open_model(ModelSpec(path=small.save(keras_model, tmp_path)))
    found = model.probabilities(model.forward()(model.to_input(small.pixels()))[1])
    np.testing.assert_allclose(found, keras_model.predict(small.pixels(), verbose=0), rtol=1e-5)
    assert model.kind == "sigmoid"


# -- what cannot be used ---------------------------------------------------------


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = layers.Dense(3)

    def call(self, x):
        return self.dense(layers.Flatten()(x))


def _refused(model, tmp_path, match, **options):
    path = small.save(model, tmp_path)
    with pytest.raises(UserError, match=match) as raised:
        open_model(ModelSpec(path=path, **options))
    assert "\n" not in str(raised.value)


def _with_input(shape, **kwargs):
    image = keras.Input(shape)
    x = layers.GlobalAveragePooling2D(**kwargs)(image)
    return keras.Model(image, layers.Dense(3)(x))


def test_models_that_cannot_carry_an_atlas(tmp_path):
    _refused(_with_input((3, 16, 16), data_format="channels_first"), tmp_path, "channels first")
    _refused(_with_input((16, 16, 5)), tmp_path, "1 or 3 channels")
    _refused(_with_input((None, None, 3)), tmp_path, "give model.input_size")
    _refused(_with_input((16, 16, 3)), tmp_path, "leave it out", input_size=32)
    _refused(_with_input((16, 16, 3)), tmp_path, "2 names for model .* which returns 3 classes", classes=["a", "b"])
    a, b = keras.Input((8, 8, 3)), keras.Input((8, 8, 3))
    _refused(
        keras.Model([a, b], layers.Flatten()(a + b)),
        tmp_path,
        r"has 2 inputs \(.* \[8, 8, 3\], .*\); an atlas needs one image in",
    )
    _refused(keras.Model(a, layers.Conv2D(2, 3)(a)), tmp_path, "returns 6 x 6 x 2 for an image")
    flat = keras.Input((8,))
    _refused(keras.Model(flat, layers.Dense(2)(flat)), tmp_path, "must take images")
    _refused(keras.Sequential([layers.Dense(2)]), tmp_path, "no input shape yet")


@pytest.mark.parametrize("name", quick.first(["größe (1)", "_conv", "my conv", "-"]))
def test_a_layer_may_have_any_name(name, tmp_path):
    """Also one that TensorFlow takes for no scope of a graph; shared, nested, and inside a layer of others too."""
    image, inner = keras.Input((8, 8, 3)), keras.Input((8, 8, 3))
    conv = layers.Conv2D(3, 3, padding="same", name=name)
    nested = keras.Model(inner, layers.Conv2D(3, 3, padding="same", name=name)(inner), name="nested")
    x = nested(conv(conv(image)))
    x = layers.TimeDistributed(layers.Dense(2, name=name), name="rows")(layers.Reshape((8, 24))(x))
    keras_model = keras.Model(image, layers.Dense(3)(layers.Flatten()(x)))
    opened = open_model(ModelSpec(path=small.save(keras_model, tmp_path)))
    assert [info.name for info in opened.layers()] == [f"{name}#0", f"{name}#1", f"nested/{name}", "nested"]
    pixels = small.pixels(size=8)
    found = opened.forward([f"nested/{name}"])(opened.to_input(pixels))[1]
    np.testing.assert_allclose(found, keras_model(pixels), rtol=1e-4, atol=1e-3)


def test_one_of_several_outputs_is_chosen_by_its_name(tmp_path):
    image = keras.Input((8, 8, 3))
    x = layers.Flatten()(layers.Conv2D(2, 3, name="conv")(image))
    heads = {"b": layers.Dense(3, "softmax", name="three")(x), "a": layers.Dense(2, name="two")(x)}
    pixels = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3)).astype("float32")
    for outputs in (heads, list(heads.values())):
        model = keras.Model(image, outputs)
        _refused(model, tmp_path, r"has 2 outputs \(.*\); choose one with model.output, e.g. output: (two|three)$")
        _refused(model, tmp_path, "output: tow is neither auto, .* nor an output of .*; its outputs are", output="tow")
        path = small.save(model, tmp_path)
        for output in ("two", {"name": "two", "returns": "logits"}):
            opened = open_model(ModelSpec(path=path, output=output))
            (found,) = opened.values(opened.to_input(pixels), [opened.program.output])
            np.testing.assert_allclose(found, keras.Model(image, heads["a"])(pixels), rtol=1e-4, atol=1e-4)
            assert [info.name for info in opened.layers()] == ["conv"] and len(opened.classes) == 2
        assert len(open_model(ModelSpec(path=path, output="three")).classes) == 3
    single = keras.Model(image, heads["b"])
    assert open_model(ModelSpec(path=small.save(single, tmp_path), output="three")).kind == "softmax"


def test_mean_deviation_and_order_of_colours(tmp_path):
    image = keras.Input((8, 8, 3))
    path = small.save(keras.Model(image, layers.Dense(2)(layers.Flatten()(image))), tmp_path)
    pixel = np.array([255.0, 51.0, 0.0], np.float32).reshape(1, 1, 1, 3)
    mean, std = [0.5, 0.25, 0.125], [0.5, 0.25, 0.125]
    for given, expected in (
        ({"mean": mean, "std": std}, [1, -0.2, -1]),
        ({"mean": mean, "std": std, "channels": "bgr"}, [-1, -0.2, 7]),
        ({"mean": [100, 50, 0]}, [155, 1, 0]),
        ({"range": (-1, 1), "mean": 0.5}, [0.5, -1.1, -1.5]),
        ({"channels": "bgr"}, [0, 51, 255]),
    ):
        opened = open_model(ModelSpec(path=path, **given))
        np.testing.assert_allclose(opened.to_input(pixel)[0, 0, 0], expected, atol=1e-6, err_msg=str(given))
    grey = keras.Input((8, 8, 1))
    grey = keras.Model(grey, layers.Dense(2)(layers.Flatten()(grey)))
    _refused(grey, tmp_path, "model.mean: three numbers, but .* takes greys; give one", mean=mean)
    _refused(grey, tmp_path, "model.channels: bgr, but .* takes greys", channels="bgr")


def test_subclassed_and_unsafe_files_and_no_file(tmp_path):
    from activation_atlas.stages.vision.model.program import flatten

    with pytest.raises(UserError, match="model x: Subclassed is a subclassed model"):
        flatten(Subclassed(), "model x")
    whole = Subclassed()
    whole(np.zeros((1, 8, 8, 3)))
    _refused(whole, tmp_path, "is Subclassed, a subclassed model, .* rebuild it as a functional or Sequential model")
    image = keras.Input((8, 8, 3))
    unsafe = keras.Model(image, layers.Lambda(lambda x: x[:, 0, 0])(image))
    _refused(unsafe, tmp_path, "holds the Lambda layer lambda.*, which is Python code")
    small.save(small.build(small.linear), tmp_path)
    stored = next(p.name for p in tmp_path.glob("*.keras"))
    with pytest.raises(UserError, match="does not exist; did you mean"):
        open_model(ModelSpec(path=str(tmp_path / stored.replace(".keras", "x.keras"))))
    (tmp_path / "broken.keras").write_bytes(b"no zip")
    with pytest.raises(UserError, match="cannot be loaded"):
        open_model(ModelSpec(path=str(tmp_path / "broken.keras")))
    (tmp_path / "m.txt").write_text("")
    with pytest.raises(UserError, match="saved as .keras or .h5"):
        open_model(ModelSpec(path=str(tmp_path / "m.txt")))
    with pytest.raises(UserError, match="did you mean MobileNetV2"):
        open_model(ModelSpec(application="MobilNetV2"))
    with pytest.raises(UserError, match="needs KerasHub|has no image classifier no_such_preset; there are"):
        open_model(ModelSpec(preset="no_such_preset"))


def test_layers_that_cannot_carry_an_atlas(tmp_path):
    model = small.opened("nested", tmp_path)
    with pytest.raises(UserError, match="there is none; did you mean backbone/conv_a?"):
        model.layer("conv_a")
    with pytest.raises(UserError, match="there is none; did you mean backbone/conv_b?"):
        model.layer("backbone/conv_bb")
    with pytest.raises(UserError, match=r"its output \(8\) has no positions; the last layer that has is backbone"):
        model.layer("pool")


def test_a_layer_beside_the_way_to_the_logits(tmp_path):
    def builder():
        image = keras.Input((16, 16, 3))
        inner_image = keras.Input((16, 16, 3))
        used, unused = layers.Conv2D(2, 3, name="used")(inner_image), layers.Conv2D(2, 3, name="unused")(inner_image)
        inner = keras.Model(inner_image, [used, unused], name="inner")
        return keras.Model(image, layers.Dense(3)(layers.Flatten()(inner(image)[0])))

    model = open_model(ModelSpec(path=small.save(small.build(builder), tmp_path)))
    assert model.layer("inner/used")
    with pytest.raises(UserError, match="the logits do not depend on it"):
        model.layer("inner/unused")


def test_a_model_that_makes_room_for_another_is_let_go_with_what_was_compiled_of_it(tmp_path):
    path = small.save(small.build(small.BUILDERS["linear"][0]), tmp_path)
    first, second, third = (ModelSpec(path=path, range=(0, white)) for white in (1, 2, 255))
    method = METHODS["saliency"]
    open_sampler(first, {}, [], 2, 1, None, "float32")
    pixel_curves(first, 2, 2, True, False)
    explainer(first, method.options(), method.configure(open_model(first), method.options(), lambda count: None), 2, 1)
    held = weakref.ref(open_model(first))
    assert open_model(second) is open_model(second) and held() is open_model(first)
    open_model(second), open_model(third)
    gc.collect()
    assert held() is None
