"""The file of a state: plain values and arrays, of which equal ones have equal bytes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from activation_atlas.pipeline.digest import canonical, state_digest
from activation_atlas.pipeline.faults import unreadable
from activation_atlas.stages.stage import State, UserError

HEAD = "__head__"


def save(path: Path, state: State, fingerprint: Mapping[str, Any]) -> None:
    """Writes a state, what it was made from, and the digest of its content."""
    arrays: dict[str, Any] = {k: v for k, v in state.items() if isinstance(v, np.ndarray)}
    rest = {k: v for k, v in state.items() if k not in arrays}
    head = {"fingerprint": fingerprint, "content": state_digest(state), "values": rest}
    members: dict[str, Any] = {HEAD: np.frombuffer(canonical(head), np.uint8), **dict(sorted(arrays.items()))}
    # numpy writes zip members with a constant date: same state, same bytes.
    with open(path, "wb") as file:
        np.savez(file, **members)


def footer(path: Path) -> tuple[dict[str, Any], str] | None:
    """(fingerprint, content digest); None where it is absent or unreadable."""
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as data:
            head = json.loads(bytes(data[HEAD]))
            return head["fingerprint"], head["content"]
    except Exception:  # a damaged archive fails in many ways
        return None


def load(path: Path) -> State:
    """The state.

    Raises:
        UserError: it is absent or damaged.
    """
    if not path.exists():
        raise UserError(f"{path} is missing: run the pipeline again to restore it")
    try:
        with np.load(path, allow_pickle=False) as data:
            return {**json.loads(bytes(data[HEAD]))["values"], **{k: data[k] for k in data.files if k != HEAD}}
    except Exception as error:
        raise unreadable(error, path) from None
