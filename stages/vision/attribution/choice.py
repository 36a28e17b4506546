"""By which algorithm a layer's attributions are computed: chosen once for a run, on numbers; what it costs is said."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence

import numpy as np

from activation_atlas.stages.stage import UserError
from activation_atlas.stages.vision import quiet as _quiet  # noqa: F401 - before what imports TensorFlow
from activation_atlas.stages.vision.attribution.affine import is_affine
from activation_atlas.stages.vision.attribution.blocks import Block, Insertion, mode_of
from activation_atlas.stages.vision.attribution.blocks.proof import BlockTrial
from activation_atlas.stages.vision.attribution.forward_mode import Algorithm
from activation_atlas.stages.vision.attribution.gradient_path import require_gradient
from activation_atlas.stages.vision.attribution.local_maps import Positions
from activation_atlas.stages.vision.attribution.methods.method import GREY
from activation_atlas.stages.vision.attribution.proof import Trial, noise, one_line
from activation_atlas.stages.vision.lazy import tf
from activation_atlas.stages.vision.model import Model

log = logging.getLogger(__name__)

INSTEAD = "set extract.by: insertion or removal, which need none, or extract.attribution: none, or choose a later layer"
ALGORITHMS: tuple[Algorithm, ...] = ("windows", "accumulator", "backprop")
WORTH = 0.6
"""Where windows hold a larger share of the layer and what lies behind it, the head as it is was as quick or quicker:
of MobileNet at conv_pw_11_relu they hold 0.2 to 0.3 and take half to three quarters of its time, of a CIFAR network at
re_lu_8, 3 x 3, 0.55 and up to as long, of EfficientNet-Lite0 at block10_add 0.7 and one and a half times as long."""
FLAT = "layer %s: no change of it changes a logit, on noise: attributions may all be 0"
SPOKEN = {
    "affine": "one matrix",
    "windows": "windows",
    "accumulator": "the accumulator",
    "backprop": "backprop of each class",
    "whole": "the head once for each position",
}


def choose(
    model: Model,
    layer: str,
    positions: int = 100,
    classes: Sequence[int] | None = None,
    block: Block | None = None,
) -> Algorithm:
    """The quickest algorithm whose numbers are confirmed; the log says what another than the usual one costs.

    Args:
        positions: sampled of each image, and ``classes`` attributed (None: all), for the cost.
        block: what is done to it, where attributions are not the gradient's: the head itself then confirms.

    Raises:
        UserError: no gradient of the logits reaches the layer, or none agrees with it.
    """
    if block is not None:
        return _of_block(model, layer, positions, classes, block)
    require_gradient(model, model.slot(layer), f"layer {layer}", INSTEAD)
    try:
        trial = Trial(model, layer)
    except Exception as error:  # whatever TensorFlow, or a user's layer, finds wrong with a gradient
        reason = f"the gradient of the logits cannot be computed ({one_line(error)})"
        raise UserError(f"layer {layer} of model {model.name}: {reason}; {INSTEAD}") from error
    reasons: list[str] = []
    affine = is_affine(model.head(layer), _shapes(model, layer), model.dtype)
    count = len(model.classes if classes is None else classes)
    for algorithm in ("affine", *ALGORITHMS) if affine else ALGORITHMS:
        reason = trial.against(algorithm)
        if reason is None:
            loops = ", ".join(dict.fromkeys(f"{step.name} ({step.kind})" for step in trial.tried.twice))
            if loops and count <= 2 * positions:  # counted, not measured: the same configuration takes the same one
                reasons.append(f"{algorithm} in two reverse passes for each position, through {loops}")
                continue
            if trial.reference.flat:
                log.warning(FLAT, layer)
            reasons += [f"in two reverse passes for each position, through {loops}"] * bool(loops)
            return _said(algorithm, reasons, model, layer, positions, classes, None)
        reasons.append(f"{algorithm} {reason}")
    reason = f"no way gives the attributions that backprop gives ({', '.join(reasons)})"
    raise UserError(f"layer {layer} of model {model.name}: {reason}; {INSTEAD}")


def _require_plain(model: Model, layer: str) -> None:
    """Refuses a model that gives no numbers for the plain grey image that blocks are put into.

    Raises:
        UserError: a value on the way to the logits is NaN or infinite there.
    """
    slots = [i for s in model.program.before([model.program.output]) for i in s.outputs if i in model.shapes]
    makers = [model.program.steps[model.program.maker(i)].name for i in slots]
    apply = tf.function(lambda p: model.values(model.to_input(p), slots), autograph=False)
    values = apply(tf.fill((1, *model.input_size, model.channels), tf.constant(GREY)))
    for name, value in zip(makers, values, strict=True):
        if value.dtype.is_floating and not np.isfinite(value.numpy()).all():
            raise UserError(
                f"layer {layer} of model {model.name}: {name} gives NaN or infinite values for a plain grey image, "
                "into whose map blocks are put; set extract.by: removal, or gradient"
            )


def _of_block(model: Model, layer: str, positions: int, classes: Sequence[int] | None, block: Block) -> Algorithm:
    if isinstance(block, Insertion):
        _require_plain(model, layer)
    trial = BlockTrial(model, layer, block)
    if trial.flat:
        log.warning(FLAT, layer)
    affine = is_affine(model.head(layer), _shapes(model, layer), model.dtype)
    reasons: list[str] = []
    for algorithm in (*(["affine"] if affine else []), "windows"):
        if algorithm == "windows" and trial.coarsest in ("float32", "float64") and _is_wide(model, layer, block):
            break  # taken or not, it is not worth it: behind attention, say, every position is changed
        reason = trial.against(algorithm)
        if reason is None:
            return _said(algorithm, reasons, model, layer, positions, classes, block)
        reasons.append(f"{algorithm} {reason}")
    return _said("whole", reasons, model, layer, positions, classes, block)


def _is_wide(model: Model, layer: str, block: Block) -> bool:
    """Whether windows would hold so much of what lies behind the layer that the head as it is is as quick.

    In half precision they are taken all the same: the difference of two runs of the head is mostly rounding.
    """
    try:
        return mode_of(model, layer, "windows", None, block).share >= WORTH
    except Exception:  # whatever TensorFlow, or a user's layer, finds wrong with it: the trial says what
        return False


def _said(
    algorithm: Algorithm,
    reasons: Sequence[str],
    model: Model,
    layer: str,
    positions: int,
    classes: Sequence[int] | None,
    block: Block | None,
) -> Algorithm:
    """The algorithm, and a word in the log where something spoke against the usual one."""
    if reasons:
        spent = cost(model, layer, algorithm, positions, classes, block)
        text = "layer %s: attributions by %s (%s); for an image %.1f times as long as its forward pass"
        log.warning(text, layer, SPOKEN[algorithm], ", ".join(reasons), spent)
    return algorithm


def _shapes(model: Model, layer: str) -> list[tuple]:
    slot = model.slot(layer)
    return [model.shapes[s][1:] for s in (slot, *model.program.frontier(slot))]


def cost(
    model: Model,
    layer: str,
    algorithm: Algorithm,
    positions: int,
    classes: Sequence[int] | None = None,
    block: Block | None = None,
) -> float:
    """How many times its forward pass the attributions of one image take by this algorithm; measured, here and now."""
    info, few = model.layer(layer), None
    asked = list(range(len(model.classes))) if classes is None else list(classes)
    if algorithm == "backprop":
        few = asked[:32]
    mode = mode_of(model, layer, algorithm, few, block)
    count = min(positions, info.height * info.width)
    size = min(count, mode.most)
    at = np.arange(size) * (info.height * info.width) // size
    sampled = Positions(*(tf.constant(x, tf.int32) for x in (0 * at, at // info.width, at % info.width)))
    pixels = tf.constant(noise(np.random.default_rng(0), (*model.input_size, model.channels))[:1])
    values = model.values(model.to_input(pixels), mode.slots)
    forward = tf.function(lambda p: model.values(model.to_input(p), [model.program.output])[0], autograph=False)
    tile = tf.function(lambda *held: mode(held, sampled)[1], autograph=False)
    shares = len(asked) / len(few) if few else count / size
    return shares * _seconds(lambda: tile(*values)) / _seconds(lambda: forward(pixels))


def _seconds(call: Callable[[], tf.Tensor], turns: int = 3) -> float:
    call().numpy()  # traced, and warm
    taken = []
    for _ in range(turns):
        began = time.perf_counter()
        call().numpy()
        taken.append(time.perf_counter() - began)
    return min(taken)
