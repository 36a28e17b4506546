"""The section ``evaluate`` of a configuration."""

from __future__ import annotations

from typing import Any

from pydantic import Field, field_validator, model_validator

from activation_atlas.stages.specs import PositiveInt, Spec


class RandomizationSpec(Spec):
    """The parameter-randomisation check: do maps change when the model forgets?"""

    images: PositiveInt = Field(16, description="images whose maps are made again; a seeded sample")
    depths: int = Field(6, ge=2, le=32, description="how often: the last layer alone, all layers, and between")
    smooth: int | None = Field(
        None,
        ge=2,
        description="the smooth form too: maps averaged over so many noisy copies of each image (50 in its paper), "
        "which takes so many times as long; default: not",
    )


class EvaluateSpec(Spec):
    """What is asked of the maps."""

    deletion: bool = Field(True, description="how fast the class goes when its pixels go; not of quantities")
    insertion: bool = Field(True, description="how fast the class comes when its pixels come; not of quantities")
    road: bool = Field(
        False,
        description="ROAD: what is left of the class when its highest or lowest pixels are filled in from around them; "
        "seconds for each map of 224 x 224 pixels; not of quantities",
    )
    complexity: bool = Field(
        False,
        description="how far each map is spread out: entropy and Gini index of its absolute values; takes no pass",
    )
    steps: PositiveInt = Field(
        32, description="equal shares of the pixels that go or come, a forward pass each; at most one for each pixel"
    )
    limit: PositiveInt | None = Field(200, description="images evaluated, a seeded sample; null: all that have maps")
    boxes: str | tuple[str, str, str, str] | None = Field(
        None,
        description="columns of the images that hold x0, y0, x1, y1 in pixels of the upright image, "
        "or one column of lists or texts such as [x0, y0, x1, y1]",
    )
    masks: str | None = Field(None, description="folder of PNG files named like the images, white inside")
    tolerance: float = Field(0, ge=0, description="pixels of the model's input that the pointing game forgives")
    randomization: RandomizationSpec | None = Field(default_factory=RandomizationSpec, description="null: none")
    agreement: bool = Field(True, description="rank correlation between every two methods")
    batch: PositiveInt = Field(32, description="images in one forward pass")

    @field_validator("boxes", mode="before")
    @classmethod
    def _four_or_one(cls, value: Any) -> Any:
        if isinstance(value, (list, tuple)) and len(value) != 4:
            raise ValueError(
                f"give four columns, x0, y0, x1, y1, or the name of one column of lists or texts; not {len(value)}"
            )
        return value

    @model_validator(mode="after")
    def _one_truth(self) -> EvaluateSpec:
        if self.boxes is not None and self.masks is not None:
            raise ValueError("give boxes or masks, not both")
        if self.tolerance and self.boxes is None and self.masks is None:
            raise ValueError(
                "tolerance is for the pointing game, which needs boxes or masks; give them, or leave it out"
            )
        return self
