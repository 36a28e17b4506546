"""What a step reads of a run folder: the :class:`stages.stage.Inputs` over a store."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import copy

import pyarrow as pa
import pyarrow.compute as pc

from activation_atlas.pipeline.store import Store
from activation_atlas.stages.stage import State, UserError


class StoreInputs:
    """Tables and states of a store, for one step."""

    def __init__(self, store: Store, stage: str, label: str):
        self._store, self._stage, self._label = store, stage, label
        self._only: dict[str, frozenset[str]] = {}
        self._before: State | None = None
        self.warnings: list[str] = []
        self.notes: list[str] = []

    def parts(self, table: str) -> int:
        return self._store.parts(table)

    def part(self, table: str, index: int, columns: Sequence[str] | None = None) -> pa.Table:
        wanted = self._only.get(table)
        if wanted is None:
            return self._store.read(table, index, columns)
        found = self._store.read(table, index, None if columns is None else list(dict.fromkeys(["image_id", *columns])))
        found = found.filter(pc.is_in(found["image_id"], value_set=pa.array(sorted(wanted), pa.string())))
        return found if columns is None else found.select(list(columns))

    def remembering(self, before: State | None) -> StoreInputs:
        """The same, with a state of before; it warns as this one."""
        made = copy(self)
        made._before = before
        return made

    def narrowed(self, tables: Sequence[str], images: frozenset[str]) -> StoreInputs:
        """The same, but :meth:`part` gives of these tables only rows of these images; it warns as this one."""
        made = copy(self)
        made._only = dict.fromkeys(tables, images)
        return made

    def stream(self, table: str, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        return (self._store.read(table, k, columns) for k in range(self._store.parts(table)))

    def table(self, table: str, columns: Sequence[str] | None = None) -> pa.Table:
        parts = list(self.stream(table, columns))
        if not parts:
            raise UserError(f"{self._store.root / table} holds nothing: run the pipeline again to restore it")
        return pa.concat_tables(parts)

    def state(self, stage: str | None = None, label: str | None = None) -> State:
        if stage is None:
            stage, label = self._stage, self._label if label is None else label
        return self._store.read_state(stage, label or "")

    def before(self) -> State | None:
        return self._before

    def digest(self, table: str) -> str:
        return self._store.digest(table)

    def warn(self, message: str) -> None:
        if message not in self.warnings:
            self.warnings.append(message)

    def note(self, message: str) -> None:
        if message not in self.notes:
            self.notes.append(message)


class Unread(StoreInputs):
    """What a check sees before any image was read: whatever the folder holds may be of another source."""

    def parts(self, table: str) -> int:
        return 0
