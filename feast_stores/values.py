"""How Feast's values are kept in PostgreSQL: simple types as typed columns that people can read, others as bytes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from feast.protos.feast.types.Value_pb2 import Value
from feast.type_map import NULL_TIMESTAMP_INT_VALUE
from feast.value_type import ValueType

NULL = Value()


@dataclass(frozen=True)
class Codec:
    """One value type: its column type, and the ways between a column's value and Feast's."""

    sql_type: str
    encode: Callable[[Any], Any]  # Feast's Value -> what psycopg writes
    decode: Callable[[Any], Any]  # what psycopg reads, never None -> Feast's Value
    read: str = "{}"  # the column in a select list
    write: str = "{}"  # a written parameter, or a source's column, as the column's value
    is_plain: bool = True  # the database can fill the column from a source column of the same meaning


def _plain(sql_type: str, field: str, *, missing: Any = None, read: str = "{}", write: str = "{}") -> Codec:
    def encode(value: Any) -> Any:
        found = getattr(value, field) if value.HasField(field) else None
        return None if found == missing else found

    return Codec(sql_type, encode, lambda found: Value(**{field: found}), read, write)


def _from_bytes(found: bytes) -> Any:
    return Value.FromString(bytes(found))


def _to_bytes(value: Any) -> bytes | None:
    return value.SerializeToString() or None


_PLAIN = {
    ValueType.INT64: _plain("bigint", "int64_val"),
    ValueType.INT32: _plain("integer", "int32_val"),
    ValueType.DOUBLE: _plain("double precision", "double_val"),
    ValueType.FLOAT: _plain("real", "float_val"),
    ValueType.BOOL: _plain("boolean", "bool_val"),
    ValueType.STRING: _plain("text", "string_val"),
    ValueType.BYTES: _plain("bytea", "bytes_val"),
    # Feast's timestamps are whole seconds
    ValueType.UNIX_TIMESTAMP: _plain(
        "timestamptz",
        "unix_timestamp_val",
        missing=NULL_TIMESTAMP_INT_VALUE,  # Feast's way from Arrow writes an absent time as this number
        read="trunc(extract(epoch from {}))::bigint",
        write="to_timestamp({})",
    ),
}
_SERIALIZED = Codec("bytea", _to_bytes, _from_bytes, is_plain=False)


@dataclass(frozen=True)
class ValueColumn:
    """A key or a feature as a column of a wide table."""

    name: str
    codec: Codec

    @classmethod
    def from_field(cls, field: Any) -> "ValueColumn":
        """From a Feast Field."""
        return cls(field.name, _PLAIN.get(field.dtype.to_value_type(), _SERIALIZED))


def decode_column(codec: Codec, found: list[Any]) -> list[Any]:
    """A column of a result as Feast's values."""
    decode = codec.decode
    return [NULL if item is None else decode(item) for item in found]
