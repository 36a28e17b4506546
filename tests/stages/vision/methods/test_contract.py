"""What every attribution method must hold, over the whole registry and models of every shape.

A method that is added is found here; CASES below say what each model adds, REFUSED which pairs cannot be and why.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import keras
import numpy as np
import pytest
from keras import layers

from activation_atlas.stages.specs import ModelSpec
from activation_atlas.stages.stage import UserError
from activation_atlas.stages.vision.attribution.methods import METHODS, Explain, Maps, Setting
from activation_atlas.stages.vision.model import Model, open_model
from tests.quick import first
from tests.stages.vision import small_models as small
from tests.stages.vision import small_transformers as transformers

COUNT, CLASSES = 5, small.CLASSES

PLACED = {("integrated_gradients", "deep")}
"""(method, model) whose passes put an image's points elsewhere in the batch for other companions, where TensorFlow's
vectorised functions (the gelu of a Dense of 7) round the last few of a batch otherwise: equal to 1e-6 too."""

TOKENS = ("class_token", "keras_hub_vit", "keras_hub_dinov2")
"""Transformers that every method is tried on."""

UNSIGNED_GRADIENT = {"saliency", "smooth_grad", "full_grad"}
"""Methods of |g|: of a single sigmoid, whose two scores are z and -z, both classes have one map."""

SILENT = {
    *(("guided_backprop", "convolutional"), ("guided_grad_cam", "convolutional")),
    *(("ablation_cam", model) for model in ("nested", "sequential", "grey", "mixed_float16", "mixed_bfloat16")),
    *((cam, model) for cam in ("grad_cam", "score_cam", "ablation_cam") for model in TOKENS),
}
"""(method, model) whose map is zero for some image: no gradient that is positive at every ReLU gets there; what is left
of the channels that raise the logit is nowhere more than what lowers it (normalised channels have both signs)."""

KIN = {"occlusion_segments", "lime"}
"""Methods that score the same hidden segments as `kernel_shap`, which the fast tests run for them."""


def wide() -> keras.Model:
    """Neither its images nor its maps are square."""
    image = keras.Input((12, 20, 3))
    x = layers.Conv2D(6, 3, strides=2, padding="same", activation="relu", name="conv")(image)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, layers.Dense(CLASSES, activation="softmax")(x))


def sigmoids() -> keras.Model:
    """Every class for itself."""
    image = keras.Input((16, 16, 3))
    x = layers.Conv2D(6, 3, strides=2, activation="relu", name="conv")(image)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, layers.Dense(CLASSES, activation="sigmoid")(x))


def quantities() -> keras.Model:
    """Two numbers and no classes (regression)."""
    image = keras.Input((16, 16, 3))
    x = layers.Conv2D(6, 3, strides=2, activation="relu", name="conv")(layers.Rescaling(1 / 255)(image))
    return keras.Model(image, layers.Dense(2)(layers.GlobalAveragePooling2D()(x)))


def plain() -> keras.Model:
    """Not a ReLU anywhere."""
    image = keras.Input((16, 16, 3))
    x = layers.Conv2D(6, 3, strides=2, activation="tanh", name="conv")(layers.Rescaling(1 / 255)(image))
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, layers.Dense(CLASSES, activation="softmax")(x))


def stepped() -> keras.Model:
    """No gradient passes the rounding behind all layers that have positions."""
    image = keras.Input((16, 16, 3))
    x = layers.Conv2D(6, 3, strides=2, activation="relu", name="conv")(layers.Rescaling(1 / 255)(image))
    x = keras.ops.round(64 * layers.GlobalAveragePooling2D()(x)) / 64
    return keras.Model(image, layers.Dense(CLASSES, activation="softmax")(x))


def deaf() -> keras.Model:
    """Says the same of any image."""
    image = keras.Input((16, 16, 3))
    x = layers.Conv2D(6, 3, strides=2, activation="relu", name="conv")(image)
    x = layers.Dense(CLASSES, kernel_initializer="zeros", name="dense")(layers.GlobalAveragePooling2D()(x))
    model = keras.Model(image, layers.Softmax()(x))
    model.get_layer("dense").bias.assign([1.0, -2.0, 3.0])
    return model


OWN: dict[str, tuple[Callable[[], keras.Model], str]] = {
    "wide": (wide, "float32"),
    "sigmoids": (sigmoids, "float32"),
    "quantities": (quantities, "float32"),
    "plain": (plain, "float32"),
    "stepped": (stepped, "float32"),
    "mixed_float16": (small.nested, "mixed_float16"),
    "mixed_bfloat16": (small.nested, "mixed_bfloat16"),
    "class_token": (transformers.class_token, "float32"),
    "patches": (transformers.pooled, "float32"),
    "class_token_float16": (transformers.class_token, "mixed_float16"),
    "keras_hub_vit": (transformers.keras_hub_vit, "float32"),
    "keras_hub_dinov2": (transformers.keras_hub_dinov2, "float32"),
}
SAID = {"convolutional": {"input_size": small.SIZE}, "quantities": {"task": "quantities"}}
"""What the section `model` says of a model, besides its file."""
TRANSFORMERS = {"class_token": 1e-6, "keras_hub_vit": 1e-6, "keras_hub_dinov2": 1e-6}
TRANSFORMERS |= {"patches": 1e-6, "class_token_float16": 2e-3}
"""Their maps and scores are equal up to this share of the largest, whatever their companions: 17 tokens fill no vector,
and TensorFlow's vectorised functions round the last few numbers of a batch otherwise."""
FOR_ATTENTION = ("patches", "class_token_float16")
"""Transformers that only the methods of attention are tried on: the first three stand for them."""
FAST = "nested"
"""The form of transfer learning, which every method but those of attention can explain."""
MODELS = sorted([*small.BUILDERS, *OWN], key=lambda name: name in TRANSFORMERS)
LACKING = {
    "gradient": ("no gradient of the logits", "stepped"),
    "linear head": ("not linear", "deep", "residual", "class_token", "class_token_float16", "keras_hub_vit"),
    "ReLU": ("has none", "plain", *TRANSFORMERS),
    "attention": ("has no attention", *(name for name in MODELS if name not in TRANSFORMERS)),
}
"""What a method may need -> words of the line that refuses a model without it, and such models."""
REFUSED = {
    (name, model): words
    for name, method in METHODS.items()
    for need, (words, *models) in LACKING.items()
    for model in models
    if need in method.needs
}
"""(method, model) that cannot be explained -> words of the line that says so."""
OF_TOKENS = [name for name, method in METHODS.items() if "attention" in method.needs]


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> Callable[[str], Model]:
    @cache
    def opened(name: str) -> Model:
        builder, dtype = OWN.get(name) or (small.BUILDERS[name][0], "float32")
        path = small.save(small.build(builder, dtype), tmp_path_factory.mktemp(name))
        return open_model(ModelSpec(path=path, **SAID.get(name, {})))

    return opened


class Case:
    """One method on one model; its explainers are built when asked for."""

    def __init__(self, method: str, model: Model, called: str = "") -> None:
        self.name, self.model, self.method, self.called = method, model, METHODS[method], called
        self.options = METHODS[method].options(**METHODS[method].quick)
        rng = np.random.default_rng(1)
        shape = (COUNT, *model.input_size, model.channels)
        self.pixels = rng.integers(0, 256, shape, np.uint8)
        self.ids = [f"{number:016x}" for number in rng.integers(0, 2**62, COUNT)]
        classes = len(model.classes)
        self.targets = np.stack([np.arange(COUNT) % classes, (np.arange(COUNT) + 1) % classes], 1).astype(np.int32)
        self.configured = self.method.configure(model, self.options, lambda count: self.pixels[:count])
        count = self.method.background(self.options)
        self.background = rng.integers(0, 256, (count, *shape[1:]), np.uint8) if count else None
        self._built: dict[tuple, Explain] = {}

    def explain(
        self, rows: list[int], batch: int = 3, columns: tuple[int, ...] = (0, 1), ids: list | None = None
    ) -> Maps:
        """Maps of these images for these of their targets, in calls of at most ``batch``."""
        key = batch, len(columns)
        if key not in self._built:
            setting = Setting(self.model, self.options, self.configured, *key, 0, self.background)
            self._built[key] = self.method.build(setting)
        found = []
        for start in range(0, len(rows), batch):
            part = rows[start : start + batch]
            names = [(ids or self.ids)[r] for r in part]
            found.append(self._built[key](self.pixels[part], self.targets[part][:, list(columns)], names))
        parts = zip(*((m.values, m.scores, m.gap, m.idle, m.fit) for m in found), strict=True)
        return Maps(*(None if part[0] is None else np.concatenate(part) for part in parts))

    def all(self) -> Maps:
        if not hasattr(self, "_all"):
            self._all = self.explain(list(range(COUNT)))
        return self._all


PAIRS = [
    (method, model)
    for model in MODELS
    for method in METHODS
    if (method, model) not in REFUSED and (model not in FOR_ATTENTION or method in OF_TOKENS)
]


def parameters(pairs: list) -> list:
    quick = [p for p in pairs if p[1] == FAST and p[0] not in KIN]
    return [pytest.param(p, id="-".join(p), marks=() if p in quick else pytest.mark.slow) for p in pairs]


several = pytest.mark.parametrize("case", parameters([p for p in PAIRS if p[1] not in TRANSFORMERS]), indirect=True)
"""Of a test that builds explainers of other batches: transformers, which take long to build, are built once."""


@pytest.fixture(scope="module", params=parameters(PAIRS))
def case(request, models) -> Case:
    method, model = request.param
    return Case(method, models(model), model)


def identical(one: Maps, other: Maps, within: float, called: str) -> None:
    """Equal to the bit, or but for ``within`` of the largest value; ``called``: the model."""
    assert (one.gap is None) == (other.gap is None)
    rounding = TRANSFORMERS.get(called, 0) * np.abs(other.scores).max()
    np.testing.assert_allclose(one.scores, other.scores, rtol=0, atol=rounding)
    most = max(within * np.abs(other.values).max(), rounding)  # values are differences of scores, or smaller
    np.testing.assert_allclose(one.values, other.values, rtol=0, atol=most)
    np.testing.assert_array_equal(one.idle, other.idle)
    if one.fit is not None:  # a share, of differences of scores
        np.testing.assert_allclose(one.fit, other.fit, rtol=0, atol=1e-4 if rounding else 0)
    if one.gap is not None:
        np.testing.assert_allclose(one.gap, other.gap, rtol=0, atol=max(within * np.abs(other.scores).max(), rounding))


def picked(maps: Maps, rows: list[int]) -> Maps:
    parts = (maps.values, maps.scores, maps.gap, maps.idle, maps.fit)
    return Maps(*(None if part is None else part[rows] for part in parts))


@pytest.mark.parametrize("method", METHODS.values(), ids=lambda method: method.name)
def test_a_record_says_all_that_is_asked_of_it(method):
    texts = (method.title, method.about, method.meaning, method.formula, method.source)
    assert all(text == text.strip() and text and text[-1] != "." for text in texts), "words for within a sentence"
    assert method.options().name == method.name
    assert (method.resolution == "layer") <= ("layer" in method.options.model_fields)
    assert (method.resolution == "windows") == (method.options().at((32, 48)).windows is not None)
    assert method.signed or method.around == "zero" and method.colours is None


def test_one_finite_map_of_the_configured_size_for_every_image_and_target(case):
    maps, configured = case.all(), case.configured
    assert maps.values.shape == (COUNT, 2, configured["height"], configured["width"])
    assert maps.values.dtype == maps.scores.dtype == np.float32
    said = maps.values.any((1, 2, 3))
    assert np.isfinite(maps.values).all() and (said.all() or (case.name, case.called) in SILENT)
    assert case.method.signed or maps.values.min() >= 0
    if maps.gap is not None:
        assert maps.gap.shape == (COUNT, 2) and maps.gap.dtype == np.float32 and np.isfinite(maps.gap).all()
    if maps.idle is not None:
        assert maps.idle.shape == (COUNT, 2) and maps.idle.dtype == bool and not maps.idle.any()
    if maps.fit is not None:
        assert maps.fit.shape == (COUNT, 2) and maps.fit.dtype == np.float32 and (maps.fit <= 1).all()


UNNEEDING = [name for name, method in METHODS.items() if not method.needs]


@pytest.mark.parametrize("name", first(UNNEEDING, *(name for name in UNNEEDING if name not in KIN)))
def test_a_map_of_scores_that_never_change_is_told(name, tmp_path):
    maps = Case(name, open_model(ModelSpec(path=small.save(deaf(), tmp_path)))).all()
    assert METHODS[name].resolution == "layer" if maps.idle is None else maps.idle.all()


def test_the_scores_are_the_targets_logits(case):
    _, logits = case.model.forward()(case.model.to_input(case.pixels))
    wanted = np.take_along_axis(case.model.scores(logits).numpy(), case.targets, 1)
    # Half precision rounds elsewhere where a graph is frozen.
    half = any(dtype in ("float16", "bfloat16") for dtype in case.model.native.values())
    np.testing.assert_allclose(case.all().scores, wanted, rtol=0, atol=(3e-2 if half else 1e-5) * np.abs(wanted).max())


def test_a_map_does_not_depend_on_its_companions_or_their_order(case):
    rows = [4, 2, 0, 3]
    within = 1e-6 if (case.name, case.called) in PLACED else 0
    identical(case.explain(rows), picked(case.all(), rows), within, case.called)
    identical(case.explain([2]), picked(case.all(), [2]), within, case.called)


@pytest.mark.slow
@pytest.mark.parametrize(
    "case", parameters([p for p in PAIRS if p[1] not in {*TRANSFORMERS, "quantities"}]), indirect=True
)
def test_a_map_does_not_depend_on_the_batch_size(case):
    # Convolutions are gone back through, whose gradient oneDNN adds up otherwise for another batch size.
    within = 1e-6 if case.method.grain == "pixels" else 0
    # Of a score less a score near it little is left but their rounding, for what is lost with one channel is little.
    within = 2e-5 if case.name == "ablation_cam" and case.called in TRANSFORMERS else within
    identical(case.explain(list(range(COUNT)), batch=4), case.all(), within, case.called)


@several
def test_targets_are_honoured(case):
    whole = case.all()
    top = np.abs(whole.values).max()
    for column in (0, 1):
        alone = case.explain(list(range(COUNT)), columns=(column,))
        np.testing.assert_allclose(alone.values[:, 0], whole.values[:, column], rtol=0, atol=1e-6 * top)
        np.testing.assert_allclose(alone.scores[:, 0], whole.scores[:, column], rtol=1e-6)
    turned = case.explain(list(range(COUNT)), columns=(1, 0))
    np.testing.assert_allclose(turned.values[:, ::-1], whole.values, rtol=0, atol=1e-6 * top)
    mirrored = case.model.ends_in_one and case.name in UNSIGNED_GRADIENT
    if not case.method.by_class or mirrored:
        np.testing.assert_allclose(whole.values[:, 0], whole.values[:, 1], rtol=0, atol=1e-6 * top)
    else:
        assert np.abs(whole.values[:, 0] - whole.values[:, 1]).max() > 1e-3 * top


def test_what_is_drawn_belongs_to_the_image(case):
    other = case.explain(list(range(COUNT)), ids=[name[::-1] for name in case.ids])
    np.testing.assert_array_equal(other.scores, case.all().scores)
    assert np.array_equal(other.values, case.all().values) == (not case.method.draws)


@pytest.mark.parametrize(
    ("method", "model"),
    first(REFUSED, *(p for p in REFUSED if p[0] not in OF_TOKENS and p[1] not in TRANSFORMERS)),
    ids=str,
)
def test_what_a_method_cannot_explain_is_refused_in_one_line(method, model, models):
    with pytest.raises(UserError, match=REFUSED[method, model]) as said:
        Case(method, models(model))
    assert "\n" not in str(said.value)
