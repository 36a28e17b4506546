"""Every command with its arguments and options, from the command line itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import typer

from activation_atlas.pipeline.cli import app
from docs.reference.markdown import anchored, code, table

EXITS = (
    ("0", "done"),
    ("1", "a fault of ours; the traceback says where"),
    ("2", "something you can mend, in one line; with `--strict` also a run that cannot be right"),
    ("3", "done, but more images were rejected than `extract.max_rejects` allows"),
    ("4", "done, and with `--fail-on verified` a cue of the audit is verified"),
    ("130", "interrupted; the same command goes on"),
)


@dataclass(frozen=True)
class Command:
    """A command: its name, what it does, its arguments and options as (names, value, default, help)."""

    name: str
    about: str
    parameters: list[tuple[str, str, str, str]]


def page() -> str:
    parts = ["# Commands", "`activation-atlas COMMAND --help` says the same in the terminal."]
    for command in commands():
        parts += [anchored(2, code(f"activation-atlas {command.name}"), command.name), command.about]
        if command.parameters:
            head = ("argument or option", "value", "default", "meaning")
            parts.append(table(head, command.parameters))
    parts += ["## Exit status", table(("status", "meaning"), EXITS)]
    return "\n\n".join(parts) + "\n"


def commands() -> Iterator[Command]:
    """In the order of ``--help``."""
    for name, command in typer.main.get_command(app).commands.items():
        shown = [_parameter(p) for p in command.params if p.name != "help"]
        yield Command(name, " ".join((command.help or "").split()), shown)


def _parameter(parameter: Any) -> tuple[str, str, str, str]:
    names = parameter.opts if parameter.opts[0].startswith("-") else [parameter.metavar or parameter.name.upper()]
    flag = getattr(parameter, "is_flag", False)
    plain = getattr(parameter, "type_descriptor", None)
    kind = {str: "TEXT", int: "N"}.get(getattr(plain, "annotation", str), "TEXT")
    value = "" if flag or not parameter.opts[0].startswith("-") else parameter.metavar or kind
    if parameter.required:
        default = "must be given"
    else:
        default = "" if flag or parameter.default in (None, (), []) else code(parameter.default)
    return ", ".join(code(n) for n in names), code(value) if value else "", default, parameter.help or ""
