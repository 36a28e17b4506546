"""Imports TensorFlow without what its libraries print on standard error before they can be told not to.

Import this module before anything that imports TensorFlow. With another
``TF_CPP_MIN_LOG_LEVEL`` than 3 (errors that end the process) nothing is held back.
"""

from __future__ import annotations

import logging
import os
import sys
import tempfile

LEVEL = "TF_CPP_MIN_LOG_LEVEL"


def _import() -> None:
    kept = os.dup(2)
    with tempfile.TemporaryFile() as said:
        os.dup2(said.fileno(), 2)
        try:
            import tensorflow  # noqa: F401
        except BaseException:
            said.seek(0)
            os.write(kept, said.read())  # it did not come up: what it said may tell why
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)
    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # advice on tracing, for those who write models


if "tensorflow" not in sys.modules and os.environ.setdefault(LEVEL, "3") == "3":
    _import()
