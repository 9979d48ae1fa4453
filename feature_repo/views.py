"""Feast's objects, made from the dbt models: nothing about a feature is written down twice."""

from collections.abc import Mapping, Sequence
from datetime import timedelta

from feast import Entity, FeatureService, FeatureView, Field, ValueType
from feast.infra.offline_stores.contrib.postgres_offline_store.postgres_source import PostgreSQLSource

from feature_repo.manifest import FeatureModel

# Features do not age: what was known on release day stays true, and a track record holds until the next film. The ttl
# says so by spanning all of cinema. Zero would say it too, but then a first `feast materialize-incremental` takes
# only the last 52 weeks.
NEVER_EXPIRES = timedelta(days=200 * 365)

REFERENCE_VIEW = "movie_reference"

ENTITIES = {
    "movie": "A film, by TMDB id.",
    "person": "Somebody in a cast or crew, by TMDB id.",
    "company": "A production company, by name: the rated file has no ids.",
    "genre": "A film genre, by TMDB's English name.",
    "country": "A production country, by TMDB's English name.",
}

VALUE_TYPES = {"bigint": ValueType.INT64, "text": ValueType.STRING}


def feature_entity(model: FeatureModel) -> Entity:
    """What the model's rows are about."""
    return Entity(
        name=model.entity,
        join_keys=[model.key.name],
        value_type=VALUE_TYPES[model.key.data_type],
        description=ENTITIES[model.entity],
    )


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
        for feature in (model.key, *model.features)
    ]
    return FeatureView(
        name=model.view_name,
        entities=[entity],
        schema=schema,
        source=source,
        ttl=NEVER_EXPIRES,
        online=True,
        description=model.description,
        tags={"dbt_model": model.name, "families": ",".join(sorted(model.families))},
    )


def feature_services(models: Sequence[FeatureModel], views: Mapping[str, FeatureView]) -> list[FeatureService]:
    """The services: what is known on release day, with and without history, ever after, and the reference's ten."""
    of_films = [model for model in models if model.entity == "movie" and model.view_name != REFERENCE_VIEW]

    def inputs(without: set[str]) -> list[FeatureView]:
        """The views on films but for some families, with the columns that a model may learn from."""
        chosen = [model for model in of_films if not model.families & without]
        return [_model_inputs(model, views[model.view_name]) for model in chosen]

    return [
        FeatureService(
            name="movie_bechdel_v1",
            features=inputs({"history", "after_release"}),
            description="What is known about a film on its release day, for predicting its Bechdel rating.",
        ),
        FeatureService(
            name="movie_bechdel_history_v1",
            features=inputs({"after_release"}),
            description="movie_bechdel_v1 and what its people, studios, genres and countries did before. No more "
            "accurate on the real films, so the champion does without: docs/benchmarks/ablation.md.",
        ),
        FeatureService(
            name="movie_bechdel_anytime_v1",
            features=inputs(set()),
            description="movie_bechdel_history_v1 and votes and revenue: for films that are out, never for a "
            "release day. Ask for it with timestamps of now.",
        ),
        FeatureService(
            name="movie_reference_v1",
            features=[views[REFERENCE_VIEW]] if REFERENCE_VIEW in views else [],
            description="The ten features of nedwebster/bechdel-test-predictor, for comparison only: several of them "
            "are known after release only.",
        ),
    ]


def _model_inputs(model: FeatureModel, view: FeatureView) -> FeatureView:
    if all(feature.is_model_input for feature in model.features):
        return view
    return view[[feature.name for feature in model.features if feature.is_model_input]]


def feast_objects(models: Sequence[FeatureModel]) -> list[Entity | FeatureView | FeatureService]:
    """Everything that the registry should hold."""
    entities = {model.entity: feature_entity(model) for model in models}
    views = {model.view_name: feature_view(model, entities[model.entity]) for model in models}
    return [*entities.values(), *views.values(), *feature_services(models, views)]
