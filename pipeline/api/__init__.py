"""From a folder of images and a Keras classifier to an activation atlas.

    import activation_atlas as aa

    done = aa.run("mine.yaml")                      # what is missing or stale, and nothing else
    run = aa.open_run("runs/mine")                  # also of a run that somebody else made
    cells = run.table("cells/late")                 # pandas, or format="arrow"
    run.image(cells.exemplars[0][0]["image_id"])    # the photograph behind a cell
    (image,) = aa.explain("dog.jpg", "model.keras", ["grad_cam", "occlusion"])
    seen = aa.look("dog.jpg", "model.keras")        # filters and feature maps: pictures and arrays

Everything here is loaded when it is first asked for: importing the package costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

__all__ = [
    "Atlas",
    "AttentionMaps",
    "Begun",
    "Compared",
    "Config",
    "Doubt",
    "Explained",
    "FeatureMaps",
    "Filters",
    "LayerInfo",
    "Look",
    "Map",
    "Maximised",
    "ModelSpec",
    "Parity",
    "Patched",
    "Plan",
    "PlannedStep",
    "Pruned",
    "RunFolder",
    "RunResult",
    "TableWriter",
    "UserError",
    "attention",
    "compare",
    "explain",
    "feature_maps",
    "filters",
    "image_id",
    "init",
    "layers",
    "load_config",
    "look",
    "maximise",
    "open_run",
    "panel",
    "parity",
    "patch",
    "plan",
    "prune",
    "run",
]

if TYPE_CHECKING:
    from activation_atlas.pipeline.commands import Plan, PlannedStep, layers, plan, run
    from activation_atlas.pipeline.comparing import compare_runs as compare
    from activation_atlas.pipeline.config import Config
    from activation_atlas.pipeline.config import load as load_config
    from activation_atlas.pipeline.init import Begun, init
    from activation_atlas.pipeline.patching import patch_of as patch
    from activation_atlas.pipeline.pruning import Pruned, prune
    from activation_atlas.pipeline.results import Atlas, Doubt, RunFolder, RunResult, open_run
    from activation_atlas.stages.adversarial import Patched
    from activation_atlas.stages.compared import Compared
    from activation_atlas.stages.doubt.parity import Parity, parity
    from activation_atlas.stages.explain.interactive import Explained, Map
    from activation_atlas.stages.explain.interactive import explain_images as explain
    from activation_atlas.stages.explain.panel import panel_of as panel
    from activation_atlas.stages.extract.writer import TableWriter
    from activation_atlas.stages.look.attention import AttentionMaps, attention
    from activation_atlas.stages.look.filters import Filters
    from activation_atlas.stages.look.filters import learned_filters as filters
    from activation_atlas.stages.look.interactive import Look, look
    from activation_atlas.stages.look.maps import FeatureMaps, feature_maps
    from activation_atlas.stages.look.maximised import Maximised
    from activation_atlas.stages.look.maximising import maximise
    from activation_atlas.stages.sources import image_id
    from activation_atlas.stages.specs import ModelSpec
    from activation_atlas.stages.stage import UserError
    from activation_atlas.stages.vision.layer_info import LayerInfo
else:
    _PLACES = {
        **dict.fromkeys(("Plan", "PlannedStep", "layers", "plan", "run"), "pipeline.commands"),
        **dict.fromkeys(("Begun", "init"), "pipeline.init"),
        **{"Config": "pipeline.config", "load_config": "pipeline.config:load"},
        **dict.fromkeys(("Atlas", "Doubt", "RunFolder", "RunResult", "open_run"), "pipeline.results"),
        **dict.fromkeys(("Pruned", "prune"), "pipeline.pruning"),
        **{"Compared": "stages.compared", "compare": "pipeline.comparing:compare_runs"},
        **{"Patched": "stages.adversarial", "patch": "pipeline.patching:patch_of"},
        **dict.fromkeys(("Parity", "parity"), "stages.doubt.parity"),
        **dict.fromkeys(("Explained", "Map"), "stages.explain.interactive"),
        **{"explain": "stages.explain.interactive:explain_images", "panel": "stages.explain.panel:panel_of"},
        **dict.fromkeys(("Look", "look"), "stages.look.interactive"),
        **dict.fromkeys(("FeatureMaps", "feature_maps"), "stages.look.maps"),
        **dict.fromkeys(("AttentionMaps", "attention"), "stages.look.attention"),
        **{"Maximised": "stages.look.maximised", "maximise": "stages.look.maximising"},
        **{"Filters": "stages.look.filters", "filters": "stages.look.filters:learned_filters"},
        **{"TableWriter": "stages.extract.writer", "image_id": "stages.sources"},
        **{"LayerInfo": "stages.vision.layer_info", "ModelSpec": "stages.specs", "UserError": "stages.stage"},
    }

    def __getattr__(name):
        if name not in _PLACES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        module, _, own = _PLACES[name].partition(":")
        found = globals()[name] = getattr(import_module(f"{__name__}.{module}"), own or name)
        return found

    def __dir__():
        return sorted({*globals(), *__all__})
