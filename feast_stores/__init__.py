"""PostgreSQL stores for Feast: point-in-time joins that finish, wide online rows, materialization in the database.

Feast knows its registry types from a closed list, so importing this package adds ours to it. Feast imports the
package by itself as soon as `feature_store.yaml` names one of our stores, before it looks at the registry.
"""

from feast.repo_config import REGISTRY_CLASS_FOR_TYPE

POSTGRES_REGISTRY = "feast_stores.registry.PostgresRegistry"

REGISTRY_CLASS_FOR_TYPE.setdefault(POSTGRES_REGISTRY, POSTGRES_REGISTRY)
