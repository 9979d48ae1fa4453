"""The quick dictionary equals Feast's own."""

from datetime import UTC, datetime

import pytest
from feast.online_response import OnlineResponse
from feast.protos.feast.serving.ServingService_pb2 import GetOnlineFeaturesResponse
from feast.protos.feast.types.Value_pb2 import Int64List, Value
from feast.value_type import ValueType
from google.protobuf.timestamp_pb2 import Timestamp

from feast_stores.online_response import QuickOnlineResponse

VALUES = {
    "whole": (Value(int64_val=2**62 + 1), ValueType.INT64),
    "small": (Value(int32_val=-1), ValueType.INT32),
    "double": (Value(double_val=0.1), ValueType.DOUBLE),
    "single": (Value(float_val=0.1), ValueType.FLOAT),
    "flag": (Value(bool_val=False), ValueType.BOOL),
    "words": (Value(string_val="é"), ValueType.STRING),
    "raw": (Value(bytes_val=b"\x00"), ValueType.BYTES),
    "moment": (Value(unix_timestamp_val=-1), ValueType.UNIX_TIMESTAMP),
    "list": (Value(int64_list_val=Int64List(val=[1])), ValueType.INT64_LIST),
    "text_uuid": (Value(string_val="12345678-1234-5678-1234-567812345678"), ValueType.UUID),
    "json": (Value(json_val='{"a": 1}'), ValueType.JSON),
    "absent": (Value(), ValueType.INT64),
}


@pytest.mark.parametrize("with_times", [False, True])
def test_dictionary_equals_feasts(with_times: bool) -> None:
    proto = GetOnlineFeaturesResponse()
    proto.metadata.feature_names.val.extend(VALUES)
    moment = Timestamp(seconds=int(datetime(2020, 1, 1, tzinfo=UTC).timestamp()))
    for value, _ in VALUES.values():
        proto.results.add(values=[value, Value()], statuses=[2, 3], event_timestamps=[moment, Timestamp()])
    types = {name: value_type for name, (_, value_type) in VALUES.items()}
    theirs = OnlineResponse(proto, types).to_dict(include_event_timestamps=with_times)
    ours = QuickOnlineResponse(proto, types).to_dict(include_event_timestamps=with_times)
    assert ours == theirs
    assert [type(values[0]) for values in ours.values()] == [type(values[0]) for values in theirs.values()]
