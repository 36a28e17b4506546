"""FullGrad: the logit taken apart into what the input and each layer's bias add to it (Srinivas & Fleuret 2019)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from activation_atlas.stages.stage import UserError
from activation_atlas.stages.vision.attribution.methods.input_gradient import require_smooth
from activation_atlas.stages.vision.attribution.methods.method import (
    Configured,
    Explain,
    Maps,
    Method,
    Options,
    Sample,
    Setting,
    at_input,
)
from activation_atlas.stages.vision.batching import padded
from activation_atlas.stages.vision.lazy import tf

if TYPE_CHECKING:
    from activation_atlas.stages.vision.model import Model
    from activation_atlas.stages.vision.model.program import Environment, Step

PIECE = 8
"""Images of one pass: all that lies between the input and the logits is held, and the gradient of all of it."""
LEAST = 1e-4
"""Share of a layer's largest value below which its bias is taken for rounding."""
INCOMPLETE = {"float16": 0.05, "bfloat16": 0.2}
"""Share of the largest logit, or of what its terms come to, that may be missing; else COMPLETE."""
COMPLETE = 1e-3


class FullGrad(Options):
    name: Literal["full_grad"] = "full_grad"


def configure(model: Model, options: Any, sample: Sample) -> Configured:
    """The input's size and place.

    Raises:
        UserError: no gradient of the logits reaches the image, or what is found of the biases does not add up.
    """
    require_smooth(model)
    noise = np.random.default_rng(0).integers(0, 256, (2, *model.input_size, model.channels), np.uint8)
    targets = np.tile(np.int32([0, len(model.classes) - 1]), (2, 1))
    found = FullGradients(model, 2)(noise, targets, ["", ""])
    allowed = max((INCOMPLETE.get(dtype, COMPLETE) for dtype in model.native.values()), default=COMPLETE)
    missing = np.abs(found.gap).max() / max(np.abs(found.scores).max(), 1e-6)
    if not missing <= allowed:
        raise UserError(
            f"full_grad: the gradients of input and biases of model {model.name} do not add up to its logits (off by "
            f"{missing:.1%} of them on noise), so they cannot all be found; use integrated_gradients"
        )
    return at_input(model)


class FullGradients:
    """The method at work."""

    def __init__(self, model: Model, targets: int) -> None:
        from activation_atlas.stages.vision.model import freeze

        self.model = model
        self.steps = model.simplify(model.program.before([model.program.output]), [model.program.output])
        pixels = tf.TensorSpec((PIECE, *model.input_size, model.channels), tf.uint8)
        self.apply = freeze(self._apply, pixels, tf.TensorSpec((PIECE, targets), tf.int32))

    def _apply(self, pixels: tf.Tensor, targets: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Maps (n, k, h, w), scores (n, k) and gaps (n, k)."""
        from activation_atlas.stages.vision.model.half import widened

        model, program = self.model, self.model.program
        x = model.to_input(pixels)
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(x)
            values = {program.input: tf.cast(x, widened(model.native[program.input]))}
            for step in self.steps:
                step(values)
                tape.watch([values[slot] for slot in _floats(step.outputs, values)])
            scores = tf.cast(model.scores(tf.cast(values[program.output], model.dtype)), tf.float32)
            each = [tf.gather(scores, target, axis=1, batch_dims=1) for target in tf.unstack(targets, axis=1)]
        biases = {slot: bias for step in self.steps for slot, bias in biases_of(step, values).items()}
        told = {slot: _told(bias, values[slot]) for slot, bias in biases.items() if self._is_map(slot)}
        maps, gaps = [], []
        for score in each:
            own, *slopes = tape.gradient(score, [x, *(values[slot] for slot in biases)], unconnected_gradients="zero")
            parts = {slot: slope * biases[slot] for slot, slope in zip(biases, slopes, strict=True)}
            laid = [scaled(own * x), *(scaled(tf.cast(parts[slot], tf.float32)) * of for slot, of in told.items())]
            # In double precision: the terms are many, and large ones cancel.
            total = sum(_summed(part) for part in (own * x, *parts.values()))
            maps.append(tf.add_n([tf.image.resize(part, model.input_size)[..., 0] for part in laid]))
            gaps.append(tf.cast(total - tf.cast(score, tf.float64), tf.float32))
        return tf.stack(maps, 1), tf.stack(each, 1), tf.stack(gaps, 1)

    def _is_map(self, slot: int) -> bool:
        shape = self.model.shapes.get(slot, ())
        return slot in self.model.seen and len(shape) == 4 and shape[1] * shape[2] > 1

    def __call__(self, pixels: np.ndarray, targets: np.ndarray, ids: Sequence[str]) -> Maps:
        found = []
        for start in range(0, len(pixels), PIECE):
            part = slice(start, start + PIECE)
            given = (tf.constant(padded(x[part], PIECE)) for x in (pixels, targets))
            found.append([x.numpy()[: len(pixels[part])] for x in self.apply(*given)])
        return Maps(*(np.concatenate(parts) for parts in zip(*found, strict=True)))


def biases_of(step: Step, values: Environment) -> dict[int, tf.Tensor]:
    """Slot to what a step adds to its output that is not proportional to its inputs, of the output's shape.

    f(u) - J u at these inputs u: the bias of a convolution, where a ReLU inside of it lets it through; what a
    saturated ReLU6 holds; of a smooth function the paper's implicit bias (its section 3.3). Of what is linear, 0.
    """
    from activation_atlas.stages.vision.attribution.tangents import twice
    from activation_atlas.stages.vision.model.half import unscaled

    made, given = _floats(step.outputs, values), _floats(dict.fromkeys(step.inputs), values)
    own = {slot: values[slot] for slot in dict.fromkeys(step.inputs)}
    plain = [own[slot] for slot in given]
    if not plain:
        return {slot: values[slot] for slot in made}
    with unscaled():
        try:
            with tf.autodiff.ForwardAccumulator(plain, plain) as accumulator:
                step(own)
            changes = [accumulator.jvp(own[slot], tf.UnconnectedGradients.ZERO) for slot in made]
        except Exception:  # no forward derivative: of a loop, say
            changes = twice(step, own, plain, plain, made)
    return {slot: values[slot] - change for slot, change in zip(made, changes, strict=True)}


def _floats(slots: Sequence[int], values: Environment) -> list[int]:
    return [slot for slot in slots if values[slot].dtype.is_floating]


def _told(bias: tf.Tensor, value: tf.Tensor) -> tf.Tensor:
    """(n, 1, 1, 1) float32, whether a layer has a bias: 1, or 0 where it is rounding."""
    most = [tf.reduce_max(tf.abs(x), (1, 2, 3), keepdims=True) for x in (bias, value)]
    return tf.cast(most[0] > LEAST * most[1], tf.float32)


def scaled(values: tf.Tensor) -> tf.Tensor:
    """(n, h, w, c) without signs, each image's from 0 to 1, then summed over channels: (n, h, w, 1)."""
    size = tf.abs(values)
    least, most = (of(size, (1, 2, 3), keepdims=True) for of in (tf.reduce_min, tf.reduce_max))
    return tf.reduce_sum(tf.math.divide_no_nan(size - least, most - least), -1, keepdims=True)


def _summed(values: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(tf.cast(values, tf.float64), tuple(range(1, len(values.shape))))


def full_grad(setting: Setting) -> Explain:
    """psi(g x) + sum over layers of psi(g b), psi: without sign, scaled to 0 .. 1, laid over the image, colours summed.

    Srinivas & Fleuret 2019, eq. 7: g b is the gradient of a layer's output times its bias, at each position. Together
    with the biases that have no place (of Dense layers) all terms add up to the logit (proposition 1); ``gap`` is what
    they add up to, less it. The map itself adds up to nothing: psi takes signs and sizes away.
    """
    return FullGradients(setting.model, setting.targets)


METHODS = (
    Method(
        name="full_grad",
        title="FullGrad",
        about="gradient x input and gradient x bias of every layer, without signs, laid over one another",
        meaning="how much each pixel and each layer’s bias there weigh in the class’s logit, either way",
        formula="psi(g x) + sum over layers of psi(g b), b what a layer adds that is not proportional to its input; "
        "psi: without sign, scaled to 0 .. 1 for each layer, enlarged, summed over channels",
        source="Srinivas & Fleuret 2019",
        options=FullGrad,
        build=full_grad,
        configure=configure,
        resolution="input",
        grain="smooth",
        needs=("gradient",),
    ),
)
