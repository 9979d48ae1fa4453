"""The id of the request that is being answered, for logs and tables; nobody has to pass it along."""

from contextvars import ContextVar

request_id: ContextVar[str] = ContextVar("request_id", default="")
