"""Feast's objects, made from the dbt models: nothing about a feature is written down twice."""

from collections.abc import Sequence
from datetime import timedelta

from feast import Entity, FeatureService, FeatureView, Field, ValueType
from feast.infra.offline_stores.contrib.postgres_offline_store.postgres_source import PostgreSQLSource
from feast.types import Int64

from feature_repo.manifest import FeatureModel

# A film's own features do not age: what was known on release day stays true. The ttl says so by spanning all of
# cinema. Zero would say it too, but then a first `feast materialize-incremental` takes only the last 52 weeks.
NEVER_EXPIRES = timedelta(days=200 * 365)

REFERENCE_VIEW = "movie_reference"


def movie_entity() -> Entity:
    """The film, by its TMDB id."""
    return Entity(name="movie", join_keys=["movie_id"], value_type=ValueType.INT64, description="A film, by TMDB id.")


def feature_view(model: FeatureModel, entity: Entity) -> FeatureView:
    """The view on one model: its columns, types, descriptions and tags."""
    source = PostgreSQLSource(
        name=model.view_name,
        table=model.table,
        timestamp_field="event_timestamp",
        created_timestamp_column="created_timestamp",
        description=f"dbt model {model.name}",
    )
    schema = [
        Field(name=feature.name, dtype=feature.feast_type, description=feature.description, tags=dict(feature.tags))
        for feature in model.features
    ]
    return FeatureView(
        name=model.view_name,
        entities=[entity],
        schema=[Field(name="movie_id", dtype=Int64, description="TMDB id of the film."), *schema],
        source=source,
        ttl=NEVER_EXPIRES,
        online=True,
        description=model.description,
        tags={"dbt_model": model.name, "families": ",".join(sorted(model.families))},
    )


def feature_services(models: Sequence[FeatureModel], views: Sequence[FeatureView]) -> list[FeatureService]:
    """The services: what is known on release day, and the reference project's ten features."""
    late = {model.view_name for model in models if "after_release" in model.families}
    return [
        FeatureService(
            name="movie_bechdel_v1",
            features=[view for view in views if view.name not in late],
            description="What is known about a film on its release day, for predicting its Bechdel rating.",
        ),
        FeatureService(
            name="movie_reference_v1",
            features=[view for view in views if view.name == REFERENCE_VIEW],
            description="The ten features of nedwebster/bechdel-test-predictor, for comparison only: several of them "
            "are known after release only.",
        ),
    ]


def feast_objects(models: Sequence[FeatureModel]) -> list[Entity | FeatureView | FeatureService]:
    """Everything that the registry should hold."""
    entity = movie_entity()
    views = [feature_view(model, entity) for model in models]
    return [entity, *views, *feature_services(models, views)]
