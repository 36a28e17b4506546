"""``network.json``: what tables that another framework wrote say of their network. It stands beside them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError, model_validator

from activation_atlas.stages.specs import PositiveInt, Spec, folder
from activation_atlas.stages.stage import UserError

NAME = "network.json"
Pair = tuple[float, float]


class Layer(Spec):
    """One layer whose positions were sampled."""

    channels: PositiveInt = Field(description="numbers at a position")
    height: PositiveInt = Field(description="positions of its map")
    width: PositiveInt
    stride: Pair | None = Field(None, description="pixels of the input from a position to the next, [h, w]")
    offset: Pair | None = Field(None, description="pixel of the input at the middle of position (0, 0), [y, x]")
    receptive_field: Pair | None = Field(None, description="pixels of the input that a position sees, [h, w]")

    @model_validator(mode="after")
    def _placed(self) -> Layer:
        if (self.stride is None) != (self.offset is None):
            raise ValueError("stride and offset say together where a position lies; give both, or none")
        return self


class Network(Spec):
    """All that a run has to know of a network that it cannot open."""

    classes: list[str] = Field(min_length=1, description="names, in the order of the logits")
    kind: Literal["softmax", "sigmoid", "quantity"] = Field(
        "softmax", description="what makes probabilities of logits; quantity: they are numbers as they are"
    )
    input_size: tuple[PositiveInt, PositiveInt] = Field(description="height and width of what the network was shown")
    attributed: list[int] = Field(default_factory=list, description="class of each column of attribution; none: []")
    by: Literal["gradient", "insertion", "removal"] = Field("gradient", description="what an attribution is")
    window: PositiveInt = Field(1, description="of insertion or removal: positions along a side of the block")
    layers: dict[str, Layer] = Field(description="by name; each has a folder of activations")

    @model_validator(mode="after")
    def _meets(self) -> Network:
        wrong = [k for k in self.attributed if not 0 <= k < len(self.classes)]
        if wrong or len(set(self.attributed)) < len(self.attributed):
            what = f"{wrong[0]} is none of the {len(self.classes)} classes" if wrong else "a class is there twice"
            raise ValueError(f"attributed: {what}")
        forms = [folder(name).casefold() for name in self.layers]
        if len(set(forms)) < len(forms):
            raise ValueError("layers: two names would be one folder")
        return self

    def write(self, root: Path) -> None:
        """Writes it whole into the folder of the tables."""
        plain = self.model_dump(mode="json", exclude_none=True)
        unfinished = root / f".{NAME}.part"
        unfinished.write_text(json.dumps(plain, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        unfinished.replace(root / NAME)


def read_network(root: str) -> Network:
    """What is said of the network of the tables in a folder.

    Raises:
        UserError: there is no such folder, its writer did not finish, or what it says cannot be.
    """
    path = Path(root) / NAME
    if not path.is_file():
        why = "has none: its writer was not closed" if Path(root).is_dir() else "does not exist"
        raise UserError(f"model.tables: {root} {why}; give the folder that aa.TableWriter made, with its {NAME}")
    try:
        return Network.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        said = first["msg"].removeprefix("Value error, ")
        raise UserError(f"model.tables: {path}: {place + ': ' if place else ''}{said}") from None
    except OSError as error:
        raise UserError(f"model.tables: {path} cannot be read ({error.strerror or error})") from None
