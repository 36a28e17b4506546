"""The command ``look``: what it writes, says and refuses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from activation_atlas.stages.drawing.numbers import plural
from activation_atlas.stages.drawing.written import check_folder
from activation_atlas.stages.look.export import said
from activation_atlas.stages.look.interactive import look
from activation_atlas.stages.look.wanted import numbers
from activation_atlas.stages.stage import UserError
from activation_atlas.stages.tasks import task_named


def looked(
    out: Path,
    say: Callable[[str], object],
    reject: Callable[[str], object],
    *,
    images: Sequence[str],
    only: Sequence[str] | None,
    channels: str | None,
    **asked: Any,
) -> int:
    """Looks, and writes what was seen to a folder.

    Args:
        say: told what was written.
        reject: told in one line of each image that cannot be used.
        asked: as :func:`stages.look.interactive.look` takes it.

    Returns:
        How many images could not be used.

    Raises:
        UserError: something is not as it has to be.
    """
    check_folder(out)
    for part in ("maps", "attention"):
        if part in (only or ()) and not images:
            raise UserError(f"--only {part}: {'they are' if part == 'maps' else 'it is'} of images; give one or more")
    measured = task_named(asked["model"].task).measured
    if "classes" in (only or ()) and not (images or asked["classes"] or measured):
        raise UserError("--only classes: give images, whose most probable classes are drawn, or --class")
    rejects: list[str] = []

    def rejected(uri: str, reason: str) -> None:
        rejects.append(uri)
        reject(f"{uri}: {reason}")

    chosen = None if channels is None else numbers(channels)
    seen = look(images, only=only or None, channels=chosen, rejected=rejected, **asked)
    if rejects and not (seen.filters or seen.maps or seen.attention or seen.maximised):
        raise UserError("nothing is drawn: it is of images, and none of those given can be used")
    for image in seen.images:
        say(said(image, seen.classes))
    index, *others = seen.save(out)
    say(f"{plural(len(others), 'file')} in {out}; open {index.resolve()}")
    return len(rejects)
