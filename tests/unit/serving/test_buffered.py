"""Threads that answer go on whatever an application does."""

import asyncio
from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any

import pytest

from serving.buffered import BufferedApplication


class Protocol:
    """What granian hands over for one request."""

    def __init__(self) -> None:
        self.answer: tuple[int, bytes] | None = None

    async def __call__(self) -> bytes:
        return b"body"

    def response_bytes(self, status: int, _: list[tuple[str, str]], body: bytes) -> None:
        self.answer = status, body


def scope(path: str) -> Any:
    return SimpleNamespace(
        server="127.0.0.1:80", method="POST", path=path, query_string="", http_version="1.1", client="127.0.0.1:9",
        scheme="http", headers={"host": "here", "content-length": "4"},
    )  # fmt: skip


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Echo the body; some addresses break it."""
    broken: dict[str, BaseException] = {"/error": ValueError("broken"), "/exit": SystemExit(3)}
    if environ["PATH_INFO"] in broken:
        raise broken[environ["PATH_INFO"]]
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [environ["wsgi.input"].read()]


@pytest.mark.parametrize(("path", "error"), [("/error", ValueError), ("/exit", RuntimeError)])
def test_only_thread_answers_the_next_request_after_one_that_broke(path: str, error: type[Exception]) -> None:
    async def ask() -> tuple[int, bytes] | None:
        served = BufferedApplication(application, threads=1, most_bytes=10, is_last=lambda: False)
        with pytest.raises(error):
            await asyncio.wait_for(served.__rsgi__(scope(path), Protocol()), 10)
        protocol = Protocol()
        await asyncio.wait_for(served.__rsgi__(scope("/"), protocol), 10)
        return protocol.answer

    assert asyncio.run(ask()) == (200, b"body")


def test_answer_that_nobody_waits_for_is_dropped() -> None:
    async def ask() -> tuple[int, bytes] | None:
        served = BufferedApplication(application, threads=1, most_bytes=10, is_last=lambda: False)
        gone = asyncio.create_task(served.__rsgi__(scope("/"), Protocol()))
        await asyncio.sleep(0)
        gone.cancel()
        protocol = Protocol()
        await asyncio.wait_for(served.__rsgi__(scope("/"), protocol), 10)
        return protocol.answer

    assert asyncio.run(ask()) == (200, b"body")
