"""What `feast apply` registers; Feast looks for objects among the names of this module."""

from feature_repo.manifest import load_feature_models
from feature_repo.views import feast_objects

globals().update({f"{type(item).__name__}_{item.name}": item for item in feast_objects(load_feature_models())})
