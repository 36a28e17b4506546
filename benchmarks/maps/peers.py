"""What the peers do, each at its best: images in memory as the model receives them, the batch of 64, objects made once,
raw maps (no enlarging, no normalising, where that can be switched off), warmed up with the rest.

A peer that is not installed, or that fails on this TensorFlow, is listed in ``absent`` with the reason.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import version
from typing import Any

import numpy as np

from benchmarks.maps import Task

PACKAGES = {"tf-keras-vis": "tf_keras_vis", "tf-explain": "tf_explain", "xplique": "xplique.attributions"}


class Peers:
    """Tasks of the peers that can be run.

    Args:
        path: of the model file, ending in a softmax.
        received: float32 (batch, h, w, 3), images as the model receives them.
        targets: int32 (batch, 2).
    """

    def __init__(self, path: str, received: np.ndarray, targets: np.ndarray, batch: int) -> None:
        import keras

        keras.utils.disable_interactive_logging()  # tf-explain's progress bars cost it time
        warnings.filterwarnings("ignore", "The structure of `inputs`", UserWarning)
        self.received, self.targets, self.batch = received, targets, batch
        self.model = keras.saving.load_model(path, compile=False)
        self.absent: dict[str, str] = {}
        self.versions: dict[str, str] = {}
        for name, module in PACKAGES.items():
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    import_module(module)
                self.versions[name] = version(name)
            except Exception as error:  # absent, or broken by this TensorFlow
                self._leave_out(name, error)

    def _leave_out(self, name: str, error: Exception) -> None:
        said = (str(error).splitlines() or [""])[0][:120]
        self.absent[name] = f"{type(error).__name__}: {said}"
        print(f"{name} is not run: {self.absent[name]}")

    def _ready(self, makers: dict[str, Callable[[], dict[str, Task]]]) -> dict[str, Task]:
        """Tasks that have run once."""
        found: dict[str, Task] = {}
        for name, make in makers.items():
            if name not in self.absent:
                try:
                    tasks = make()
                    for task in tasks.values():
                        task.call()
                    found |= tasks
                except Exception as error:  # a peer's own trouble must not cost the other figures
                    self._leave_out(name, error)
        return found

    def _logits(self) -> Any:
        """The model up to its logits, for peers that explain whatever it returns."""
        import keras

        copy = keras.models.clone_model(self.model)
        copy.set_weights(self.model.get_weights())
        for layer in reversed(copy.layers):
            if getattr(layer, "activation", None) is keras.activations.softmax:
                layer.activation = keras.activations.linear
                return keras.Model(copy.inputs, copy.outputs)
            if isinstance(layer, keras.layers.Softmax):
                return keras.Model(copy.inputs, layer.input)
        raise ValueError("no softmax in the model")

    def _one_hot(self, images: int, target: int) -> np.ndarray:
        return np.eye(self.model.output_shape[-1], dtype=np.float32)[self.targets[:images, target]]

    def _vis(self, kind: Any, images: int, **options: Any) -> dict[str, Task]:
        from tf_keras_vis.utils.model_modifiers import ReplaceToLinear
        from tf_keras_vis.utils.scores import CategoricalScore

        peer, score = kind(self.model, ReplaceToLinear()), CategoricalScore(self.targets[:images, 0].tolist())
        x = self.received[:images]
        return {"tf-keras-vis": Task(lambda: peer(score, x, **options), images)}

    def grad_cam(self) -> dict[str, Task]:
        """One target; images."""

        def vis() -> dict[str, Task]:
            from tf_keras_vis.gradcam import Gradcam

            return self._vis(Gradcam, self.batch, penultimate_layer=-1, expand_cam=False, normalize_cam=False)

        def xplique() -> dict[str, Task]:
            from xplique.attributions import GradCAM

            return self._xplique(GradCAM, self.batch)

        return self._ready({"tf-keras-vis": vis, "xplique": xplique})

    def _xplique(self, kind: Any, images: int, **options: Any) -> dict[str, Task]:
        import tensorflow as tf

        peer = kind(self._logits(), batch_size=self.batch, **options)
        x, targets = tf.constant(self.received[:images]), tf.constant(self._one_hot(images, 0))
        return {"xplique": Task(lambda: peer.explain(x, targets), images)}

    def saliency(self) -> dict[str, Task]:
        """One target; images."""

        def vis() -> dict[str, Task]:
            from tf_keras_vis.saliency import Saliency

            return self._vis(Saliency, self.batch, normalize_map=False)

        def xplique() -> dict[str, Task]:
            from xplique.attributions import Saliency

            return self._xplique(Saliency, self.batch)

        return self._ready({"tf-keras-vis": vis, "xplique": xplique})

    def occlusion(self, images: int, patch: int, stride: int) -> dict[str, Task]:
        """Two targets, one after the other; windows. tf-explain has no stride: its windows lie side by side."""

        def explain() -> dict[str, Task]:
            from tf_explain.core.occlusion_sensitivity import OcclusionSensitivity

            peer = OcclusionSensitivity(batch_size=self.batch)
            side = -(-self.received.shape[1] // patch)

            def maps(count: int) -> None:
                for x, targets in zip(self.received[:images], self.targets, strict=False):
                    for target in targets[:count]:
                        peer.get_sensitivity_map(self.model, x, int(target), patch)

            windows = images * side**2
            return {
                "tf-explain": Task(lambda: maps(2), windows),
                "tf-explain, one target": Task(lambda: maps(1), windows),
            }

        def xplique() -> dict[str, Task]:
            import tensorflow as tf
            from xplique.attributions import Occlusion

            peer = Occlusion(self._logits(), self.batch, patch_size=patch, patch_stride=stride, occlusion_value=0.0)
            x = tf.constant(self.received[:images])
            each = [tf.constant(self._one_hot(images, target)) for target in (0, 1)]
            windows = images * ((self.received.shape[1] - patch) // stride + 1) ** 2
            return {"xplique": Task(lambda: [peer.explain(x, targets) for targets in each], windows)}

        return self._ready({"tf-explain": explain, "xplique": xplique})

    def score_cam(self, images: int) -> dict[str, Task]:
        """One target, all channels; images."""

        def vis() -> dict[str, Task]:
            from tf_keras_vis.scorecam import Scorecam

            options = {"batch_size": self.batch, "expand_cam": False, "normalize_cam": False}
            return self._vis(Scorecam, images, penultimate_layer=-1, **options)

        return self._ready({"tf-keras-vis": vis})
