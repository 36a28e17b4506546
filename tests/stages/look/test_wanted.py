"""What is maximised: its vectors, and the one line for what is not there."""

import numpy as np
import pytest

from activation_atlas.stages.look import wanted
from activation_atlas.stages.stage import UserError


def test_numbers_as_a_command_is_given_them():
    assert wanted.numbers("0-3, 7,2") == [0, 1, 2, 3, 7]
    for wrong in ("3-1", "a", "1,,2", "-4", ""):
        with pytest.raises(UserError, match="--channels"):
            wanted.numbers(wrong)


def test_a_channel_is_a_vector_with_a_single_one():
    (one,) = wanted.channels([2], 4, "relu")
    assert (one.kind, one.index, one.name, one.vector.tolist()) == ("channel", 2, "2", [0, 0, 1, 0])
    for wrong in (4, -1, True, 1.5):
        with pytest.raises(UserError, match=f"channel {wrong}: layer relu has 4, 0 to 3"):
            wanted.channels([wrong], 4, "relu")
    with pytest.raises(UserError, match="none is given"):
        wanted.channels([], 4, "relu")


def test_a_neuron_lies_on_the_map():
    assert wanted.neuron((6, 0), (7, 5), "relu") == "at:6,0"
    for wrong in ((7, 0), (0, 5), (-1, 0)):
        with pytest.raises(UserError, match="layer relu has 7 x 5, rows 0 to 6 and columns 0 to 4"):
            wanted.neuron(wrong, (7, 5), "relu")


def test_directions_are_brought_to_length_one(tmp_path):
    np.save(tmp_path / "d.npy", np.array([[3, 4, 0], [0, 0, 2]]))
    first, second = wanted.directions(tmp_path / "d.npy", 3, "relu")
    assert first.vector.tolist() == [0.6, 0.8, 0] and second.name == "direction 1"
    (tmp_path / "no.npy").write_bytes(b"no array")
    for given, said in (
        (np.ones((2, 4)), "2 x 4 of float64; layer relu has 3 channels, so n x 3 numbers"),
        (np.array(["a", "b", "c"]), "layer relu has 3 channels"),
        ([[0, 0, 0]], "row 0 is zero or not finite"),
        ([[1, np.nan, 0]], "row 0 is zero or not finite"),
        (tmp_path / "no.npy", "no.npy: cannot be read"),
        (tmp_path / "none.npy", "none.npy: cannot be read"),
    ):
        with pytest.raises(UserError, match=said):
            wanted.directions(given, 3, "relu")


def test_classes_by_name_or_index():
    found = wanted.classes(["cat", "0", "cat"], ["dog", "cat"])
    assert [(one.index, one.name) for one in found] == [(1, "cat"), (0, "dog")]
    with pytest.raises(UserError):
        wanted.classes(["cow"], ["dog", "cat"])
