"""What the documents for operators name is there: files, commands, metrics, roles, targets."""

import importlib.util
import re
from collections.abc import Iterator

import promql_parser
import pytest
import yaml

from orchestration.roles import PARTS, role_name
from serving.metrics import Metrics
from tests.deploy_files import ROOT
from tests.serving_parts import Platform

DOCUMENTS = (
    "README.md",
    "docs/operations.md",
    "docs/system_architecture.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "CHANGELOG.md",
)


def read(name: str) -> str:
    return (ROOT / name).read_text()


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_lead_somewhere(name: str) -> None:
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", read(name)):
        assert ((ROOT / name).parent / target).exists(), target


@pytest.mark.parametrize("name", DOCUMENTS)
def test_commands_exist(name: str) -> None:
    for module in re.findall(r"python3? -m ([\w.]+)", read(name)):
        assert importlib.util.find_spec(module), module
    for script in re.findall(r"python3? ([\w/]+\.py)", read(name)):
        assert (ROOT / script).exists(), script
    targets = re.findall(r"^([a-z-]+):", read("Makefile"), re.MULTILINE)
    for target in re.findall(r"`make ([a-z-]+)", read(name)):
        assert target in targets, target


@pytest.mark.parametrize("name", DOCUMENTS)
def test_named_files_exist(name: str) -> None:
    for path in re.findall(r"`((?:docs|deploy|tests|common|orchestration|dbt_project)/[\w/.*-]+)`", read(name)):
        assert list(ROOT.glob(path.rstrip("/"))), path


def alerts() -> dict[str, str]:
    """Expressions of the rules for Prometheus, by name."""
    (group,) = yaml.safe_load(read("deploy/alerts.yml"))["groups"]
    return {rule["alert"]: rule["expr"] for rule in group["rules"]}


def selectors(expression: object) -> Iterator[promql_parser.VectorSelector]:
    """Every series that a parsed expression asks for."""
    if isinstance(expression, promql_parser.VectorSelector):
        yield expression
    parts = [getattr(expression, name, None) for name in ("lhs", "rhs", "expr", "vector_selector")]
    for part in (*parts, *getattr(expression, "args", ())):
        if part is not None:
            yield from selectors(part)


def endpoints_in(expression: str) -> set[str]:
    """Endpoints that an expression names, alone or in a row of alternatives."""
    matchers = (one for each in selectors(promql_parser.parse(expression)) for one in each.matchers.matchers)
    return {name for one in matchers if one.name == "endpoint" for name in one.value.split("|")}


@pytest.mark.parametrize("name", sorted(alerts()))
def test_an_alert_asks_for_series_that_the_server_gives(name: str) -> None:
    metrics = Metrics()
    metrics.requests.labels("readyz", "GET", 503)
    metrics.latency.labels("readyz")
    metrics.lookup("stale")
    given = {sample.name: sample.labels for metric in metrics.registry.collect() for sample in metric.samples}
    asked = list(selectors(promql_parser.parse(alerts()[name])))
    assert asked
    for selector in asked:
        assert {matcher.name for matcher in selector.matchers.matchers} <= set(given[selector.name]), selector.name


@pytest.mark.parametrize("name", sorted(alerts()))
def test_an_alert_names_endpoints_that_the_server_has(name: str) -> None:
    assert endpoints_in(alerts()[name]) <= set(Platform().app.view_functions)


@pytest.mark.parametrize("name", ["BechdelAnswersFail", "BechdelSlow"])
def test_what_only_machines_ask_does_not_pass_for_good_answers(name: str) -> None:
    files = {endpoint for endpoint in Platform().app.view_functions if endpoint.endswith("static")}
    for selector in selectors(promql_parser.parse(alerts()[name])):
        [left_out] = [one.value for one in selector.matchers.matchers if one.op == promql_parser.MatchOp.NotRe]
        assert set(left_out.split("|")) == {"readyz", "healthz", "metrics", *files}


def test_every_alert_has_its_line_in_the_operations() -> None:
    assert set(re.findall(r"^\| `(Bechdel\w+)`", read("docs/operations.md"), re.MULTILINE)) == set(alerts())


def test_metrics_in_the_operations_are_those_of_the_server() -> None:
    defined = {metric.name for metric in Metrics().registry.collect()}
    for name in re.findall(r"bechdel_\w+", read("docs/operations.md")):
        if name not in {role_name(part) for part in PARTS}:
            assert name.removesuffix("_total") in defined, name


def test_every_role_is_in_the_table_of_the_architecture() -> None:
    table = read("docs/system_architecture.md")
    assert [part for part in PARTS if f"| `{role_name(part)}` |" not in table] == []
