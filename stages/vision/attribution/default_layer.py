"""The layer that is explained where none is named: found from the graph, its place proved by numbers."""

from __future__ import annotations

from activation_atlas.stages.stage import UserError
from activation_atlas.stages.vision.model import LayerInfo, Model


def default_layer(model: Model) -> str:
    """The last layer that has positions and that every path from the image to the logits goes through.

    What a side branch makes is only a part of what the logits are made of, so a branch never wins, however late it
    runs: where branches meet again as maps the layer is behind the place where they meet, where they meet only as
    vectors it is the last one before they part. Layers that still see single pixels (a rescaling of the image) say
    nothing of what the model found, and a layer whose outermost positions lie outside the image (a padding) does not
    lie over it. Where no layer is left, because branches part at the image, it is the one behind most of the
    computation.

    Raises:
        UserError: the model has no layer with positions.
    """
    layers = model.layers()
    if not layers:
        raise UserError(f"model {model.name}: no layer has positions; choose a method that explains at the input")
    calls = {step.name for step in model.program.steps}  # not nested models, whose output is their last layer's
    layers = [layer for layer in layers if layer.name in calls]
    fine = [layer for layer in layers if _sees_more_than_a_pixel(layer) and _lies_over_image(layer, model.input_size)]
    for layer in reversed(fine):
        if _is_on_every_path(model, model.slot(layer.name)) and _is_proved(model, layer.name):
            return layer.name
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
    program = model.program
    rest = program.before([program.output], given=[slot])
    return not any(program.input in step.inputs for step in rest)


def _sees_more_than_a_pixel(layer: LayerInfo) -> bool:
    return max(layer.receptive_field) > 1


def _lies_over_image(layer: LayerInfo, size: tuple[int, int]) -> bool:
    """Whether the centres of the outermost positions are at most half a step outside the image."""
    sides = zip(layer.offset, layer.stride, (layer.height, layer.width), size, strict=True)
    return all(
        offset > -stride / 2 and offset + stride * (count - 1) < pixels - 1 + stride / 2
        for offset, stride, count, pixels in sides
    )
