"""Classes from a JSON, YAML or Python value."""

from __future__ import annotations

from typing import Any

from activation_atlas.stages.classes.numbering import FORMS, INDEX, Classes, called, in_order, is_index, named

_HOLDERS = (
    *("id2label", "label2id", "names", "class_names", "classes", "labels", "categories", "class_indices"),
    "class_to_idx",
)


def classes_in(data: Any) -> Classes:
    """Classes of a list, of a mapping from or to their numbers, or of what a file holds under a usual key.

    Raises:
        ValueError: it is none of these.
    """
    if isinstance(data, dict):
        for key in _HOLDERS:
            if isinstance(data.get(key), (dict, list)):
                return classes_in(data[key])
        whole = all(isinstance(value, int) and not isinstance(value, bool) for value in data.values())
        indices = all(is_index(key) for key in data)
        if data and (whole or (not indices and all(is_index(value) for value in data.values()))):
            return in_order([(int(index), name) for name, index in data.items()])
        if data and not indices:
            raise ValueError(f"must hold {FORMS}")
        return in_order([(int(index), value) for index, value in data.items()])
    if not isinstance(data, (list, tuple)):
        raise ValueError(f"must hold {FORMS}")
    if data and all(isinstance(item, dict) for item in data):
        index = next((key for key in INDEX if all(is_index(item.get(key)) for item in data)), None)
        if index is not None:
            return in_order([(int(item[index]), item) for item in data])
    if data and all(isinstance(item, (list, tuple)) and len(item) == 2 and is_index(item[0]) for item in data):
        return in_order([(int(index), name) for index, name in data])
    return named([called(item) for item in data])
