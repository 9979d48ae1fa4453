"""The Kubernetes overlays: valid, hardened, secrets by reference, no request lost in a rolling update."""

import copy
import re
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from common.settings import Settings
from deploy.refresh import STEPS
from orchestration.roles import PARTS, role_name
from serving import rolling
from tests.deploy_files import FIXED_IN_THE_IMAGE, NOT_FOR_CONTAINERS, NOT_SETTINGS, ROOT, compose, rendered

kubernetes_validate = pytest.importorskip("kubernetes_validate", reason="not installed: make install-dev")

OVERLAYS = ("single-node", "scaled")
VERSIONS = ("1.31", "1.34")
SETTINGS = {name.upper() for name in Settings.model_fields}

Object = dict[str, Any]


def find(overlay: str, kind: str, name: str) -> Object:
    (found,) = (item for item in rendered(overlay) if (item["kind"], item["metadata"]["name"]) == (kind, name))
    return found


def pod_specs(overlay: str) -> Iterator[tuple[str, Object]]:
    """Every pod's specification with the name of what makes it."""
    for item in rendered(overlay):
        spec = item.get("spec", {})
        template = spec.get("jobTemplate", {}).get("spec", spec).get("template")
        if template:
            yield item["metadata"]["name"], template["spec"]


def containers(overlay: str) -> Iterator[Object]:
    for _, spec in pod_specs(overlay):
        yield from (*spec.get("initContainers", []), *spec["containers"])


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_objects_are_valid_for_kubernetes(overlay: str, version: str) -> None:
    for item in rendered(overlay):
        kubernetes_validate.validate(item, version, strict=True)


def test_the_validator_finds_a_misspelt_field() -> None:
    wrong = copy.deepcopy(find("single-node", "Deployment", "web"))
    wrong["spec"]["template"]["spec"]["containers"][0]["readinesProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, VERSIONS[-1], strict=True)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_pods_are_hardened(overlay: str) -> None:
    for name, spec in pod_specs(overlay):
        assert spec["automountServiceAccountToken"] is False, name
        assert spec["securityContext"]["runAsNonRoot"] is True, name
        assert spec["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault", name
    for container in containers(overlay):
        context = container["securityContext"]
        assert context["readOnlyRootFilesystem"] is True, container["name"]
        assert context["allowPrivilegeEscalation"] is False, container["name"]
        assert context["capabilities"] == {"drop": ["ALL"]}, container["name"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_containers_have_requests_and_a_memory_limit_and_a_pinned_image(overlay: str) -> None:
    for container in containers(overlay):
        assert set(container["resources"]["requests"]) == {"cpu", "memory"}, container["name"]
        assert "memory" in container["resources"]["limits"], container["name"]
        assert re.search(r":\d+\.\d+", container["image"]), container["image"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_long_running_containers_have_all_three_probes(overlay: str) -> None:
    for item in rendered(overlay):
        if item["kind"] in {"Deployment", "StatefulSet"}:
            for container in item["spec"]["template"]["spec"]["containers"]:
                assert {"startupProbe", "livenessProbe", "readinessProbe"} <= set(container), container["name"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_secrets_are_references_and_none_is_committed(overlay: str) -> None:
    assert [item["kind"] for item in rendered(overlay) if item["kind"] == "Secret"] == []
    for container in containers(overlay):
        for variable in container.get("env", []):
            if re.search(r"PASSWORD|TOKEN|KEY$", variable["name"]):
                assert "secretKeyRef" in variable["valueFrom"], variable["name"]
            assert not re.search(r"://\w+:(?!\$\()[^@]+@", variable.get("value", "")), variable["name"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_each_step_has_its_own_database_role(overlay: str) -> None:
    seen = set()
    for container in containers(overlay):
        for variable in container.get("env", []):
            login = re.match(r"postgresql://(\w+):", variable.get("value", ""))
            if login and container["name"] != "prepare":
                seen.add(login[1])
                (password,) = (entry for entry in container["env"] if entry["name"] == "DB_PASSWORD")
                key = password["valueFrom"]["secretKeyRef"]["key"]
                assert login[1] == role_name(key.removesuffix("-password"))
    assert seen == {role_name(part) for part in PARTS}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_each_part_has_its_own_login_for_mlflow(overlay: str) -> None:
    seen = {}
    for container in containers(overlay):
        variables = {variable["name"]: variable for variable in container.get("env", [])}
        if "MLFLOW_TRACKING_USERNAME" in variables:
            user = variables["MLFLOW_TRACKING_USERNAME"]["value"]
            reference = variables["MLFLOW_TRACKING_PASSWORD"]["valueFrom"]["secretKeyRef"]
            assert reference == {"name": "bechdel-mlflow", "key": f"{user}-password"}
            seen[container["name"]] = user
    assert seen == {"mlflow": "admin", "train": "training", "web": "serving"}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_variable_is_defined_before_another_refers_to_it(overlay: str) -> None:
    for container in containers(overlay):
        known: set[str] = set()
        for variable in container.get("env", []):
            assert set(re.findall(r"\$\((\w+)\)", variable.get("value", ""))) <= known, variable["name"]
            known.add(variable["name"])


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_settings_are_those_of_the_code(overlay: str) -> None:
    named = {variable["name"] for container in containers(overlay) for variable in container.get("env", [])}
    unknown = {name for name in named - SETTINGS if not NOT_SETTINGS.fullmatch(name)}
    assert unknown == set()
    assert SETTINGS - named - FIXED_IN_THE_IMAGE - NOT_FOR_CONTAINERS == set()


# where the parts meet in a cluster, the ingress in front, and who is recorded
OF_THE_CLUSTER = {"MLFLOW_TRACKING_URI", "TRUSTED_PROXIES", "USERNAME"}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_defaults_are_those_of_the_code(overlay: str) -> None:
    (values,) = (item["data"] for item in rendered(overlay) if item["kind"] == "ConfigMap")
    for name in values.keys() & SETTINGS - OF_THE_CLUSTER:
        default = Settings.model_fields[name.lower()].default
        assert values[name] == ("" if default is None else str(default)), name


def test_commands_are_those_of_compose() -> None:
    services = compose()["services"]
    in_pods = {container["name"]: container.get("command") for container in containers("single-node")}
    for name in ("prepare", "mlflow", "ingest", "dbt", "features", "train", "web"):
        assert in_pods[name] == services[name]["command"], name


def test_the_cron_job_runs_the_steps_of_the_daily_refresh() -> None:
    spec = find("single-node", "CronJob", "pipeline")["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    commands = [container["command"] for container in (*spec["initContainers"], *spec["containers"])]
    optional = [command[0] == "sh" and " || echo " in command[-1] for command in commands]
    nightly = [
        c[-1].split(" || ")[0].split() if is_optional else c
        for c, is_optional in zip(commands, optional, strict=True)
    ]
    assert nightly == [["python" if part == sys.executable else part for part in step.command] for step in STEPS]
    assert optional == [step.is_optional for step in STEPS]


def test_the_mount_points_are_the_only_places_that_a_run_writes_to() -> None:
    text = (ROOT / "deploy" / "Dockerfile").read_text()
    mounted = {mount["mountPath"] for item in containers("scaled") for mount in item["volumeMounts"]}
    assert mounted == {"/tmp", "/state", "/artifacts", "/app/dbt_project/target"}  # noqa: S108 - a pod's own
    assert all(path in text for path in mounted)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_rolling_update_loses_no_request(overlay: str) -> None:
    deployment = find(overlay, "Deployment", "web")["spec"]
    spec = deployment["template"]["spec"]
    (web,) = spec["containers"]
    pause = int(web["lifecycle"]["preStop"]["exec"]["command"][1])
    assert deployment["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    assert pause >= web["readinessProbe"]["periodSeconds"] * web["readinessProbe"]["failureThreshold"]
    assert spec["terminationGracePeriodSeconds"] > pause + rolling.DRAIN_SECONDS + rolling.END_SECONDS


def test_scaled_has_an_autoscaler_whose_fewest_satisfy_the_disruption_budget() -> None:
    autoscaler = find("scaled", "HorizontalPodAutoscaler", "web")["spec"]
    budget = find("scaled", "PodDisruptionBudget", "web")["spec"]
    assert budget["minAvailable"] < autoscaler["minReplicas"]
    assert "maxUnavailable" not in budget
    assert "replicas" not in find("scaled", "Deployment", "web")["spec"]
    assert [item for item in rendered("scaled") if item["kind"] == "StatefulSet"] == []


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_traffic_is_denied_unless_allowed(overlay: str) -> None:
    deny = find(overlay, "NetworkPolicy", "default-deny")["spec"]
    assert deny == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    (source,) = find(overlay, "NetworkPolicy", "mlflow")["spec"]["ingress"][0]["from"]
    assert source == {"podSelector": {"matchLabels": {"bechdel/mlflow-client": "true"}}}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_selectors_find_the_pods_that_they_mean(overlay: str) -> None:
    labels = {
        item["metadata"]["name"]: item["spec"]["template"]["metadata"]["labels"]
        for item in rendered(overlay)
        if item["kind"] in {"Deployment", "StatefulSet"}
    }
    for item in rendered(overlay):
        if item["kind"] == "Service":
            assert item["spec"]["selector"].items() <= labels[item["metadata"]["name"]].items()


def test_postgres_keeps_its_data_where_its_major_version_wants_it() -> None:
    (postgres,) = find("single-node", "StatefulSet", "postgres")["spec"]["template"]["spec"]["containers"]
    assert postgres["image"] == compose()["services"]["postgres"]["image"]
    assert "/var/lib/postgresql" in [mount["mountPath"] for mount in postgres["volumeMounts"]]
