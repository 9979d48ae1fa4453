"""Feast's answer to an online read, faster to turn into a dictionary: a fifth of a read's time was spent there."""

from typing import Any

from feast.online_response import TIMESTAMP_POSTFIX, OnlineResponse
from feast.type_map import feast_value_type_to_python_type
from feast.value_type import ValueType

# values that Python holds as Feast does; all others take Feast's own way
_AS_THEY_ARE = frozenset({"int64_val", "int32_val", "double_val", "float_val", "bool_val", "bytes_val"})


class QuickOnlineResponse(OnlineResponse):  # type: ignore[misc]  # Feast ships no types
    """Equal to Feast's response in all that it returns."""

    def to_dict(self, include_event_timestamps: bool = False) -> dict[str, Any]:
        response: dict[str, Any] = {}
        for name, vector in zip(self.proto.metadata.feature_names.val, self.proto.results, strict=True):
            feature_type = self._feature_types.get(name)
            response[name] = [_python_value(value, feature_type) for value in vector.values]
            if include_event_timestamps:
                response[name + TIMESTAMP_POSTFIX] = [moment.seconds for moment in vector.event_timestamps]
        return response


def _python_value(value: Any, feature_type: Any) -> Any:
    kind = value.WhichOneof("val")
    if kind in _AS_THEY_ARE or (kind == "string_val" and feature_type == ValueType.STRING):
        return getattr(value, kind)
    return None if kind is None else feast_value_type_to_python_type(value, feature_type)
