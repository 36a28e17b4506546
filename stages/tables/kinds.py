"""Types of the columns that several tables have."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

POSITION = [("image_id", pa.string()), ("row", pa.int16()), ("col", pa.int16())]
CELL = [("grid", pa.int16()), ("cell_x", pa.int16()), ("cell_y", pa.int16())]
MEMBER = pa.struct([("image_id", pa.string()), ("row", pa.int16()), ("col", pa.int16())])
PNG = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def vector(size: int, dtype: str | pa.DataType = "float32") -> pa.DataType:
    """Arrow type of a vector of ``size`` numbers."""
    return pa.list_(_arrow(dtype), size)


def _arrow(dtype: str | pa.DataType) -> pa.DataType:
    return dtype if isinstance(dtype, pa.DataType) else pa.from_numpy_dtype(np.dtype(dtype))
