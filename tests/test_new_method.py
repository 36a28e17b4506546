"""A new attribution method is one file and one line: whatever lists, checks, draws or tells of methods has it."""

import pytest

from tests.grown import copied, shell

FILE = '''"""The gradient with its sign: which way the logit goes where a pixel becomes lighter."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from activation_atlas.stages.vision.attribution.methods.input_gradient import InputGradient, configure
from activation_atlas.stages.vision.attribution.methods.method import Explain, Method, Options, Setting
from activation_atlas.stages.vision.lazy import tf


class GradientSum(Options):
    name: Literal["gradient_sum"] = "gradient_sum"
    times: float = Field(1, gt=0, description="what every value is multiplied by")


def gradient_sum(setting: Setting) -> Explain:
    """times x sum over colour of g."""
    return InputGradient(setting, lambda x, g: setting.options.times * tf.reduce_sum(g, -1))


METHODS = (
    Method(
        name="gradient_sum",
        title="Gradient sum",
        about="the gradient of the target's logit, with its sign",
        meaning="which way the class’s logit goes where a pixel becomes lighter",
        formula="times x sum over colour of g, g = d logit / d x",
        source="Simonyan, Vedaldi & Zisserman 2014",
        options=GradientSum,
        build=gradient_sum,
        configure=configure,
        resolution="input",
        grain="pixels",
        signed=True,
        needs=("gradient",),
        quick={"times": 2},
    ),
)
'''

FOUND = '''"""Where the new method is found, beside the tests that go over all methods."""

import numpy as np
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from activation_atlas.pipeline import schema
from activation_atlas.pipeline.cli import app
from activation_atlas.pipeline.config import load
from activation_atlas.stages.methods import METHODS, table
from activation_atlas.stages.report import STAGE
from activation_atlas.stages.stage import UserError
from docs.reference import methods as page_of_methods
from tests import small
from tests.stages.report import audit as page

ASKED = {"name": "gradient_sum", "as": "twice", "times": 2}


def test_the_schema_describes_it_and_the_readme_lists_it():
    described = schema.schema()["$defs"]["GradientSum"]["properties"]
    assert described["times"]["description"] == "what every value is multiplied by"
    assert "| `gradient_sum` | the gradient of the target's logit, with its sign |" in table()


def test_the_reference_has_its_formula_and_options():
    assert "times x sum over colour of g" in page_of_methods.page()
    assert "what every value is multiplied by" in page_of_methods.page()


def test_a_configuration_plans_it(tmp_path):
    config = small.write_config(tmp_path, explain={"methods": ["gradient_sum", ASKED]}, evaluate={})
    told = CliRunner().invoke(app, ["plan", str(config)])
    assert told.exit_code == 0, told.output
    assert "passes for a map: gradient_sum 1, twice 1" in " ".join(told.output.split())
    wrong = small.write_config(tmp_path / "wrong", explain={"methods": [{**ASKED, "time": 2}]})
    with pytest.raises(UserError, match=r"methods.0.time: unknown key; did you mean times\\?"):
        load(str(wrong))


def test_the_page_of_mistakes_tells_what_it_means(tmp_path):
    method = METHODS["gradient_sum"].options()
    inputs, params = page.audit(tmp_path, methods=[method])
    files = inputs.run(STAGE, params)
    said = files["site/errors.html"].decode()
    assert "Gradient sum: which way" in said and "goes where a pixel becomes lighter; red speaks for the class" in said
    assert "figures/errors-gradient_sum.jpg" in files


def test_the_command_explains_by_it(tmp_path):
    small.write_model(tmp_path / "model.keras")
    small.draw("checks", 1).save(tmp_path / "checks.png")
    words = ["explain", tmp_path / "checks.png", "--model", tmp_path / "model.keras", "--out", tmp_path / "out"]
    maps = []
    for times in (1, 2):
        more = ["--method", "gradient_sum", "--option", f"times={times}"]
        told = CliRunner().invoke(app, [str(word) for word in [*words, *more]])
        assert told.exit_code == 0, told.output
        maps.append(np.array(pq.read_table(tmp_path / "out" / "maps.parquet")["map"][0].as_py()))
    assert (tmp_path / "out" / "checks.png").exists() and (tmp_path / "out" / "checks.pdf").exists()
    assert maps[0].min() < 0 < maps[0].max()
    np.testing.assert_allclose(maps[1], 2 * maps[0], rtol=1e-6)
'''


@pytest.mark.slow
def test_a_method_is_one_file_and_one_line(tmp_path):
    house = copied(tmp_path)
    methods = house / "stages/vision/attribution/methods"
    (methods / "gradient_sum.py").write_text(FILE, encoding="utf-8")
    listed = (methods / "__init__.py").read_text(encoding="utf-8")
    (methods / "__init__.py").write_text(
        listed.replace('    "path",\n', '    "path",\n    "gradient_sum",\n'), encoding="utf-8"
    )
    (house / "tests" / "test_found.py").write_text(FOUND, encoding="utf-8")
    every = "test_docs.py pipeline/test_schema.py test_rules.py stages/vision/methods/test_contract.py"
    names = "test_found or every_method or one_that_ships or gradient_sum or what_is_heavy"
    told = shell(
        house,
        f"""
        make described
        cd tests
        ../.venv/bin/python -m pytest -v -p no:cacheprovider -m "not slow" -k "{names}" test_found.py {every}
        """,
    )
    for test in ("targets_are_honoured[gradient_sum-nested]", "a_record_says_all_that_is_asked_of_it[gradient_sum]"):
        assert f"test_{test} PASSED" in told
