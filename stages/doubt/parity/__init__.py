"""What a model makes of images, held against outputs that another program gave: the proof of a conversion.

    found = parity("model.keras", "photographs/", "outputs.npy")
    found.agrees                    # whether it is the same network, to which images are brought in the same way
    print(*found.lines(), sep="\\n")

Where they do not agree, the usual causes are tried, alone and together: :mod:`.causes`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.compute as pc

from activation_atlas.stages.doubt.finding import draws
from activation_atlas.stages.doubt.parity.agreement import Agreement, agreement
from activation_atlas.stages.doubt.parity.causes import FIRST, Reading, nearest
from activation_atlas.stages.doubt.parity.given import Given, read, rows_of
from activation_atlas.stages.doubt.parity.wording import Cause, causes, said
from activation_atlas.stages.doubt.sample import Sample
from activation_atlas.stages.origin import model_spec, shown_images
from activation_atlas.stages.sources import Source, open_source
from activation_atlas.stages.specs import ImagesSpec, ModelSpec
from activation_atlas.stages.stage import UserError

if TYPE_CHECKING:
    from activation_atlas.stages.vision.model import Model

__all__ = ["Agreement", "Cause", "Parity", "parity"]

AT_ONCE = 240
"""Images that are held in memory."""


@dataclass(frozen=True)
class Parity:
    """How a model's outputs and given ones agree.

    Attributes:
        agreement: of the model as it is, on all images of which there are outputs.
        images: paths of the images that were compared, in the order of the given rows.
        causes: what makes outputs meet that do not, each with what to do; empty where they agree to the last digits,
            and where nothing usual does.
        off: how far they are then, on some of the images; None without causes.
        remarks: what was left out.
    """

    agreement: Agreement
    images: tuple[str, ...]
    causes: tuple[Cause, ...]
    off: float | None
    remarks: tuple[str, ...]

    @property
    def agrees(self) -> bool:
        """Whether they are of the same network, but for what reading and resizing images differ in."""
        return self.agreement.near

    def lines(self) -> list[str]:
        """What was found, for a terminal."""
        return said(self)


def parity(
    model: ModelSpec | Mapping[str, Any] | str | os.PathLike[str],
    images: ImagesSpec | Mapping[str, Any] | str | os.PathLike[str],
    outputs: str | os.PathLike[str],
    *,
    say: Callable[[str], object] = lambda line: None,
) -> Parity:
    """Holds a model's outputs against given ones.

    Args:
        model: a file, ``application:NAME``, ``preset:NAME``, or a section `model` with more said.
        images: as ``images.path`` takes them, or a section `images` with more said; labels are not read.
        outputs: ``.npy`` (n, K), or CSV or Parquet with a column for each output, or one of lists of them. Rows are in
            the order of the images' paths, or there is a column ``path`` (``uri``, ``file``, ``image_id``).
        say: told what is under way.

    Raises:
        UserError: no such model, images or outputs, or these do not meet; one line.
    """
    from activation_atlas.stages.vision.model import open_model

    spec = model_spec(model)
    if spec.tables is not None:
        raise UserError("model.tables: parity runs a model; give the file, application:NAME or preset:NAME")
    asked, given = _asked(images), read(Path(outputs))
    source = open_source(asked)
    places, _, lost = rows_of(given, source, asked.path)
    _tells(given.values[places >= 0], given.shown)
    say(f"opening {spec.path or spec.application or spec.preset}")
    opened = open_model(spec)
    reading = Reading(opened.kind, _form(opened), given.values.shape[1])
    _check(given, opened, reading)
    kept = np.flatnonzero(_usable(source, places))
    uris = [source.listing["uri"][int(places[k])].as_py() for k in kept]
    ids = [source.listing["image_id"][int(places[k])].as_py() for k in kept]
    say(f"comparing {len(uris):,} images")
    sample = Sample(opened, asked, ())
    logits, rows = _logits(sample, asked, uris)
    if not len(rows):
        raise UserError(f"images.path: none of the images of {asked.path} can be read")
    values = given.values[kept][rows]
    found = agreement(reading.found(logits, reading.own), values, opened.kind == "quantity")
    unread = len(given.values) - len(rows) - (lost != "" and int((places < 0).sum()))
    remarks = [lost] if lost else []
    remarks += [f"{unread} images cannot be read, and are left out"] if unread else []
    shown = tuple(uris[k] for k in rows)
    if found.equal:
        return Parity(found, shown, (), None, tuple(remarks))
    say("trying what may be the cause")
    drawn = np.argsort(draws([ids[k] for k in rows], 0), kind="stable")[:FIRST]
    meeting = nearest(opened, reading, asked, sample, [shown[k] for k in drawn], values[drawn], values)
    if meeting is None:
        return Parity(found, shown, (), None, tuple(remarks))
    return Parity(found, shown, tuple(causes(meeting, opened, reading)), meeting.off, tuple(remarks))


def _asked(images: ImagesSpec | Mapping[str, Any] | str | os.PathLike[str]) -> ImagesSpec:
    if not isinstance(images, ImagesSpec):
        images = shown_images(**(images if isinstance(images, Mapping) else {"path": os.fspath(images)}))
    return images.model_copy(update={"labels": None, "label_column": "none", "label_columns": None})


def _form(model: Model) -> str:
    """What the model itself returns."""
    found = model.ending.reading
    return "logits" if found == "scores" else "log probabilities" if found.startswith("log") else "probabilities"


def _tells(values: np.ndarray, shown: str) -> None:
    """Refuses outputs that any network may be near to: how far is far is measured by how they vary."""
    if not (values if len(values) == 1 else np.ptp(values, axis=0)).any():
        alike = "nothing but 0" if len(values) == 1 else f"the same numbers in all {len(values)} rows"
        raise UserError(
            f"outputs: {shown} holds {alike}, which tells no network; give what it returns for images that differ"
        )


def _check(given: Given, model: Model, reading: Reading) -> None:
    count, single = len(model.classes), reading.columns == 1 and model.ends_in_one
    if reading.columns != count and not single:
        one = 1 if model.ends_in_one else count
        raise UserError(
            f"outputs: {given.shown} has {reading.columns} numbers for an image, and model {model.name} returns {one}; "
            "give the outputs of the same network, a column for each"
        )


def _usable(source: Source, places: np.ndarray) -> np.ndarray:
    fine = pc.is_null(source.listing["reject"]).to_numpy(zero_copy_only=False).astype(bool)
    return (places >= 0) & fine[places]


def _logits(sample: Sample, images: ImagesSpec, uris: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Logits of the images that can be read, and which these are."""
    parts, rows = [], []
    for start in range(0, len(uris), AT_ONCE):
        left = list(uris[start : start + AT_ONCE])
        first = start
        while left:  # a large model's images are held fewer at a time
            some = sample.of(images, left)
            own = some.rows(len(left))
            if not len(own):
                break
            parts.append(some.logits(None, len(own)))
            rows.append(own + first)
            first, left = first + int(own[-1]) + 1, left[int(own[-1]) + 1 :]
    return (np.concatenate(parts), np.concatenate(rows)) if parts else (np.zeros((0, 0)), np.zeros(0, np.int64))
