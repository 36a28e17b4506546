"""A run folder in memory: the ``Inputs`` that stages are tested against."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from activation_atlas.pipeline.digest import content_digest
from activation_atlas.stages.stage import Stage, State


class MemoryInputs:
    """Tables as lists of parts, and states by (stage, label).

    ``warnings`` collects what a stage said to the user; ``stage`` and ``label``
    are the caller that ``state()`` without arguments belongs to.
    """

    def __init__(
        self,
        tables: dict[str, list[pa.Table]] | None = None,
        states: dict[tuple[str, str], State] | None = None,
        stage: str = "",
        label: str = "",
    ) -> None:
        self.tables = dict(tables or {})
        self.states = dict(states or {})
        self.stage, self.label = stage, label
        self.warnings: list[str] = []
        self.notes: list[str] = []

    def before(self) -> State | None:
        return self.states.get((self.stage, self.label))

    def parts(self, table: str) -> int:
        return len(self.tables.get(table, ()))

    def part(self, table: str, index: int, columns: Sequence[str] | None = None) -> pa.Table:
        found = self.tables[table][index]
        return found if columns is None else found.select(list(columns))

    def stream(self, table: str, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        for k in range(self.parts(table)):
            yield self.part(table, k, columns)

    def table(self, table: str, columns: Sequence[str] | None = None) -> pa.Table:
        return pa.concat_tables(list(self.stream(table, columns)))

    def state(self, stage: str | None = None, label: str | None = None) -> State:
        return self.states[stage or self.stage, self.label if label is None else label]

    def digest(self, table: str) -> str:
        return content_digest(self.table(table)) if self.parts(table) else content_digest(pa.table({}))

    def warn(self, message: str) -> None:
        self.warnings.append(message)

    def note(self, message: str) -> None:
        self.notes.append(message)

    def run(self, stage: Stage, params: Any, label: str = "") -> dict[str, Any]:
        """Fit, run every shard and end ``stage`` as the runner would; what it wrote (tables whole, or files)."""
        self.stage, self.label = stage.name, label
        if stage.fit is not None:
            self.states[stage.name, label] = stage.fit(self, params)
        written: dict[str, list[Any]] = {}
        for shard in stage.shards(self, params):
            for name, table in stage.run(self, params, shard).items():
                written.setdefault(name, []).append(table)
        if stage.files:
            return {name: found[-1] for name, found in written.items()}
        self.tables.update(written)
        if stage.end is not None:
            stage.end(self, params)
        return {name: pa.concat_tables(found) for name, found in written.items()}


class CountedInputs(MemoryInputs):
    """Parts that are read are copies in ``pool``: it counts what is still held of them, and the most at once.

    ``read``: (table, part, columns) of each.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.pool = pa.proxy_memory_pool(pa.default_memory_pool())
        self.read: list[tuple[str, int, tuple[str, ...] | None]] = []

    def part(self, table: str, index: int, columns: Sequence[str] | None = None) -> pa.Table:
        self.read.append((table, index, columns and tuple(columns)))
        found = super().part(table, index, columns).combine_chunks()
        rows = pa.array(range(len(found)), pa.int64())
        copies = [pc.take(column.chunk(0), rows, memory_pool=self.pool) for column in found.columns]
        return pa.Table.from_arrays(copies, schema=found.schema)
