"""Notebooks executed, and what they say: ``python -m tests.notebooks [FILE...]`` (``make notebooks``) keeps it."""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path
from typing import Any

NOTEBOOKS = sorted((Path(__file__).parent.parent / "notebooks").glob("*.ipynb"))
NUMBER = re.compile(r"[+-]?(?:\d+\.\d*|\.?\d+)(?:e[+-]?\d+)?")


def executed(path: Path, folder: Path) -> Any:
    """The notebook with the outputs of a run in ``folder``, without times and without what goes to stderr."""
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    # What one cell prints comes in as many messages as the kernel's buffer happens to be emptied.
    NotebookClient(
        notebook, timeout=900, kernel_name="python3", record_timing=False, coalesce_streams=True,
        resources={"metadata": {"path": str(folder)}},
    ).execute()  # fmt: skip
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [o for o in cell.outputs if o.get("name") != "stderr"]
    # The Python it ran on is nobody's business but the test's.
    notebook.metadata = {"kernelspec": notebook.metadata["kernelspec"], "language_info": {"name": "python"}}
    return notebook


def said(notebook: Any) -> list[list[str]]:
    """Per code cell its outputs: texts as they are, pictures as their kind."""
    return [
        ["".join(o["text"]) if "text" in o else _data(o.get("data", {})) for o in cell["outputs"]]
        for cell in notebook["cells"]
        if cell["cell_type"] == "code"
    ]


def _data(found: dict[str, Any]) -> str:
    pictures = [kind for kind in found if kind.startswith("image/")]
    return pictures[0] if pictures else "".join(found.get("text/plain", ""))


def parts(text: str) -> tuple[list[str], list[float]]:
    """Words (without the rules and spaces that columns are set with) and numbers of an output."""
    return NUMBER.sub("#", text).split(), [float(n) for n in NUMBER.findall(text)]


def main() -> None:
    import nbformat

    for path in [Path(name) for name in sys.argv[1:]] or NOTEBOOKS:
        with tempfile.TemporaryDirectory() as folder:
            notebook = executed(path, Path(folder))
        nbformat.write(notebook, path)
        print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
