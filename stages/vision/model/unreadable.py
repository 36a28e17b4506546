"""Why a model file cannot be opened, and what to do: one line."""

from __future__ import annotations

from pathlib import Path

import keras

from activation_atlas.stages.saved import Saved, custom, obstacle


def why(path: str, saved: Saved | None, error: BaseException) -> str:
    """What to say of a file that Keras refused with ``error``."""
    if saved is None and _holds_weights(path):
        return "holds weights only; give the whole model (model.save('model.keras'))"
    known = saved and (obstacle(saved) or _unknown(saved))
    if known:
        return known
    if saved and saved.old:
        return (
            f"was saved by Keras {saved.keras}, and Keras 3 cannot read it ({reason(error)}); build the same network "
            f"with Keras 3, then model.load_weights('{Path(path).name}') and model.save('new.keras')"
        )
    return f"cannot be loaded with safe_mode on ({reason(error)})"


def reason(error: BaseException) -> str:
    """The heart of an error of Keras's, without the configurations around it."""
    text = str(error).rsplit("Exception encountered:", 1)[-1].split("Full object config")[0]
    text = text.split("Please ensure")[0]
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:240].rstrip(".")


def _holds_weights(path: str) -> bool:
    import h5py

    if not h5py.is_hdf5(path):
        return False
    with h5py.File(path) as file:
        weights = "layer_names" in file.attrs or "model_weights" in file or "layers" in file
        return weights and "model_config" not in file.attrs


def _unknown(saved: Saved) -> str | None:
    """The first layer or activation whose class has a bare name that Keras does not know."""
    for found in saved.objects():
        kind, own = found["class_name"], found["config"]
        if kind == "function":
            if isinstance(own, str) and not hasattr(keras.activations, own) and not _registered(own):
                return saved.said(custom(own, ""))
        elif (
            (saved.old or found.get("module") is None)
            and isinstance(own, dict)
            and "name" in own
            and "trainable" in own
        ):
            known = hasattr(keras.layers, kind) or hasattr(keras, kind) or kind in _RECORDED
            if not known and not _registered(kind):
                return saved.said(custom(kind, own["name"]))
    return None


_RECORDED = ("Functional", "TFOpLambda", "SlicingOpLambda")
"""What Keras 2 called a graph, and operations of TensorFlow in it."""


def _registered(name: str) -> bool:
    return keras.saving.get_registered_object(name) is not None
