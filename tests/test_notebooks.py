"""The tutorials run from the first cell to the last, and give what they are kept with."""

import json
from pathlib import Path

import nbformat
import numpy as np
import pytest

from tests.notebooks import NOTEBOOKS, executed, parts, said

LARGEST = 600_000
"""Bytes of a notebook with its outputs: the repository keeps every one that ever was."""

OF_ERRORS = [path for path in NOTEBOOKS if path.stem.endswith(("errors", "audit"))]
"""Executed in a file of tests of their own, which runs beside this one."""


def gives_what_it_is_kept_with(found: nbformat.NotebookNode, path: Path) -> None:
    """Words and kinds of outputs exactly; figures as far as they are the same on every machine."""
    kept = json.loads(path.read_text(encoding="utf-8"))
    assert not [o for c in found.cells if c.cell_type == "code" for o in c.outputs if o.output_type == "error"]
    tags = [c["metadata"].get("tags", []) for c in kept["cells"] if c["cell_type"] == "code"]
    for expected, got, of in zip(said(kept), said(found), tags, strict=True):
        for one, other in zip(expected, got, strict=True):
            (words, numbers), (others, figures) = parts(one), parts(other)
            assert words == others, "`make notebooks` draws them anew"
            # Where like lies next to like hangs on the last bit of a sum, which processors round differently.
            if "layout" not in of:
                np.testing.assert_allclose(figures, numbers, rtol=0.02, atol=0.02, err_msg="`make notebooks`")


@pytest.mark.slow
@pytest.mark.parametrize("path", [p for p in NOTEBOOKS if p not in OF_ERRORS], ids=lambda p: p.stem)
def test_a_notebook_gives_what_it_is_kept_with(path, tmp_path):
    gives_what_it_is_kept_with(executed(path, tmp_path), path)


@pytest.mark.slow
def test_what_a_cell_prints_is_one_output_however_it_comes(tmp_path):
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell("import time\nfor k in range(3): print(k, flush=True); time.sleep(0.3)\nk")],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
    )
    nbformat.write(notebook, tmp_path / "three.ipynb")
    assert said(executed(tmp_path / "three.ipynb", tmp_path)) == [["0\n1\n2\n", "2"]]


def test_notebooks_are_kept_with_small_outputs():
    for path in NOTEBOOKS:
        notebook = json.loads(path.read_text(encoding="utf-8"))
        code = [c for c in notebook["cells"] if c["cell_type"] == "code"]
        assert [c["execution_count"] for c in code] == list(range(1, len(code) + 1)), "run from the top, as a whole"
        outputs = [o for c in code for o in c["outputs"]]
        assert {o["output_type"] for o in outputs} <= {"stream", "display_data", "execute_result"}
        assert {o.get("name") for o in outputs} <= {None, "stdout"}
        assert sum(1 for texts in said(notebook) for text in texts if text.startswith("image/")) >= 2
        assert path.stat().st_size < LARGEST


@pytest.mark.parametrize(
    ("text", "words", "numbers"),
    [
        ("accuracy 92.5% of 240", ["accuracy", "#%", "of", "#"], [92.5, 240]),
        ("cosine   0.870\nrank -1", ["cosine", "#", "rank", "#"], [0.87, -1]),
        ("1.2e-05", ["#"], [1.2e-5]),
    ],
)
def test_outputs_are_words_and_numbers(text, words, numbers):
    assert parts(text) == (words, numbers)
