"""The libraries compared with are not needed for anything else: where they are absent, this folder is left out."""

from importlib.util import find_spec

LIBRARIES = ("tf_keras_vis", "tf_explain", "shap", "cv2")

collect_ignore_glob = [] if all(find_spec(name) for name in LIBRARIES) else ["test_*.py"]
