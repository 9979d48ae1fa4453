"""Schemathesis asks the server everything that `/openapi.json` allows, and much that it forbids."""

import pytest

schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is in the dev group: make install-dev")
from hypothesis import HealthCheck, settings  # noqa: E402 - after the check above

from tests.serving_parts import Platform  # noqa: E402

schema = schemathesis.openapi.from_wsgi("/openapi.json", Platform().app)


@schema.parametrize()
@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
def test_every_answer_is_as_documented(case) -> None:  # type: ignore[no-untyped-def]
    case.call_and_validate(headers={"Accept-Encoding": "identity"})  # its WSGI transport leaves gzip packed
