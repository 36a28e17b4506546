"""Every stage in running order: what it reads and writes, from its own record and the demo's configuration."""

from __future__ import annotations

from activation_atlas import stages as all_stages
from activation_atlas.pipeline.config import load
from activation_atlas.pipeline.steps import Step, steps
from docs.reference.markdown import anchored, code, table


def page() -> str:
    parts = [
        "# Stages",
        "Tables flow through the stages, in this order. A stage sees tables and its own parameters alone; the runner "
        "reads, writes, resumes and distributes. What each reads and writes, and its steps, are those of the demo's "
        "configuration; a table's last name is left out.",
    ]
    for name in all_stages.ORDER:
        stage, own = all_stages.stage(name), [step for step in _demo() if step.stage.name == name]
        rows = [
            ("reads", _names([t for s in own for t in [*s.stage.reads(s.params), *s.stage.fit_reads(s.params)]])),
            ("writes", _names([t for s in own for t in s.stage.writes(s.params)])),
            ("steps", ", ".join(code(s.label) if s.label else "the whole run" for s in own)),
            ("depends on the versions of", ", ".join(stage.libraries) or "nothing"),
            ("version", str(stage.version)),
        ]
        parts += [anchored(2, code(name), name), stage.about[:1].upper() + stage.about[1:] + "."]
        parts.append(table(("", ""), rows))
    return "\n\n".join(parts) + "\n"


def writers() -> dict[str, str]:
    """Table, without its last name, to the stage that writes it."""
    return {t.split("/")[0]: s.stage.name for s in _demo() if not s.stage.files for t in s.stage.writes(s.params)}


def _demo() -> list[Step]:
    return steps(load("demo"))


def _names(tables: list[str]) -> str:
    return ", ".join(code(t) for t in sorted({t.split("/")[0] for t in tables})) or "nothing"
