"""``python -m benchmarks.xplique_parity``: our maps beside those of xplique 2.0, on a small network.

A script and no test: xplique's pins refuse this TensorFlow. It runs when installed without them, into a folder of its
own. It is given the logits as its model, because its ``output_layer`` is ignored; and one target at a time.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

PACKAGES = (
    "xplique==2.0.2 deprecated einops opencv-python-headless scikit-image lazy_loader imageio tifffile networkx "
    "tensorflow-probability==0.25.0 tf-keras dm-tree decorator"
)
INSTALL = f"pip install --no-deps --target xplique {PACKAGES} && PYTHONPATH=xplique python -m benchmarks.xplique_parity"


def difference(ours: np.ndarray, theirs: np.ndarray) -> float:
    """max |ours - theirs| / max |theirs|."""
    ours, theirs = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
    assert ours.shape == theirs.shape and np.abs(theirs).max() > 0
    return float(np.abs(ours - theirs).max() / np.abs(theirs).max())


def topped(maps: np.ndarray) -> np.ndarray:
    """Each map over its largest value: what is left when a factor for each map does not matter."""
    return maps / np.abs(maps).max((-2, -1), keepdims=True)


class Xplique:
    """Xplique's maps of a case's images and targets."""

    def __init__(self, case: Any) -> None:
        self.case = case

    def __call__(self, kind: type, **options: Any) -> np.ndarray:
        """(n, k, h, w, its own channels)."""
        import tensorflow as tf

        explain, classes = kind(self.case.logits, **options), self.case.logits.output_shape[-1]
        columns = [tf.one_hot(column, classes) for column in self.case.targets.T]
        return np.stack([np.asarray(explain(self.case.received, targets)) for targets in columns], 1)


def grad_cam(case: Any, theirs: Xplique) -> dict[str, float]:
    import tensorflow as tf
    from xplique.attributions import GradCAM, GradCAMPP

    from activation_atlas.stages.vision.attribution.methods.cam import GradCam, GradCamPlusPlus

    class Summed(GradCAMPP):
        """Theirs with activations times the positions: so that the mean it takes of them is their sum."""

        @staticmethod
        def _compute_weights(gradients: tf.Tensor, activations: tf.Tensor) -> tf.Tensor:
            return GradCAMPP._compute_weights(gradients, activations * np.prod(activations.shape[1:3]))

    def enlarged(options: Any) -> np.ndarray:
        maps = case.maps(options).values
        large = tf.image.resize(maps.reshape(-1, *maps.shape[2:], 1), case.pixels.shape[1:3], "bicubic")
        return large.numpy().reshape(*maps.shape[:2], *case.pixels.shape[1:3])

    plus = topped(enlarged(GradCamPlusPlus(layer="middle")))
    return {
        "Grad-CAM, enlarged bicubically": difference(
            enlarged(GradCam(layer="middle")), theirs(GradCAM, conv_layer="middle")[..., 0]
        ),
        "Grad-CAM++, over its largest value: it takes the mean of A where the paper takes the sum": difference(
            plus, topped(theirs(GradCAMPP, conv_layer="middle")[..., 0])
        ),
        "Grad-CAM++, the same with the sum": difference(plus, topped(theirs(Summed, conv_layer="middle")[..., 0])),
    }


def gradients(case: Any, theirs: Xplique) -> dict[str, float]:
    from xplique.attributions import DeconvNet, GradientInput, GuidedBackprop, IntegratedGradients, Saliency

    from activation_atlas.stages.methods import METHODS

    def ours(options: Any) -> np.ndarray:
        return case.maps(options).values

    points = theirs(IntegratedGradients, steps=21, reducer="sum")[..., 0]
    return {
        "saliency": difference(ours(METHODS["saliency"].options()), theirs(Saliency)[..., 0]),
        "gradient x input, colours added": difference(
            ours(METHODS["gradient_x_input"].options()), theirs(GradientInput, reducer="sum")[..., 0]
        ),
        "integrated gradients, baseline zero, its 21 points our 20 intervals, colours added": difference(
            ours(METHODS["integrated_gradients"].options(steps=20, baseline="zero")), points
        ),
        "guided backprop, largest |g| of the colours": difference(
            ours(METHODS["guided_backprop"].options()), np.abs(theirs(GuidedBackprop, reducer=None)).max(-1)
        ),
        "deconvnet, largest |g| of the colours": difference(
            ours(METHODS["deconvnet"].options()), np.abs(theirs(DeconvNet, reducer=None)).max(-1)
        ),
    }


def occlusion(case: Any, theirs: Xplique) -> dict[str, float]:
    from xplique.attributions import Occlusion as Theirs

    from activation_atlas.stages.vision.attribution.methods.occlusion import Occlusion
    from activation_atlas.stages.vision.place import spread

    found = {}
    for patch, stride in ((3, 3), (6, 2)):
        values = case.maps(Occlusion(patch=patch, stride=stride, fill=0)).values
        size = case.pixels.shape[1:3]
        ours = [
            spread(v, size, (patch, patch), (stride, stride), "whole", "sum")
            for v in values.reshape(-1, *values.shape[2:])
        ]
        peer = theirs(Theirs, patch_size=patch, patch_stride=stride, occlusion_value=0.0)[..., 0]
        found[f"occlusion, patch {patch}, stride {stride}, fill 0, windows added"] = difference(
            np.reshape(ours, peer.shape), peer
        )
    return found


def rise(case: Any, theirs: Xplique) -> dict[str, float]:
    """With our masks in its hands; it divides by the sum of the masks at each pixel, which is taken back."""
    import tensorflow as tf
    from xplique.attributions import Rise as Theirs

    from activation_atlas.stages.vision.attribution.methods.rise import Rise, draw

    options, size = Rise(masks=50, cells=8, keep=0.5), case.pixels.shape[1:3]
    ours, peers = case.maps(options).values, []
    before, crop = Theirs._get_masks, tf.image.random_crop
    tf.config.run_functions_eagerly(True)
    try:
        for x, targets, image_id in zip(case.received, case.targets, case.ids, strict=True):
            grids, shifts = draw(0, image_id, options.masks, options.cells, options.keep, size)
            for target in targets:
                left, seen = iter(shifts), []

                def cropped(masks: tf.Tensor, shape: Any, left: Any = left, seen: Any = seen) -> tf.Tensor:
                    top, side = next(left)
                    seen.append(masks[:, top : top + size[0], side : side + size[1]])
                    return seen[-1]

                Theirs._get_masks = staticmethod(lambda *given, grids=grids: tf.constant(grids[..., None]))
                tf.image.random_crop = cropped
                explain = Theirs(case.logits, batch_size=1, nb_samples=options.masks, grid_size=options.cells)
                found = explain(x[None], tf.one_hot([target], case.logits.output_shape[-1])).numpy()[0, ..., 0]
                weight = tf.add_n(seen).numpy()[0, ..., 0] + Theirs.EPSILON
                peers.append(found * weight / (options.masks * options.keep))
    finally:
        tf.config.run_functions_eagerly(False)
        Theirs._get_masks, tf.image.random_crop = staticmethod(before), crop
    return {
        "RISE, our masks given to it, its division by their sum taken back": difference(
            ours, np.reshape(peers, ours.shape)
        )
    }


PARTS: tuple[tuple[Callable[[Any, Xplique], dict[str, float]], tuple[float, float]], ...] = (
    (grad_cam, (0, 255)),
    (gradients, (-1, 1)),
    (occlusion, (0, 255)),
    (rise, (0, 255)),
)
"""Each part and the values its model receives: what hides is zero in xplique, which is black where black is zero."""


def main() -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        import xplique
    except ImportError as error:
        sys.exit(f"xplique_parity: {error}; {INSTALL}")
    from tests.peers.networks import case

    print(f"xplique {xplique.__version__}: largest difference over its largest value")
    for part, values in PARTS:
        with tempfile.TemporaryDirectory() as folder:
            small = case(Path(folder), values)
            for what, value in part(small, Xplique(small)).items():
                print(f"{value:.1e}  {what}")


if __name__ == "__main__":
    main()
