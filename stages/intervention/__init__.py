"""Images changed in one rectangle: a patch pasted, or what is there taken out. A leaf.

Rectangles are (top, left, bottom, right) in pixels, bottom and right exclusive; images uint8 (h, w, c). Nothing outside
the rectangle changes.
"""

from activation_atlas.stages.intervention.controls import noise_like
from activation_atlas.stages.intervention.places import Rect, around, beside, cut, drawn, middle, paste
from activation_atlas.stages.intervention.removal import REMOVALS, blur, inpaint

__all__ = ["REMOVALS", "Rect", "around", "beside", "blur", "cut", "drawn", "inpaint", "middle", "noise_like", "paste"]
