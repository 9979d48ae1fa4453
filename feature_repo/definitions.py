"""What `feast apply` registers; Feast looks for objects among the names of this module.

Only `feast apply` and `feast plan` import it. So it first makes ready what has to stand before anything is
registered: an apply by hand is as safe as `publish.py`, which alone forgets what is registered no more.
"""

from common.errors import PlatformError
from feature_repo.manifest import load_feature_models
from feature_repo.publish import prepare
from feature_repo.views import feast_objects

try:
    models = load_feature_models()
    prepare(models)
except PlatformError as error:
    raise SystemExit(f"Error: {error}") from error

globals().update({f"{type(item).__name__}_{item.name}": item for item in feast_objects(models)})
