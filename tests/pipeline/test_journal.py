"""Files that grow by lines: what a kill leaves of them is read, and goes on."""

import pytest

from activation_atlas.pipeline import journal


@pytest.mark.parametrize("torn", ['{"a": ', '{"a": 9}', "[1]", "\x00\x00"])
def test_a_line_that_is_half_written_takes_no_other_with_it(tmp_path, torn):
    path = tmp_path / "below/lines.jsonl"
    assert journal.lines(path) == []
    journal.append(path, {"a": 1})
    with open(path, "a") as file:
        file.write(torn)
    whole = [{"a": 9}] if torn == '{"a": 9}' else []
    assert journal.lines(path) == [{"a": 1}, *whole]
    journal.append(path, {"b": "\N{SNOWMAN}"})
    assert journal.lines(path) == [{"a": 1}, *whole, {"b": "\N{SNOWMAN}"}]
    path.write_text(journal.text(journal.lines(path)))
    assert journal.lines(path)[-1] == {"b": "\N{SNOWMAN}"} and len(path.read_text().splitlines()) == 2 + len(whole)
