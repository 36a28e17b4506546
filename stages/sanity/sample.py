"""The maps of a sample of images, read part by part: what is held does not grow with the images that have maps."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from activation_atlas.stages import tables
from activation_atlas.stages.stage import Inputs


def sampled(inputs: Inputs, table: str, part: int, columns: Sequence[str], ids: pa.Array) -> pa.Table:
    """Copies of the rows of the images ``ids`` in one part of a table of maps.

    Of a part that has none of them, nothing but its own ids is read.
    """
    among = pc.is_in(inputs.part(table, part, ["image_id"])["image_id"], value_set=ids)
    if not pc.any(among).as_py():
        return tables.maps().empty_table().select(list(columns))
    return inputs.part(table, part, columns).filter(among)
