"""The answer from columns equals Feast's own."""

import pytest
from feast import Field
from feast.online_response import OnlineResponse
from feast.protos.feast.serving.ServingService_pb2 import FieldStatus, GetOnlineFeaturesResponse
from feast.protos.feast.types.Value_pb2 import Int64List, StringList, Value
from feast.types import (
    Array,
    Bool,
    Bytes,
    FeastType,
    Float32,
    Float64,
    Int32,
    Int64,
    Json,
    String,
    UnixTimestamp,
    Uuid,
)
from google.protobuf.timestamp_pb2 import Timestamp

from feast_stores.online_read import Answer, ViewRead
from feast_stores.online_response import QuickOnlineResponse
from feast_stores.values import ValueColumn
from feast_stores.wide_table import WideTable

VALUES: dict[str, tuple[Value, FeastType]] = {
    "whole": (Value(int64_val=2**62 + 1), Int64),
    "small": (Value(int32_val=-1), Int32),
    "double": (Value(double_val=0.1), Float64),
    "single": (Value(float_val=0.1), Float32),
    "flag": (Value(bool_val=False), Bool),
    "words": (Value(string_val="é"), String),
    "raw": (Value(bytes_val=b"\x00"), Bytes),
    "moment": (Value(unix_timestamp_val=-1), UnixTimestamp),
    "list": (Value(int64_list_val=Int64List(val=[1])), Array(Int64)),
    "uuid": (Value(uuid_val="12345678-1234-5678-1234-567812345678"), Uuid),
    "uuids": (Value(string_list_val=StringList(val=["12345678-1234-5678-1234-567812345678"])), Array(Uuid)),
    "json": (Value(json_val='{"a": 1}'), Json),
    "absent": (Value(), Int64),
}
MOMENTS = (1_577_836_800_000_001, -1, None)  # microseconds, also before 1970 and without a row
STATUSES = (FieldStatus.PRESENT, FieldStatus.PRESENT, FieldStatus.NOT_FOUND)


@pytest.fixture
def quick() -> QuickOnlineResponse:
    keys = GetOnlineFeaturesResponse()
    keys.metadata.feature_names.val.extend(["movie_id", "person"])
    for values in ([Value(int64_val=number) for number in (7, 8, 9)], [Value(string_val="Ann"), Value(), Value()]):
        keys.results.add(values=values, statuses=[FieldStatus.PRESENT] * 3, event_timestamps=[Timestamp()] * 3)
    features = tuple(ValueColumn.from_field(Field(name=name, dtype=dtype)) for name, (_, dtype) in VALUES.items())
    read = ViewRead(WideTable("online", "t", (), features), features, tuple(VALUES), None)
    columns = [
        (feature.codec.encode(value), None, None)
        for feature, (value, _) in zip(features, VALUES.values(), strict=True)
    ]
    return QuickOnlineResponse(keys, [Answer(read, MOMENTS, STATUSES, columns)])


@pytest.mark.parametrize("with_times", [False, True])
def test_every_form_equals_feasts(quick: QuickOnlineResponse, with_times: bool) -> None:
    types = {name: dtype.to_value_type() for name, (_, dtype) in VALUES.items()}
    ours, feasts = quick.to_dict(with_times), OnlineResponse(quick.proto, types)
    theirs = feasts.to_dict(with_times)
    assert list(ours.items()) == list(theirs.items())
    assert [type(values[0]) for values in ours.values()] == [type(values[0]) for values in theirs.values()]
    assert quick.to_df(with_times).equals(feasts.to_df(with_times))
    assert quick.to_arrow(with_times).equals(feasts.to_arrow(with_times))


def test_protobuf_holds_values_statuses_and_times(quick: QuickOnlineResponse) -> None:
    vectors = dict(zip(quick.proto.metadata.feature_names.val, quick.proto.results, strict=True))
    assert list(vectors) == ["movie_id", "person", *VALUES]
    assert list(vectors["words"].values) == [Value(string_val="é"), Value(), Value()]
    assert list(vectors["words"].statuses) == list(STATUSES)
    assert list(vectors["words"].event_timestamps) == [
        Timestamp(seconds=1_577_836_800, nanos=1000), Timestamp(seconds=-1, nanos=999_999_000), Timestamp(),
    ]  # fmt: skip
    assert quick.proto is quick.proto
