"""The tutorials run from the first cell to the last, and give what they are kept with."""

import json
from pathlib import Path

import nbformat
import numpy as np
import pytest

from activation_atlas.stages.demo import scenes
from tests.notebooks import NOTEBOOKS, executed, parts, said

LARGEST = 600_000
"""Bytes of a notebook with its outputs: the repository keeps every one that ever was."""


@pytest.fixture(scope="module")
def executions(tmp_path_factory):
    """Each notebook's execution and the folder that it left, made when it is first asked for."""
    made = {}

    def of(path):
        if path not in made:
            folder = tmp_path_factory.mktemp(path.stem)
            made[path] = executed(path, folder), folder
        return made[path]

    return of


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_notebook_gives_what_it_is_kept_with(path, executions):
    """Words and kinds of outputs exactly; figures as far as they are the same on every machine."""
    (found, _), kept = executions(path), json.loads(path.read_text(encoding="utf-8"))
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
def test_what_a_cell_prints_is_one_output_however_it_comes(tmp_path):
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell("import time\nfor k in range(3): print(k, flush=True); time.sleep(0.3)\nk")],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
    )
    nbformat.write(notebook, tmp_path / "three.ipynb")
    assert said(executed(tmp_path / "three.ipynb", tmp_path)) == [["0\n1\n2\n", "2"]]


def date(name: str) -> tuple[int, int, int, int]:
    """Where the date lies in a drawn picture: top, left, bottom, right."""
    changed = np.asarray(scenes.draw(name, True)) != np.asarray(scenes.draw(name, False))
    rows, columns = np.nonzero(changed.any(-1))
    return rows.min(), columns.min(), rows.max() + 1, columns.max() + 1


@pytest.mark.slow
def test_the_audit_of_the_demo_finds_the_planted_date_and_nothing_else(executions):
    """The truth scores it, and is no input to it."""
    import activation_atlas as aa

    (path,) = (path for path in NOTEBOOKS if "audit" in path.stem)
    run = aa.open_run(next(Path(executions(path)[1], "runs").iterdir()))
    verified = run.table("cues").query("verdict == 'verified'").sort_values("rank")
    names = run.table("images", ["image_id", "uri"]).set_index("image_id").uri.map(lambda uri: uri.split("#")[1])
    assert len(verified) and {run.classes[kind] for kind in verified["class"]} == {scenes.STAMPED_CLASS}
    for cue in verified.itertuples():
        with_date = [e for e in cue.exemplars if scenes.stamped(names[e["image_id"]])]
        assert len(with_date) >= 0.8 * len(cue.exemplars)
        for e in with_date:
            top, left, bottom, right = date(names[e["image_id"]])
            assert min(bottom, e["bottom"]) > max(top, e["top"]) and min(right, e["right"]) > max(left, e["left"])


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
