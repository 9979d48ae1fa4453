"""Feast's answer to an online read, straight from columns: most callers want Python values, not protobuf messages."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from feast.online_response import TIMESTAMP_POSTFIX, OnlineResponse
from feast.protos.feast.serving.ServingService_pb2 import GetOnlineFeaturesResponse
from feast.type_map import feast_value_type_to_python_type
from google.protobuf.timestamp_pb2 import Timestamp

from feast_stores.online_read import MICROSECONDS, Answer


class QuickOnlineResponse(OnlineResponse):  # type: ignore[misc]  # Feast ships no types
    """Equal to Feast's response in all that it returns.

    Args:
        keys: Feast's response with the key columns only.
        answers: the features, one answer per view.
    """

    def __init__(self, keys: GetOnlineFeaturesResponse, answers: Sequence[Answer]) -> None:
        super().__init__(keys)
        self._keys = self.__dict__.pop("proto")  # from now on `proto` is built when it is asked for
        self._answers = answers

    @cached_property
    def proto(self) -> GetOnlineFeaturesResponse:
        response = GetOnlineFeaturesResponse()
        response.CopyFrom(self._keys)
        for answer in self._answers:
            add_features(response, answer)
        return response

    def to_dict(self, include_event_timestamps: bool = False) -> dict[str, Any]:
        response: dict[str, Any] = {}
        for name, vector in zip(self._keys.metadata.feature_names.val, self._keys.results, strict=True):
            response[name] = [_key(value) for value in vector.values]
            if include_event_timestamps:
                response[name + TIMESTAMP_POSTFIX] = [0] * len(vector.values)
        for answer in self._answers:
            for name, feature, column in answer.named_columns():
                response[name] = feature.as_python(column)
                if include_event_timestamps:
                    response[name + TIMESTAMP_POSTFIX] = [(time or 0) // MICROSECONDS for time in answer.event_times]
        return response


def add_features(response: GetOnlineFeaturesResponse, answer: Answer) -> None:
    """Fill Feast's protobuf."""
    times = [_timestamp(event_time) for event_time in answer.event_times]
    for name, feature, column in answer.named_columns():
        response.metadata.feature_names.val.append(name)
        response.results.add(values=feature.as_feast(column), statuses=answer.statuses, event_timestamps=times)


def _key(value: Any) -> Any:
    """A key as Python's value; whole numbers, the usual ones, take the short way."""
    return value.int64_val if value.HasField("int64_val") else feast_value_type_to_python_type(value)


def _timestamp(microseconds: int | None) -> Timestamp:
    if microseconds is None:
        return Timestamp()
    seconds, rest = divmod(microseconds, MICROSECONDS)
    return Timestamp(seconds=seconds, nanos=rest * 1000)
