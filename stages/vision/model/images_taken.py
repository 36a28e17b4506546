"""Which images a model takes: their size, their channels, and whether what is said of their colours can be."""

from __future__ import annotations

from activation_atlas.stages.specs import ModelSpec, listed
from activation_atlas.stages.stage import UserError


def check_colours(spec: ModelSpec, channels: int, where: str) -> None:
    """Refuses colours of a model that takes greys.

    Raises:
        UserError: three numbers for one channel, or an order of one.
    """
    if channels == 3:
        return
    for key in ("mean", "std"):
        if len(listed(getattr(spec, key))) == 3:
            raise UserError(f"model.{key}: three numbers, but {where} takes greys; give one")
    if spec.channels == "bgr":
        raise UserError(f"model.channels: bgr, but {where} takes greys; leave it out")


def input_shape(
    shape: tuple, spec: ModelSpec, where: str, brought: tuple[int, int] | None
) -> tuple[tuple[int, int], int]:
    """((height, width), channels) of the images that are brought to a model.

    Args:
        shape: of its input.
        brought: the size to which its own preprocessor brings images, if it does.

    Raises:
        UserError: it takes no images, or leaves open what nothing else says.
    """
    if len(shape) != 4:
        raise UserError(f"{where}: takes inputs of shape {shape}; it must take images (batch, height, width, channels)")
    if shape[3] not in (1, 3):
        first = shape[1] in (1, 3)
        reason = "has its channels first; save it with channels last" if first else "must take 1 or 3 channels"
        raise UserError(f"{where}: takes inputs of shape {shape}; it {reason}")
    given = spec.input_size
    given = (given, given) if isinstance(given, int) else given
    own = (shape[1], shape[2])
    if given is None and brought is not None and all(n in (None, b) for n, b in zip(own, brought, strict=True)):
        given = brought
    if given is None and None in own:
        raise UserError(f"{where}: leaves its input size open; give model.input_size, e.g. 224")
    if given is not None and any(n is not None and n != g for n, g in zip(own, given, strict=True)):
        raise UserError(f"model.input_size: {list(given)}, but {where} takes {list(own)}; leave it out")
    return (tuple(own) if given is None else (int(given[0]), int(given[1]))), int(shape[3])
