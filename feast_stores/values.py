"""How Feast's values are kept in PostgreSQL: simple types as typed columns that people can read, others as bytes."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from feast.protos.feast.types.Value_pb2 import Value
from feast.type_map import NULL_TIMESTAMP_INT_VALUE, feast_value_type_to_python_type
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
    is_python: bool = True  # what psycopg reads is what Feast's `to_dict` gives


def _plain(sql_type: str, field: str) -> Codec:
    return Codec(sql_type, _encoder(field), lambda found: Value(**{field: found}))


def _encoder(field: str, *, missing: Any = None) -> Callable[[Any], Any]:
    def encode(value: Any) -> Any:
        found = getattr(value, field) if value.HasField(field) else None
        return None if found == missing else found

    return encode


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
    ValueType.UNIX_TIMESTAMP: Codec(
        "timestamptz",
        # Feast's way from Arrow writes an absent time as this number
        _encoder("unix_timestamp_val", missing=NULL_TIMESTAMP_INT_VALUE),
        lambda found: Value(unix_timestamp_val=found),
        read="trunc(extract(epoch from {}))::bigint",
        write="to_timestamp({})",
        is_python=False,
    ),
}
_SERIALIZED = Codec("bytea", _to_bytes, _from_bytes, is_plain=False, is_python=False)


@dataclass(frozen=True)
class ValueColumn:
    """A key or a feature as a column of a wide table."""

    name: str
    codec: Codec
    value_type: ValueType

    @classmethod
    def from_field(cls, field: Any) -> "ValueColumn":
        """From a Feast Field."""
        value_type = field.dtype.to_value_type()
        return cls(field.name, _PLAIN.get(value_type, _SERIALIZED), value_type)

    def as_feast(self, found: Iterable[Any]) -> list[Any]:
        """A column of a result as Feast's values."""
        decode = self.codec.decode
        return [NULL if item is None else decode(item) for item in found]

    def as_python(self, found: Iterable[Any]) -> list[Any]:
        """A column of a result as Feast's `to_dict` gives it."""
        if self.codec.is_python:
            return list(found)
        return [feast_value_type_to_python_type(value, self.value_type) for value in self.as_feast(found)]
