"""What a run left behind, for Python: its tables, photographs, atlases and record. Nothing here changes it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

import pyarrow as pa

from activation_atlas.pipeline import exits
from activation_atlas.pipeline.history import history
from activation_atlas.pipeline.lock import LOCK
from activation_atlas.pipeline.record import NAME, read, rejected
from activation_atlas.pipeline.store import Store
from activation_atlas.pipeline.verifying import Verified, verify
from activation_atlas.stages import ORDER
from activation_atlas.stages.feed import Feed, upright
from activation_atlas.stages.specs import ImagesSpec, listed, meant
from activation_atlas.stages.stage import PAGE, REJECTS, UserError
from activation_atlas.stages.vision.images import ImageError

if TYPE_CHECKING:
    import pandas as pd
    from PIL import Image


@dataclass(frozen=True)
class Atlas:
    """A named view of a layer, as it was configured.

    Attributes:
        name: of the atlas; its tables are ``layouts/NAME``, ``cells/NAME``, ``icons/NAME`` and so on.
        layer: whose activations it lays out.
        grids: cells along a side, coarsest first.
        images: whether a row is a whole image.
        class_name: the class that its activations argue for; None of one that is not of a class.
        pair: the two classes that it is between; None of others.
    """

    name: str
    layer: str
    grids: tuple[int, ...]
    images: bool = False
    class_name: str | None = None
    pair: tuple[str, str] | None = None


@dataclass(frozen=True)
class RunFolder:
    """A run folder, open for reading. Made by :func:`open_run`.

    Attributes:
        path: the folder.
        storage_options: for fsspec, where the photographs lie on a remote store; a run keeps none.
    """

    path: Path
    storage_options: dict[str, Any] = field(default_factory=dict, repr=False)

    @cached_property
    def _store(self) -> Store:
        return Store(self.path)

    @property
    def tables(self) -> list[str]:
        """Full names of all tables, by name: ``cells/late``, ``images``, ``maps/grad_cam`` ..."""
        return self._store.tables()

    @overload
    def table(
        self, name: str, columns: Sequence[str] | None = None, format: Literal["pandas"] = "pandas"
    ) -> pd.DataFrame: ...

    @overload
    def table(self, name: str, columns: Sequence[str] | None, format: Literal["arrow"]) -> pa.Table: ...

    @overload
    def table(self, name: str, columns: Sequence[str] | None = None, *, format: Literal["arrow"]) -> pa.Table: ...

    def table(
        self, name: str, columns: Sequence[str] | None = None, format: Literal["pandas", "arrow"] = "pandas"
    ) -> pd.DataFrame | pa.Table:
        """All rows of a table that are finished, sorted by its key within each part.

        Args:
            name: full name, as in :attr:`tables`; :mod:`stages.tables` describes every column with its unit.
            columns: which, in that order; default: all. Vectors are large: name what is needed.
            format: ``pandas`` (a vector is a NumPy array in its cell) or ``arrow``.

        Raises:
            UserError: no such table, column or format, a damaged part, or parts of two versions of a stage.
        """
        if format not in ("pandas", "arrow"):
            raise UserError(f"table {name}: format {format!r} is not known; choose pandas or arrow")
        known = self.tables
        if not isinstance(name, str):
            raise UserError(f"{self.path}: table {name!r}: give its name; {meant('', known)}")
        if name not in known:
            inside = [other for other in known if other.startswith(f"{name}/")]
            raise UserError(f"{self.path}: no table {name!r}; {meant(name, inside or known)}")
        names = self._store.columns(name)
        columns = None if columns is None else listed(columns)
        for column in columns or ():
            if column not in names:
                raise UserError(f"{self.path}: table {name} has no column {column!r}; {meant(column, names)}")
        parts = range(self._store.parts(name))
        try:
            found = pa.concat_tables([self._store.read(name, k, columns) for k in parts])
        except pa.ArrowInvalid:
            say = "differ in their columns, as of a run that is not finished: run it again"
            raise UserError(f"{self.path}: the parts of table {name} {say}") from None
        return found if format == "arrow" else found.to_pandas()

    def rows(self, name: str) -> int:
        """Rows of a table; 0 where it is absent."""
        return self._store.rows(name)

    def size(self, name: str) -> int:
        """Bytes of a table on disk; 0 where it is absent."""
        return self._store.size(name)

    def image(self, image_id: str) -> Image.Image:
        """A photograph of the run, RGB, at its own size, upright; 12-bit greys as the run read them.

        Raises:
            UserError: no such image, or it cannot be read any more.
        """
        from PIL import Image

        if image_id not in self._uris:
            raise UserError(f"{self.path}: no image {image_id!r}; the column image_id of the table images has them")
        if "images" not in (config := self.config):
            raise UserError(f"{self.path}: no run.json says how the images are read; run it again")
        images = ImagesSpec(**config["images"], storage_options=self.storage_options)
        uri = self._uris[image_id]
        ((_, pixels),) = Feed(images, upright(images)).stream({image_id: uri})
        if isinstance(pixels, ImageError):
            raise UserError(f"{uri}: {pixels.reason}")
        return Image.fromarray(pixels)

    @cached_property
    def _uris(self) -> dict[str, str]:
        found = self.table("images", ["image_id", "uri"], format="arrow")
        return dict(zip(found["image_id"].to_pylist(), found["uri"].to_pylist(), strict=True))

    @property
    def classes(self) -> list[str]:
        """Class names, in the order of the logits; ``label`` and ``pred`` are indices into it.

        Raises:
            UserError: the model was not opened yet.
        """
        for name in ORDER:
            if self._store.state_footer(name, "") and (classes := self._store.read_state(name, "").get("classes")):
                return list(classes)
        raise UserError(f"{self.path}: the classes are not known yet: run the pipeline until it has opened the model")

    @property
    def record(self) -> dict[str, Any]:
        """``run.json``: configuration, versions, times, the tables' rows and digests, metrics, warnings."""
        return read(self._store)

    @property
    def config(self) -> dict[str, Any]:
        """The configuration as it ran, defaults filled in; keys that were null are left out."""
        return dict(self.record.get("config", {}))

    @property
    def metrics(self) -> dict[str, Any]:
        """What each step measured, by its name: ``reduce/late`` and so on; empty until a run has finished."""
        return dict(self.record.get("metrics", {}))

    def verify(self) -> Verified:
        """Reads every part, state and file through and holds it against its digest; changes nothing.

        ``run`` with ``repair`` makes again what is damaged.
        """
        return verify(self._store)

    @property
    def history(self) -> list[dict[str, Any]]:
        """A mapping for each run of the folder, oldest first: when, how it ended, what it took, counted and found."""
        return history(self._store)

    @property
    def finished(self) -> bool:
        """Whether the last run came to its end."""
        return "finished" in self.record

    @property
    def rejected(self) -> int:
        """Images in any table of rejects; each counts once."""
        return rejected(self._store, [name for name in self.tables if name.startswith(REJECTS)])

    @property
    def atlases(self) -> dict[str, Atlas]:
        """The atlases, by name, in the order of the configuration."""
        found = {}
        for made in self.config.get("atlases", []):
            pair = tuple(made["pair"]) if "pair" in made else None
            grids = tuple(sorted(made["grids"]))
            found[made["name"]] = Atlas(made["name"], made["layer"], grids, made["images"], made.get("class"), pair)
        return found

    @property
    def page(self) -> Path | None:
        """The page to open first; None where the report was not made."""
        path = self.path / PAGE
        return path if path.is_file() else None


@dataclass(frozen=True)
class Doubt:
    """What says that a run cannot be right, and what to do about it; a line each."""

    message: str
    remedy: str


@dataclass(frozen=True)
class RunResult:
    """What one call of ``run`` did, and the folder it left.

    Attributes:
        folder: the run folder, open for reading.
        ran: pieces of work that were done; 0 where everything was up to date.
        images: of the source, the rejected ones included.
        rejected: images that could not be used.
        max_rejects: the share of rejected images that the configuration allows, in [0, 1].
        doubts: what says that the whole set-up cannot be right; none is the rule.
    """

    folder: RunFolder
    ran: int
    images: int
    rejected: int
    max_rejects: float
    doubts: tuple[Doubt, ...]

    @property
    def rejected_share(self) -> float:
        """Share of the images that were rejected, in [0, 1]; 0 of none."""
        return self.rejected / self.images if self.images else 0.0

    @property
    def too_many_rejected(self) -> bool:
        """Whether that is more than the configuration allows: the command ends with status 3."""
        return self.rejected > self.max_rejects * self.images

    @property
    def verified(self) -> list[str]:
        """The verified cues of an audit, each in a sentence, the most suspicious first: with ``--fail-on verified``
        the command ends with status 4 where there is one."""
        if "cues" not in self.folder.tables:
            return []
        rows = self.folder.table("cues").sort_values("rank")
        return [str(text) for text in rows["text"][rows["verdict"] == "verified"]]

    def status(self, strict: bool = False, fail_on: str | None = None) -> int:
        """The exit status that the command ends with: 0, or 2 to 4 where something is to be looked at.

        Args:
            strict: a run that cannot be right counts. fail_on: ``verified``: a verified cue of an audit does.
        """
        found = fail_on is not None and bool(self.verified)
        return exits.ending(rejects=self.too_many_rejected, found=found, doubted=strict and bool(self.doubts))

    @property
    def page(self) -> Path | None:
        """The page to open first; None where the report was not made."""
        return self.folder.page


def open_run(folder: str | os.PathLike[str], *, storage_options: dict[str, Any] | None = None) -> RunFolder:
    """Opens a run folder for reading; also one that is not finished.

    Args:
        folder: what ``run`` wrote to.
        storage_options: for fsspec, where the photographs lie on a remote store.

    Raises:
        UserError: it is no run folder, or its run has not finished a table yet.
    """
    found = RunFolder(Path(folder), dict(storage_options or {}))
    if not any((found.path / name).is_file() for name in (NAME, LOCK)):
        raise UserError(f"{folder} is no run folder: it holds no {NAME}; give what a run wrote to")
    if not found.tables:
        raise UserError(f"{folder}: its run has only begun, no table is finished; wait, or run it again")
    return found
