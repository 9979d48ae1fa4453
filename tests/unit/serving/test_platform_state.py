"""Which consoles a reader's browser can reach, and what stations say."""

from pathlib import Path

import pytest
import requests

from serving import platform_state
from serving.platform_state import PlatformState, is_reachable, list_consoles


@pytest.mark.parametrize(
    ("address", "page_host", "expected"),
    [
        ("http://127.0.0.1:5001", "127.0.0.1", True),
        ("http://127.0.0.1:5001", "localhost", True),
        ("http://localhost:5001", "films.example.org", False),
        ("http://mlflow:5001", "localhost", False),
        ("http://mlflow.bechdel.svc.cluster.local:5001", "films.example.org", False),
        ("https://mlflow.example.org", "films.example.org", True),
        ("http://192.168.1.7:5001", "192.168.1.7", True),
    ],
)
def test_link_only_where_a_browser_can_go(address: str, page_host: str, expected: bool) -> None:
    assert is_reachable(address, page_host) is expected


def test_console_that_is_not_there_says_how_to_bring_it_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform_state, "FEAST_UI", "http://127.0.0.1:9")
    consoles = {item.name: item for item in list_consoles("sqlite:///x", page_host="localhost", docs=tmp_path / "no")}

    assert {name: item.command for name, item in consoles.items() if not item.address} == {
        "MLflow": "make up",
        "Feast": "make feast-ui",
        "dbt": "make docs",
    }


def test_console_that_is_there_is_a_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    docs = tmp_path / "dbt.html"
    docs.write_text("")
    answer = requests.Response()
    answer.status_code = 200
    answer._content = b'{"projects": []}'
    monkeypatch.setattr(requests, "get", lambda *_, **__: answer)
    consoles = list_consoles("http://127.0.0.1:5001", page_host="localhost", docs=docs)

    assert all(item.address for item in consoles)
    assert "Written just now." in consoles[2].text


class FakeDatabase:
    """Answers the question for dbt's tables, and has nothing else."""

    def __init__(self, tables: list[dict[str, object]]) -> None:
        self._tables = tables

    def fetch(self, query: str) -> list[dict[str, object]]:
        return self._tables if "table_schema in" in query else []


@pytest.mark.parametrize(
    ("tables", "state", "said"),
    [
        ([], "warning", "Nothing is built. Run: make up"),
        ([{"table_schema": "marts", "tables": 7}], "good", ""),
    ],
)
def test_where_dbt_ran_elsewhere_what_it_built_is_looked_at(
    tmp_path: Path, tables: list[dict[str, object]], state: str, said: str
) -> None:
    platform = PlatformState(FakeDatabase(tables), tmp_path / "absent.json")  # type: ignore[arg-type]
    dbt = platform.stations()[1]
    assert (dbt.name, dbt.state, dbt.problem) == ("dbt", state, said)
    assert [fact.value for fact in dbt.facts][:1] == ["7 tables and views"] * bool(tables)
