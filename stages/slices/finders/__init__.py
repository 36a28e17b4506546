"""The finders: a new one is a file with a ``FINDER`` and a line here."""

from __future__ import annotations

from activation_atlas.stages.slices.finders import cells, confusion, domino, highest_loss, planespot, spray
from activation_atlas.stages.slices.images import Finder

FINDERS: dict[str, Finder] = {
    module.FINDER.name: module.FINDER for module in (confusion, highest_loss, planespot, domino, cells, spray)
}
