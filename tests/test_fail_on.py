"""A verified cue as an exit status."""

from __future__ import annotations

import pandas as pd
import pytest
from typer.testing import CliRunner

from activation_atlas.pipeline import cli, commands
from activation_atlas.pipeline.results import RunResult
from activation_atlas.stages.stage import UserError


class Folder:
    """A run folder of one table."""

    path, page = "run", None

    def __init__(self, verdicts: list[str] | None) -> None:
        self.tables = [] if verdicts is None else ["cues"]
        self._verdicts = verdicts

    def table(self, name: str) -> pd.DataFrame:
        verdicts = self._verdicts or []
        texts = [f"cue {k} is {verdict}" for k, verdict in enumerate(verdicts)]
        return pd.DataFrame({"rank": range(len(verdicts)), "verdict": verdicts, "text": texts})


@pytest.mark.parametrize(
    ("verdicts", "asked", "status"),
    [(["verified", "refuted"], True, 4), (["refuted"], True, 0), (None, True, 0), (["verified"], False, 0)],
)
def test_a_verified_cue_is_status_4_where_that_is_asked(verdicts, asked, status, monkeypatch):
    done = RunResult(Folder(verdicts), 0, 10, 0, 0.01, ())
    monkeypatch.setattr(commands, "run", lambda *a, **k: done)
    options = ["--fail-on", "verified"] if asked else []
    found = CliRunner().invoke(cli.app, ["run", "demo", "--set", "audit={}", *options])
    assert found.exit_code == status, found.output
    assert ("--fail-on verified: cue 0 is verified" in found.output) is (status == 4)
    assert "cue 1" not in found.output


def test_it_is_refused_where_nothing_is_audited():
    for options, said in ((["verified"], "nothing is audited"), (["refuted"], "there is only verified")):
        found = CliRunner().invoke(cli.app, ["run", "demo", "--set", "audit=null", "--fail-on", *options])
        assert isinstance(found.exception, UserError) and said in str(found.exception)
