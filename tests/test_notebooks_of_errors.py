"""The tutorials about errors run from the first cell to the last, and the audit finds what was planted."""

from pathlib import Path

import numpy as np
import pytest

from activation_atlas.stages.demo import scenes
from tests.notebooks import executed
from tests.test_notebooks import OF_ERRORS, gives_what_it_is_kept_with


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
@pytest.mark.parametrize("path", OF_ERRORS, ids=lambda p: p.stem)
def test_a_notebook_gives_what_it_is_kept_with(path, executions):
    gives_what_it_is_kept_with(executions(path)[0], path)


def date(name: str) -> tuple[int, int, int, int]:
    """Where the date lies in a drawn picture: top, left, bottom, right."""
    changed = np.asarray(scenes.draw(name, True)) != np.asarray(scenes.draw(name, False))
    rows, columns = np.nonzero(changed.any(-1))
    return rows.min(), columns.min(), rows.max() + 1, columns.max() + 1


@pytest.mark.slow
def test_the_audit_of_the_demo_finds_the_planted_date_and_nothing_else(executions):
    """The truth scores it, and is no input to it."""
    import activation_atlas as aa

    (path,) = (path for path in OF_ERRORS if "audit" in path.stem)
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
