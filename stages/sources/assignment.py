"""Which images each part holds: an image stays in its part, whatever is listed beside it.

New images fill the free places of the parts that are there, in the order of the listing, then new parts: a part is
read as one stretch of the source, or few, and a run that grows writes anew only the parts that change. A part's
number says nothing of its images' place in the listing.
"""

from __future__ import annotations

from collections.abc import Sequence


def assign(parts: Sequence[Sequence[str]], listed: Sequence[str], most: int) -> list[list[int]]:
    """Rows of the listing of each part.

    Started anew where a part holds more than ``most``. What it gives is the same whichever of the parts that it
    tells to write were written when a run was killed.

    Args:
        parts: ids of the images of the parts that are there; those no longer listed leave room for new ones.
        listed: ids in source order, each once.
        most: images of a part.

    Returns:
        At least one part where there is an image. Empty ones remain, as the parts behind them keep their numbers; at
        the end they are left out.
    """
    if any(len(part) > most for part in parts):
        parts = []
    row_of = {own: row for row, own in enumerate(listed)}
    made = [[row_of[own] for own in dict.fromkeys(part) if own in row_of] for part in parts]
    taken: set[int] = set()
    for k, rows in enumerate(made):  # a kill may leave an image in two parts: the first has it
        made[k] = [row for row in rows if row not in taken]
        taken |= set(made[k])
    new = [row for row in range(len(listed)) if row not in taken]
    for rows in made:
        free = most - len(rows)
        rows += new[:free]
        new = new[free:]
    made += [new[start : start + most] for start in range(0, len(new), most)]
    while made and not made[-1]:
        made.pop()
    return [sorted(rows) for rows in made]
