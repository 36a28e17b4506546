"""The public API, name by name: signatures and docstrings are those of the package."""

from __future__ import annotations

import activation_atlas


def page() -> str:
    parts = [
        "# Python",
        "`import activation_atlas as aa` loads nothing heavy; TensorFlow comes with the first call that needs it.",
    ]
    parts += [f"::: activation_atlas.{name}" for name in activation_atlas.__all__ if not name.startswith("_")]
    return "\n\n".join(parts) + "\n"
