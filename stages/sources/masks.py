"""A folder of masks beside the images: which there are, and which is whose."""

from __future__ import annotations

import posixpath
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence

from activation_atlas.stages.sources.places import Place
from activation_atlas.stages.stage import UserError

_ROW = re.compile(r"(?:.*\.(?:parquet|pq)#\d+@|demo:\w+#)(.*)", re.DOTALL | re.IGNORECASE)


def listed(folder: str, where: str) -> dict[str, str]:
    """The PNG files of a folder of masks: relative path to stamp.

    Raises:
        UserError: there is no such folder, or none in it.
    """
    place = Place.at(folder)
    if not place.isdir():
        raise UserError(f"{where}: {place.shown} is no folder; give one of PNG files, named like the images")
    found = {entry.path: entry.stamp for entry in place.walk() if entry.path.lower().endswith(".png")}
    if not found:
        raise UserError(f"{where}: {place.shown} holds no PNG files; give one for each image, named like it")
    return found


def matched(uris: Mapping[str, str], masks: Sequence[str], where: str) -> dict[str, str]:
    """The mask of each image that has one, image id to path of the mask.

    A mask is called like its image: by as much of the image's path as is given, but for the extension (``dog/1.png``
    for ``photos/dog/1.jpg``, or ``1.png`` where one image only is called so), or by the image's id.

    Args:
        uris: image id to uri, of all images.
        masks: paths relative to their folder.
        where: the key of the configuration that named it, for what is refused.

    Raises:
        UserError: a mask that fits several images.
    """
    stems = {posixpath.splitext(path)[0]: path for path in sorted(masks)}
    found: dict[str, str] = {}
    images: dict[str, list[str]] = defaultdict(list)
    for image_id, uri in uris.items():
        row = _ROW.fullmatch(uri)
        parts = posixpath.splitext(row[1] if row else uri)[0].replace("\\", "/").split("/")
        tails = ("/".join(parts[k:]) for k in range(len(parts)))
        stem = image_id if image_id in stems else next((t for t in tails if t in stems), None)
        if stem is not None:
            found[image_id] = stems[stem]
            images[stem].append(uri)
    for stem, several in images.items():
        if len(several) > 1:
            raise UserError(
                f"{where}: {stems[stem]} fits {len(several)} images, e.g. {several[0]} and {several[1]}; "
                "lay the masks in folders as the images are"
            )
    return found
