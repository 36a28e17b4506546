"""What an audit cannot give, and why."""

from __future__ import annotations

from activation_atlas.stages.sections import Sections

PARTS = ("cues", "trials", "slices", "concepts", "repair")
NO_NETWORK = "tables hold no network"


def lacking(asked: Sections) -> dict[str, str]:
    """Of an audit that is asked for those of :data:`PARTS` that are not made, and why."""
    section = asked.config.audit
    if section is None:
        return {}
    found, tables = {}, asked.config.model.tables is not None
    if why := asked.unsearched:
        found["cues"] = why
    elif tables:
        found["trials"] = f"{NO_NETWORK} to try cues on"
    if asked.measured:
        found["slices"] = "the model's outputs are quantities, and no image is right or wrong"
    if section.concepts and tables:
        found["concepts"] = NO_NETWORK
    if section.repair and found.keys() & {"cues", "trials"}:
        found["repair"] = "no cue is put to the test"
    return found
