"""A vision transformer as large as people use them, its weights drawn at random: speed asks for no others."""

from __future__ import annotations

from pathlib import Path

SIZE, PATCH, CLASSES = 224, 14, 1000


def saved(folder: Path) -> tuple[str, str]:
    """A ViT-S/14 of KerasHub's DINOv2 class with a linear head on its class token: its file, and its ninth block."""
    import keras
    from keras_hub.models import DINOV2Backbone

    keras.utils.set_random_seed(0)
    shape = {"image_shape": (SIZE, SIZE, 3), "position_embedding_shape": (SIZE, SIZE)}
    own = {"num_layers": 12, "hidden_dim": 384, "num_heads": 6, "intermediate_dim": 1536}
    backbone = DINOV2Backbone(patch_size=PATCH, use_mask_token=False, name="vit", **own, **shape)
    image = keras.Input((SIZE, SIZE, 3))
    tokens = backbone({"images": keras.layers.Rescaling(1 / 127.5, -1)(image)})
    model = keras.Model(image, keras.layers.Dense(CLASSES, activation="softmax")(tokens[:, 0]))
    path = folder / "vit_s14.keras"
    model.save(path)
    return str(path), f"vit/{backbone.get_layer(index=2).name}/layers_8"
