"""The attribution methods a configuration can name, and the options of each. A leaf.

A method is one class here and one function under the same name in
``stages/vision/attribution/methods``. Sources of the formulas stand there.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Discriminator, Field, Tag, field_validator

from activation_atlas.stages.specs import PositiveInt, Spec, nearest

VARIANT = re.compile(r"[A-Za-z0-9]([\w.+-]*[\w+-])?", re.ASCII)
"""What may name a folder anywhere: Windows drops a last dot, macOS writes accents in its own way."""

GREY = 127.5
"""What stands for nothing in an image, in [0, 255], before preprocessing."""


class Options(Spec):
    """Base of all methods' options. ``name`` is the method; ``as`` the variant's own name where one is used twice."""

    name: str
    as_: str | None = Field(None, alias="as", description="the variant's name, where a method is used twice")

    model_config = {**Spec.model_config, "populate_by_name": True}

    @field_validator("as_")
    @classmethod
    def _plain(cls, value: str | None) -> str | None:
        if value is not None and not VARIANT.fullmatch(value):
            raise ValueError(f"{value!r} must be of letters a to z, digits and . _ + - (it names a folder)")
        return value

    @property
    def variant(self) -> str:
        """Name of the table of maps: ``maps/<variant>``."""
        return self.as_ or self.name

    def at(self, size: tuple[int, int]) -> Self:
        """The same with every size that was left open settled for a model's input of ``size`` (height, width)."""
        return self


class AtLayer(Options):
    """Methods that explain at a layer."""

    layer: str | None = Field(None, min_length=1, description="default: the last layer that has positions")


class GradCam(AtLayer):
    name: Literal["grad_cam"] = "grad_cam"


class GradCamPlusPlus(AtLayer):
    name: Literal["grad_cam_plus_plus"] = "grad_cam_plus_plus"


class LayerCam(AtLayer):
    name: Literal["layer_cam"] = "layer_cam"


class Cam(AtLayer):
    name: Literal["cam"] = "cam"


class EigenCam(AtLayer):
    name: Literal["eigen_cam"] = "eigen_cam"
    center: bool = Field(False, description="subtract each channel's mean over positions first")


class ScoreCam(AtLayer):
    name: Literal["score_cam"] = "score_cam"
    channels: PositiveInt | None = Field(None, description="only the channels that vary most; default: all")


class Saliency(Options):
    name: Literal["saliency"] = "saliency"


class GradientXInput(Options):
    name: Literal["gradient_x_input"] = "gradient_x_input"


class SmoothGrad(Options):
    name: Literal["smooth_grad"] = "smooth_grad"
    samples: PositiveInt = Field(25, description="noisy copies of each image")
    noise: float = Field(0.2, ge=0, description="standard deviation, as a share of the image's range of values")
    statistic: Literal["mean", "squared", "variance"] = Field("mean", description="of the copies' gradients")


class IntegratedGradients(Options):
    name: Literal["integrated_gradients"] = "integrated_gradients"
    steps: PositiveInt = Field(50, description="intervals from the baseline to the image")
    baseline: Literal["black", "zero"] = Field(
        "black", description="black: before preprocessing; zero: what the model receives is zero"
    )


class ExpectedGradients(Options):
    name: Literal["expected_gradients"] = "expected_gradients"
    samples: PositiveInt = Field(50, description="points between the image and images of the background")
    background: PositiveInt = Field(32, description="images of the data, a seeded sample")


class GuidedBackprop(Options):
    name: Literal["guided_backprop"] = "guided_backprop"


class Deconvnet(Options):
    name: Literal["deconvnet"] = "deconvnet"


class GuidedGradCam(AtLayer):
    name: Literal["guided_grad_cam"] = "guided_grad_cam"


Shade = Annotated[float, Field(ge=0, le=255)]


class Occlusion(Options):
    name: Literal["occlusion"] = "occlusion"
    patch: PositiveInt | tuple[PositiveInt, PositiveInt] | None = Field(
        None,
        description="side of the window in pixels of the model's input, or height and width; "
        "default: about a seventh of the input's shorter side (32 of 224, 4 of 32)",
    )
    stride: PositiveInt | tuple[PositiveInt, PositiveInt] | None = Field(
        None, description="pixels from window to window; default: half of the default patch, and no more than the patch"
    )
    fill: Shade | tuple[Shade, Shade, Shade] = Field(GREY, description="what hides, in 0 to 255, before preprocessing")
    edges: Literal["whole", "clip"] = Field("whole", description="clip: also windows that reach past the border")
    mode: Literal["auto", "full", "incremental"] = Field(
        "auto", description="incremental: recompute only what a window can reach; auto: where that is exact and pays"
    )

    def at(self, size: tuple[int, int]) -> Self:
        """Of any input the share that 32 and 16 pixels are of 224: from 24 pixels on 11 to 17 windows along a side."""
        step, short = _step(min(size)), min(size)
        patch = self.patch or max(1, min(2 * step, short - 1))
        stride = min(step, patch) if isinstance(patch, int) else tuple(min(step, side) for side in patch)
        return self.model_copy(update={"patch": patch, "stride": self.stride or stride})


def _step(side: int) -> int:
    """About a fourteenth of a side: the nearest that divides it, so that the last window ends at the border, where
    there is one within a quarter of that."""
    aim = side / 14
    exact = [step for step in range(1, side) if side % step == 0 and abs(step - aim) <= aim / 4]
    return min(exact, key=lambda step: abs(step - aim)) if exact else max(1, round(aim))


class Rise(Options):
    name: Literal["rise"] = "rise"
    masks: PositiveInt = Field(1000, description="random masks for each image")
    cells: PositiveInt | None = Field(
        None,
        description="cells of a mask along one side, before it is enlarged; "
        "default: 8, fewer where a cell would have less than 4 pixels",
    )
    keep: float = Field(0.5, gt=0, lt=1, description="share of the cells that show the image")

    def at(self, size: tuple[int, int]) -> Self:
        """Eight cells, as Petsiuk et al. 2018 have it; of an input below 32 pixels fewer, but two."""
        return self.model_copy(update={"cells": self.cells or min(8, max(2, min(size) // 4))})


_KINDS: tuple[type[Options], ...] = (
    GradCam,
    GradCamPlusPlus,
    LayerCam,
    Cam,
    EigenCam,
    ScoreCam,
    Saliency,
    GradientXInput,
    SmoothGrad,
    IntegratedGradients,
    ExpectedGradients,
    GuidedBackprop,
    Deconvnet,
    GuidedGradCam,
    Occlusion,
    Rise,
)

FINE = (
    Saliency,
    GradientXInput,
    SmoothGrad,
    IntegratedGradients,
    ExpectedGradients,
    GuidedBackprop,
    Deconvnet,
    GuidedGradCam,
)
"""Methods whose maps differ from pixel to pixel; the maps of the others are smooth."""

METHODS: dict[str, type[Options]] = {kind.model_fields["name"].default: kind for kind in _KINDS}


def _named(value: Any) -> Any:
    """``grad_cam`` is short for ``{name: grad_cam}``."""
    value = {"name": value} if isinstance(value, str) else value
    if not isinstance(value, (dict, Options)):
        raise ValueError("write a method's name, or {name: ..., and its options}")
    if isinstance(value, dict):
        if "name" not in value:
            raise ValueError(f"a method needs a name: one of {', '.join(METHODS)}")
        nearest(str(value["name"]), list(METHODS), "method")
    return value


def _tag(value: Any) -> str:
    return value["name"] if isinstance(value, dict) else getattr(value, "name", "")


def _union() -> Any:
    members = tuple(Annotated[kind, Tag(name)] for name, kind in METHODS.items())
    found = members[0]
    for member in members[1:]:
        found = found | member
    return found


Method = Annotated[_union(), Discriminator(_tag), BeforeValidator(_named)]
"""Any method with its options."""


def pair(value: int | tuple[int, int]) -> tuple[int, int]:
    """A side as (height, width)."""
    return (value, value) if isinstance(value, int) else tuple(value)
