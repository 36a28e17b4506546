"""TensorFlow, loaded when something of it is first used.

``from activation_atlas.stages.vision.lazy import tf`` is for files that must be light to import and work with
TensorFlow all the same: those of the attribution methods, whose options and words every command knows.
"""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import tensorflow as tf
else:

    class _Lazy(ModuleType):
        def __getattr__(self, name: str) -> Any:
            from activation_atlas.stages.vision import quiet  # noqa: F401, I001 - before what imports TensorFlow
            import tensorflow

            value = getattr(tensorflow, name)
            setattr(self, name, value)  # found without this function from now on
            return value

    tf = _Lazy("tensorflow")

__all__ = ["tf"]
