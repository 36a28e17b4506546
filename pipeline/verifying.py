"""Whether a run folder's parts, states and files are still what was written: every byte of them is read."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow.parquet as pq

from activation_atlas.pipeline import seal
from activation_atlas.pipeline.digest import state_digest
from activation_atlas.pipeline.faults import DAMAGED, one_line
from activation_atlas.pipeline.record import NAME
from activation_atlas.pipeline.store import Store
from activation_atlas.stages.stage import UserError


@dataclass(frozen=True)
class Damage:
    """A file of a run folder that is not what was written.

    Attributes:
        path: the file.
        reason: how that shows.
        stage: of a page or figure, the stage that writes it; None of parts and states.
    """

    path: Path
    reason: str
    stage: str | None = None

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


@dataclass
class Verified:
    """What was found in a run folder.

    Attributes:
        files, bytes: that were read.
        unsealed: parts that an earlier version wrote: they hold no checksum of their bytes, and were only read.
        damages: what is wrong, in order of the paths.
    """

    files: int = 0
    bytes: int = 0
    unsealed: int = 0
    damages: list[Damage] = field(default_factory=list)

    @property
    def whole(self) -> bool:
        """Whether nothing is damaged."""
        return not self.damages


def verify(store: Store) -> Verified:
    """Reads every part, state and file of a run folder and holds it against its digest; changes nothing.

    A file that goes or is replaced meanwhile, as of a run that is at work, is passed over.
    """
    found = Verified()
    for path, stage, reason in [*_parts(store, found), *_states(store), *_files(store)]:
        found.files += 1
        if reason is None:
            found.bytes += path.stat().st_size if path.exists() else 0
        else:
            found.damages.append(Damage(path, reason, stage))
    return found


def drop(store: Store, damages: list[Damage]) -> None:
    """Removes what is damaged, and nothing else: what is missing is made by the next run."""
    for damage in damages:
        if damage.stage is None:
            damage.path.unlink(missing_ok=True)
        else:
            store.forget_files(damage.stage)


Found = tuple[Path, str | None, str | None]
"""A file, the stage whose page it is, and what is wrong with it."""


def _parts(store: Store, found: Verified) -> Iterator[Found]:
    """Those behind a gap, too: workers finish in any order. In a finished run a gap is a part that was lost."""
    numbers: dict[str, set[int]] = {}
    for path in store.root.rglob("part-*.parquet"):
        number = path.stem.removeprefix("part-")
        if number.isdecimal():
            numbers.setdefault(path.parent.relative_to(store.root).as_posix(), set()).add(int(number))
    finished = "finished" in (store.read_json(NAME) or {})
    for table, there in sorted(numbers.items()):
        for index in range(max(there) + 1) if finished else sorted(there):
            path = store.part_path(table, index)
            if index not in there:
                yield path, None, "is missing"
                continue
            try:
                sound = seal.whole(path)
                if sound is None and not _sealed(path):
                    store.read(table, index)
                    found.unsealed += 1
                    sound = True
            except FileNotFoundError:
                continue
            except (OSError, UserError) as error:
                yield path, None, f"cannot be read ({one_line(error)})"
            else:
                yield path, None, None if sound else "does not match its checksum"


def _sealed(path: Path) -> bool:
    """Whether a part was written with a seal; one that cannot be read was."""
    try:
        return seal.MARK in (pq.read_metadata(path).metadata or {})
    except DAMAGED:
        return True


def _states(store: Store) -> Iterator[Found]:
    folder = store.root / "state"
    for path in sorted(folder.rglob("*.npz")):
        stage, _, label = path.relative_to(folder).with_suffix("").as_posix().partition("/")
        try:
            state, footer = store.read_state(stage, label), store.state_footer(stage, label)
        except UserError:
            state, footer = {}, None
        sound = footer is not None and footer[1] == state_digest(state)
        if sound or path.exists():
            yield path, None, None if sound else "does not match its checksum"


def _files(store: Store) -> Iterator[Found]:
    for listing in sorted((store.root / "state").glob("*.files.json")):
        stage = listing.name.removesuffix(".files.json")
        if store.read_json(listing.relative_to(store.root).as_posix()) is None and listing.exists():
            yield listing, None, "cannot be read (no JSON)"
        for name, digest in store.file_list(stage).items():
            if not digest:  # while they are written
                continue
            path = store.root / name
            try:
                with open(path, "rb") as file:
                    sound = hashlib.file_digest(file, "sha256").hexdigest() == digest
            except FileNotFoundError:
                yield path, stage, "is missing"
            except OSError as error:
                yield path, stage, f"cannot be read ({one_line(error)})"
            else:
                yield path, stage, None if sound else "does not match its checksum"
