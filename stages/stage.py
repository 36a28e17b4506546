"""The records every stage is declared with.

A stage turns tables into tables. It sees :class:`Inputs` (read only) and its
own parameters, and returns Arrow tables; the runner in ``pipeline`` reads,
writes, resumes and distributes. This module is a leaf: it imports nothing of
the project.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import pyarrow as pa
from pydantic import BaseModel

State = dict[str, Any]
"""What a ``fit`` learned: names to NumPy arrays, numbers, strings, or JSON-able lists and dicts.

The key ``"metrics"`` (a JSON-able dict), if present, is copied into ``run.json``.
"""

Shared = Literal["part", "all"]

PAGE = "site/index.html"
"""The page to open first of a run that has one, relative to its folder."""

REJECTS = "rejects/"
"""What the names of tables of rejects begin with."""


class UserError(Exception):
    """Something the user can mend: one line that says what, where and what to do."""


@dataclass(frozen=True)
class Table:
    """One table of the run folder.

    Attributes:
        name: folder name, e.g. ``activations``.
        key: columns that identify a row; rows of a part are sorted by them.
        about: one line for the documentation.
        columns: column name to a one-line description with its unit.
    """

    name: str
    key: tuple[str, ...]
    about: str
    columns: Mapping[str, str]


@dataclass(frozen=True)
class Shard:
    """A slice of a stage's work: items ``start`` to ``stop`` (exclusive), part number ``index``.

    Attributes:
        images: ids of the images it is of, where these are no slice: in a stage that lists the source.
    """

    index: int
    start: int
    stop: int
    images: tuple[str, ...] | None = None


class Inputs(Protocol):
    """The read-only view of a run folder that a stage is given.

    ``table`` is always a full table name such as ``activations/conv_pw_11_relu``.
    """

    def parts(self, table: str) -> int:
        """Number of parts of a table (0 where the table is absent)."""
        ...

    def part(self, table: str, index: int, columns: Sequence[str] | None = None) -> pa.Table:
        """One part, as written (rows sorted by key)."""
        ...

    def stream(self, table: str, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """All parts, one after another in part order; one is held at a time."""
        ...

    def table(self, table: str, columns: Sequence[str] | None = None) -> pa.Table:
        """All parts concatenated in part order."""
        ...

    def state(self, stage: str | None = None, label: str | None = None) -> State:
        """What a stage's ``fit`` learned (default: the calling stage's own, for its own label)."""
        ...

    def before(self) -> State | None:
        """What :attr:`Stage.fit` learned when its inputs were others and all else the same; None where it did not, and
        in a stage that does not keep it."""
        ...

    def digest(self, table: str) -> str:
        """SHA-256 (hex) over the content of all parts of a table."""
        ...

    def warn(self, message: str) -> None:
        """A line for the user and the log; the run goes on."""
        ...

    def note(self, message: str) -> None:
        """A line for the user and the log that says what was chosen."""
        ...


@dataclass(frozen=True)
class Stage:
    """A stage of the pipeline.

    Attributes:
        name: its name on the command line.
        version: bumped by hand whenever its output changes.
        about: one line for ``plan`` and the documentation.
        params: the model of its parameters; they enter the fingerprint as they are serialised: what a field leaves
            out, the fingerprint does.
        shards: ``(inputs, params) -> shards``. Called once the tables it reads are complete.
        run: ``(inputs, params, shard) -> {table name: Arrow table}``, or, where ``files`` is
            set, ``{path relative to the run folder: bytes}``.
        reads: ``(params) -> {table name: "part" | "all"}``: what ``run`` reads; ``"part"``
            means that shard k reads part k only.
        writes: ``(params) -> table names``.
        fit: ``(inputs, params) -> State``; runs once, before any shard. What stands in the state under ``told`` is for
            the run's record: nothing is computed from it, and the shards stay current when it changes.
        keeps: ``(params) -> whether`` its fit asks for what it learned :meth:`Inputs.before`, and may stay with it.
        fit_reads: ``(params) -> table names`` that ``fit`` reads, all parts of each.
        state_of: ``(params) -> {(stage, label)}``: other stages' states it reads.
        libraries: distributions whose version is part of the fingerprint.
        model: whether the model file's content is part of the fingerprint.
        threads: whether shards may run on several threads of one process.
        files: whether ``run`` returns files instead of tables.
        end: ``(inputs, params)``: warns of what only all its parts together tell. Called once they are complete, in
            every run: cheap.
        check: (stage, ``(inputs, params)``): refuses what only that stage's state can tell to be wrong, a class
            or a layer. Called as soon as its fit is current, before its shards: not hours later. Raises UserError.
        stamps: ``(params, shards) -> one string per shard`` for a stage that reads the outside world
            instead of tables: a shard whose stamp changed is stale. Cheap: names, sizes, times.
        seen: ``(inputs, params, shard) -> {image id: what its rows are made from}``, of a stage whose rows of an image
            depend on no other image, and whose tables all have ``image_id`` and are sorted by it: a part that is
            written anew takes over the rows of images of which that is unchanged.
        section: the model of a section of the configuration that is called as the stage, and None where it is not
            given. (Those of the stages that ship are fields of :class:`pipeline.config.Config`.)
        steps: ``(sections) -> (label, values of params)`` of each of its steps, see :class:`stages.sections.Sections`.
        rejects: ``(params) -> table names`` among ``writes`` that hold what could not be used; they begin with
            :data:`REJECTS`, so that a run folder alone tells which they are.
        doubts: a table of ``message`` and ``remedy``: each row says that the whole run cannot be right.
        page: the file that a user opens first, where it writes one; the reader of run folders knows :data:`PAGE`.
        cost: ``(sections, images) -> phrases``: what its steps take, in counts that follow from the configuration.
        foresee: ``(sections) -> State``: what of its state is known before anything is opened, None where nothing is.
            Raises UserError where that is enough to refuse what is asked.
        foreseen: whether ``check`` needs no more than what its stage foresees.
    """

    name: str
    version: int
    about: str
    params: type[BaseModel]
    shards: Callable[[Inputs, Any], list[Shard]]
    run: Callable[[Inputs, Any, Shard], dict[str, Any]]
    reads: Callable[[Any], Mapping[str, Shared]]
    writes: Callable[[Any], Sequence[str]]
    fit: Callable[[Inputs, Any], State] | None = None
    fit_reads: Callable[[Any], Sequence[str]] = lambda params: ()
    state_of: Callable[[Any], Sequence[tuple[str, str]]] = lambda params: ()
    libraries: tuple[str, ...] = ()
    model: bool = False
    threads: bool = True
    files: bool = False
    end: Callable[[Inputs, Any], object] | None = None
    check: tuple[str, Callable[[Inputs, Any], object]] | None = None
    stamps: Callable[[Any, Sequence[Shard]], list[str]] | None = None
    seen: Callable[[Inputs, Any, Shard], Mapping[str, str]] | None = None
    keeps: Callable[[Any], bool] = lambda params: False
    section: type[BaseModel] | None = None
    steps: Callable[[Any], Iterable[tuple[str, Mapping[str, Any]]]] = lambda sections: ()
    rejects: Callable[[Any], Sequence[str]] = lambda params: ()
    doubts: str | None = None
    page: str | None = None
    cost: Callable[[Any, int], Iterable[str]] = lambda sections, images: ()
    foresee: Callable[[Any], State | None] | None = None
    foreseen: bool = False


def aligned_shards(table: str) -> Callable[[Inputs, Any], list[Shard]]:
    """Shards that follow the parts of ``table``, one for one."""

    def shards(inputs: Inputs, params: Any) -> list[Shard]:
        return [Shard(k, k, k + 1) for k in range(inputs.parts(table))]

    return shards


def one_shard(inputs: Inputs, params: Any) -> list[Shard]:
    """A stage that needs the whole at once."""
    return [Shard(0, 0, 1)]
