"""What `feast apply` registers; Feast looks for objects among the names of this module.

Only `feast apply` and `feast plan` import it. So for an apply it first makes ready what has to stand before
anything is registered: an apply by hand is as safe as `publish.py`, which alone forgets what is registered no more.
A plan changes nothing: what it had promised, nobody could take back.
"""

import click

from common.errors import PlatformError
from feature_repo.manifest import load_feature_models
from feature_repo.publish import prepare
from feature_repo.views import feast_objects

command = click.get_current_context(silent=True)
try:
    models = load_feature_models()
    if command is None or command.info_name != "plan":
        prepare(models)
except PlatformError as error:
    raise SystemExit(f"Error: {error}") from error

globals().update({f"{type(item).__name__}_{item.name}": item for item in feast_objects(models)})
