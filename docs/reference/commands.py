"""Every command with its arguments and options, from the command line itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import typer

from activation_atlas.pipeline import exits
from activation_atlas.pipeline.cli import app
from docs.reference.markdown import anchored, code, table


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
    parts += ["## Exit status", table(("status", "meaning"), [(str(n), said) for n, said in exits.MEANINGS.items()])]
    parts.append("Where several hold of a run, 2 goes before 4, and 4 before 3.")
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
