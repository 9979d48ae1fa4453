"""How MLflow's registry is asked for a version that may not be there, by training and by serving."""

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

_ABSENT = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")  # how MLflow says that there is no such thing


def find_by_alias(client: MlflowClient, name: str, alias: str) -> ModelVersion | None:
    """The version of model `name` that bears the alias; None when there is none, or no such model.

    Raises:
        MlflowException: MLflow cannot be reached, or refuses.
    """
    try:
        return client.get_model_version_by_alias(name, alias)
    except MlflowException as error:
        if error.error_code in _ABSENT or (error.error_code == "PERMISSION_DENIED" and not _is_there(client, name)):
            return None
        raise


def _is_there(client: MlflowClient, name: str) -> bool:
    """Asked of the model itself: MLflow with a login forbids to see the alias of a model that is not there."""
    try:
        client.get_registered_model(name)
    except MlflowException as error:
        return error.error_code not in _ABSENT
    return True
