"""Exit statuses of the command."""

from __future__ import annotations

DONE, FAULT, REFUSED, REJECTS, FOUND, INTERRUPTED = 0, 1, 2, 3, 4, 130
MEANINGS = {
    DONE: "done, or nothing was left to do",
    FAULT: "a fault of ours; the traceback says where",
    REFUSED: "something you can mend, in one line; with `run --strict` also a run that cannot be right",
    REJECTS: "`run`: done, but more images were rejected than `extract.max_rejects` allows",
    FOUND: "done, and what `--fail-on` names is so: of `run` a cue of the audit is verified, of `compare` something is "
    "surely worse, or has shifted",
    INTERRUPTED: "interrupted (Ctrl-C, SIGTERM); the same command goes on",
}
"""Each status in words. Where several hold of a run, 2 goes before 4, and 4 before 3."""


def ending(*, rejects: bool, found: bool, doubted: bool) -> int:
    """The status of a run that came to its end.

    Args:
        rejects: more images were rejected than are allowed. found: what ``--fail-on`` names is so.
        doubted: with ``--strict``, the run cannot be right.
    """
    return REFUSED if doubted else FOUND if found else REJECTS if rejects else DONE
