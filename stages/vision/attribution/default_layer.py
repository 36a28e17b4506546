"""The layer that is explained where none is named: found from the graph, its place proved by numbers."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from activation_atlas.stages.caches import cached
from activation_atlas.stages.stage import UserError
from activation_atlas.stages.vision.attribution.proof import noise
from activation_atlas.stages.vision.model import LayerInfo, Model
from activation_atlas.stages.vision.model.geometry import TokenMap, unplaced


@cached(4)
def default_layer(model: Model) -> str:
    """The last layer that has positions and that every path from the image to the logits goes through.

    What a side branch makes is only a part of what the logits are made of, so a branch never wins, however late it
    runs: where branches meet again as maps the layer is behind the place where they meet, where they meet only as
    vectors it is the last one before they part. Layers that still see single pixels (a rescaling of the image) say
    nothing of what the model found, and a layer whose outermost positions lie outside the image (a padding) does not
    lie over it. Where no layer is left, because branches part at the image, it is the one behind most of the
    computation.

    Where other tokens go beside the patches of a transformer, what counts is how the patches reach the logits, told by
    gradients: with a head that reads the class token alone, last through the norm before the last block's attention.

    Raises:
        UserError: the model has no layer with positions.
    """
    layers = model.layers()
    if not layers:
        told = unplaced(model.shapes, "choose a method that explains at the input")
        raise UserError(f"model {model.name}: no layer has positions{told}")
    calls = {step.name for step in model.program.steps}  # not nested models, whose output is their last layer's
    layers = [layer for layer in layers if layer.name in calls]
    fine = [layer for layer in layers if _sees_more_than_a_pixel(layer) and _lies_over_image(layer, model.input_size)]
    heard = _heard(model, [layer.name for layer in fine if layer.beside])
    for layer in reversed(fine):
        if layer.beside and layer.name not in heard:
            continue
        if _is_on_every_path(model, model.slot(layer.name)) and _is_proved(model, layer.name):
            behind = [other for other in fine[fine.index(layer) + 1 :] if other.name in heard and layer.beside]
            kin = [other.name for other in behind if _shape(other) == _shape(layer)]
            return next((name for name in reversed(kin) if not _heard(model, [layer.name], held=name)), layer.name)
    return max(fine or layers, key=lambda layer: layer.compute).name


def before_tokens(model: Model, layer: str) -> bool:
    """Whether a layer is the patch embedding of a transformer: what follows holds a sequence with a token for each of
    its positions, and most of the computation follows.
    """
    info = model.layer(layer)
    shapes = [model.shapes.get(i, ()) for step in model.program.after(model.slot(layer)) for i in step.outputs]
    sequences = [shape for shape in shapes if len(shape) == 3 and (shape[1] or 0) >= info.height * info.width]
    return bool(sequences) and info.compute < 0.5


def _is_proved(model: Model, name: str) -> bool:
    try:
        return model.placed(name) is not None
    except UserError:
        return False


def _is_on_every_path(model: Model, slot: int) -> bool:
    """Whether the rest needs nothing else of the image than a map, and the tokens beside it."""
    program = model.program
    maker = program.maker(slot)
    step = None if maker is None else program.steps[maker]
    given = step.outputs if step and isinstance(step.operation, TokenMap) else [slot]
    return not any(program.input in step.inputs for step in program.before([program.output], given=given))


def _heard(model: Model, layers: list[str], held: str | None = None) -> set[str]:
    """The layers whose maps, without the tokens beside them, the logits depend on: told by gradients on noise.

    Args:
        layers: in running order.
        held: a layer whose map stays as it is, so that nothing is told through it.
    """
    if not layers:
        return set()
    slots = [model.slot(layer) for layer in layers]
    hold = None if held is None else model.slot(held)
    given = [slots[0], *model.program.frontier(slots[0])]
    trunk, output = model.trunk(layers[0]), model.program.output
    steps = model.simplify(model.program.after(slots[0]), [*given, *slots, *([] if held is None else [hold]), output])

    # As it is, without a graph, which would take longer to build than this single pass takes.
    pixels = tf.constant(noise(np.random.default_rng(0), (*model.input_size, model.channels)))
    values = dict(zip(given, trunk(model.to_input(pixels)), strict=True))
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(values[slots[0]])
        maps = {slots[0]: values[slots[0]]}
        for step in steps:
            step(values)
            for slot in step.outputs:
                if slot == hold:
                    values[slot] = tf.stop_gradient(values[slot])
                elif slot in slots:
                    tape.watch(values[slot])
                    maps[slot] = values[slot]
        score = tf.reduce_sum(values[output] ** 2)
    slopes = tape.gradient(score, [maps[slot] for slot in slots], unconnected_gradients="zero")
    return {layer for layer, slope in zip(layers, slopes, strict=True) if np.any(slope)}


def _shape(layer: LayerInfo) -> tuple[int, ...]:
    return layer.height, layer.width, layer.channels, layer.beside


def _sees_more_than_a_pixel(layer: LayerInfo) -> bool:
    return max(layer.receptive_field) > 1


def _lies_over_image(layer: LayerInfo, size: tuple[int, int]) -> bool:
    """Whether the centres of the outermost positions are at most half a step outside the image."""
    sides = zip(layer.offset, layer.stride, (layer.height, layer.width), size, strict=True)
    return all(
        offset > -stride / 2 and offset + stride * (count - 1) < pixels - 1 + stride / 2
        for offset, stride, count, pixels in sides
    )
