# ruff: noqa: S608 - identifiers are quoted, values travel as parameters
"""The rows a user wants features for, from a pandas frame or an SQL query, as one Arrow table."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from feast.errors import FeastEntityDFMissingColumnsError

from feast_stores.arrow_transfer import ArrowConnection

ROW = "_row"
MOMENT = "_moment"


@dataclass(frozen=True)
class EntityRows:
    """`table` holds the user's columns in the user's order; times are UTC without a zone, as Feast returns them."""

    table: pa.Table
    event_time: str

    @classmethod
    def from_frame(cls, frame: pd.DataFrame, event_time: str) -> "EntityRows":
        return cls(_without_zones(pa.Table.from_pandas(frame, preserve_index=False)), event_time)

    @classmethod
    def from_query(cls, query: str, event_time: str, connection: ArrowConnection) -> "EntityRows":
        relation = f"({query}) as entity_rows"
        columns = connection.describe(relation)
        selected = ", ".join(f"{column.expression} as {column.quoted}" for column in columns.values())
        return cls(_without_zones(connection.table(f"select {selected} from {relation}")), event_time)

    def __post_init__(self) -> None:
        if not pa.types.is_timestamp(self._times.type):
            raise TypeError(
                f"The column {self.event_time} of the entity rows holds {self._times.type}, not timestamps. "
                "Convert it, for example with pd.to_datetime(frame[column], utc=True)."
            )

    @property
    def _times(self) -> pa.ChunkedArray:
        return self.table[self.event_time]

    def select(self, keys: Iterable[str]) -> pa.Table:
        """What a join needs: `_row` (position), `_moment` (timestamptz) and the key columns."""
        wanted = set(keys)
        missing = wanted - set(self.table.column_names)
        if missing:
            raise FeastEntityDFMissingColumnsError(wanted, missing)
        rows = pa.table(
            {
                ROW: pa.array(np.arange(self.table.num_rows)),
                MOMENT: self._times.cast(pa.timestamp("us", "UTC")),
            }
        )
        for key in sorted(wanted):
            rows = rows.append_column(key, self.table[key])
        return rows


def _without_zones(table: pa.Table) -> pa.Table:
    """Times in microseconds of UTC without a zone; a date becomes its midnight."""
    for position, field in enumerate(table.schema):
        if pa.types.is_timestamp(field.type) or pa.types.is_date(field.type):
            column = pc.cast(table.column(position), pa.timestamp("us", getattr(field.type, "tz", None)), safe=False)
            naive = column.cast(pa.timestamp("us"))
            table = table.set_column(position, field.name, naive)
    return table.replace_schema_metadata(None)  # pandas' own would bring the zones back
