"""The guide to failures names messages as the code says them; what causes each is held by the tests of its part."""

import ast
import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow  # all of the code is parsed
ROOT = Path(__file__).parent.parent
ROWS = re.findall(r"^\| `([^`]+)` \|", (ROOT / "docs/guides/operations.md").read_text(encoding="utf-8"), re.MULTILINE)


@pytest.fixture(scope="module")
def said():
    """Every piece of text in the code; what a format string fills in parts two of them."""
    paths = [path for top in ("pipeline", "stages") for path in (ROOT / top).rglob("*.py")]
    nodes = (node for path in paths for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    return {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def test_there_are_messages():
    assert len(ROWS) > 15


@pytest.mark.parametrize("message", ROWS)
def test_the_code_says_it(said, message):
    for piece in filter(None, (piece.strip(" …():;,.") for piece in message.split("…"))):
        assert any(piece in text for text in said), piece
