"""What a point-in-time join needs to know of one feature view, whichever way it is computed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


def quote(name: str) -> str:
    """An SQL identifier, for PostgreSQL and DuckDB alike."""
    return '"' + name.replace('"', '""') + '"'


@dataclass(frozen=True)
class Feature:
    """One requested feature: the source's column, and its name in the result."""

    column: str
    name: str


@dataclass(frozen=True)
class FeatureSource:
    """One feature view in one request.

    `keys` maps the entity frame's column to the source's column. `relation` is a table's name or a query in
    parentheses. `ttl_seconds` is 0 when values never expire.
    """

    view: str
    relation: str
    keys: Mapping[str, str]
    features: tuple[Feature, ...]
    event_time: str
    created_time: str | None
    ttl_seconds: int

    @classmethod
    def from_context(cls, context: Any, *, full_feature_names: bool) -> "FeatureSource":
        """Translate Feast's FeatureViewQueryContext."""
        prefix = f"{context.name}__" if full_feature_names else ""
        pairs = [selection.split(" AS ") for selection in context.entity_selections]
        return cls(
            view=context.name,
            relation=context.table_subquery,
            keys={entity: column for column, entity in pairs},
            features=tuple(
                Feature(column, prefix + context.field_mapping.get(column, column)) for column in context.features
            ),
            event_time=context.timestamp_field,
            created_time=context.created_timestamp_column or None,
            ttl_seconds=context.ttl,
        )

    @property
    def columns(self) -> list[str]:
        """Every column read, once."""
        names = [*self.keys.values(), *(feature.column for feature in self.features), self.event_time]
        return list(dict.fromkeys([*names, self.created_time] if self.created_time else names))

    @property
    def known_rows(self) -> str:
        """`relation where ...`: as in Feast's own join, a row without a created timestamp does not exist."""
        condition = f" where {quote(self.created_time)} is not null" if self.created_time else ""
        return f"{self.relation} as source{condition}"
