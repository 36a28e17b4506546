"""What a step reads of a run folder: the :class:`stages.stage.Inputs` over a store."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa

from activation_atlas.pipeline.store import Store
from activation_atlas.stages.stage import State, UserError


class StoreInputs:
    """Tables and states of a store, for one step."""

    def __init__(self, store: Store, stage: str, label: str):
        self._store, self._stage, self._label = store, stage, label
        self.warnings: list[str] = []
        self.notes: list[str] = []

    def parts(self, table: str) -> int:
        return self._store.parts(table)

    def part(self, table: str, index: int, columns: Sequence[str] | None = None) -> pa.Table:
        return self._store.read(table, index, columns)

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
