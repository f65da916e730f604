"""The files of infra/ are what they say they are, each by itself, and hold no secret."""

import re
import shutil
import subprocess
from typing import Any

import kubernetes_validate
import pytest
import yaml
from support.infra import INFRA, SECRET, documents, run


@pytest.mark.parametrize(
    ("schema", "name"), [("vendor.compose-spec", "compose.yaml"), ("vendor.github-workflows", "ci/github-actions.yaml")]
)
def test_each_file_fits_its_published_schema(schema: str, name: str) -> None:
    run("check-jsonschema", "--builtin-schema", schema, str(INFRA / name))


def test_the_dockerfile_has_no_fault_that_hadolint_knows() -> None:
    run("hadolint", str(INFRA / "docker" / "Dockerfile"))


def test_the_script_of_the_databases_parses() -> None:
    shell = shutil.which("sh")
    assert shell is not None
    subprocess.run([shell, "-n", INFRA / "docker" / "databases.sh"], check=True)


@pytest.mark.parametrize(
    "document", [*documents("helm/service.yaml"), *documents("helm/pages.yaml")], ids=lambda one: one["kind"]
)
def test_each_manifest_is_one_that_kubernetes_takes(document: dict[str, Any]) -> None:
    kubernetes_validate.validate(document, "1.31", strict=True)


def test_the_pod_of_the_kserve_example_is_one_that_kubernetes_takes() -> None:
    (service,) = documents("helm/kserve.yaml")
    assert (service["apiVersion"], service["kind"]) == ("serving.kserve.io/v1beta1", "InferenceService")
    predictor = dict(service["spec"]["predictor"])
    assert predictor.pop("minReplicas") <= predictor.pop("maxReplicas")
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "one"}, "spec": predictor}
    kubernetes_validate.validate(pod, "1.31", strict=True)
    assert [container["name"] for container in predictor["containers"]] == ["kserve-container"]


def variables(text: str) -> dict[str, str]:
    """Names and what stands after them, of `${NAME:?…}` and the like."""
    return dict(re.findall(r"(?<!\$)\$\{(\w+)([^}]*)\}", text))


def test_no_secret_has_a_default_and_the_start_stops_without_it() -> None:
    requested = variables((INFRA / "compose.yaml").read_text())
    secrets = {name for name in requested if SECRET.search(name)}
    assert len(secrets) >= 10
    assert [name for name in secrets if not requested[name].startswith(":?")] == []
    examples = dict(re.findall(r"^(?:# )?([A-Z0-9_]+)=(.*)$", (INFRA / "env.example").read_text(), flags=re.MULTILINE))
    assert {name: value for name, value in examples.items() if SECRET.search(name) and value} == {
        "EVERFIT_TOKENS": "./tokens.txt"
    }


def test_the_example_names_all_that_compose_asks_for_and_nothing_else(compose: dict[str, Any]) -> None:
    example = (INFRA / "env.example").read_text()
    required = set(re.findall(r"^([A-Z0-9_]+)=", example, flags=re.MULTILINE))
    optional = set(re.findall(r"^# ([A-Z0-9_]+)=", example, flags=re.MULTILINE))
    requested = variables((INFRA / "compose.yaml").read_text())
    requested |= {one["environment"]: ":?" for one in compose["secrets"].values() if "environment" in one}
    assert {name for name, rest in requested.items() if rest.startswith(":?")} == required
    assert {name for name, rest in requested.items() if not rest.startswith(":?")} == optional


def test_helm_values_hold_no_secret() -> None:
    for name in ("prefect-server", "prefect-worker"):
        text = (INFRA / "helm" / f"{name}.yaml").read_text()
        assert re.findall(r"^\s*(?:authString|password|connectionString|apiKey): .*$", text, flags=re.MULTILINE) == []
        values = yaml.safe_load(text)
        part = values["server"] if name == "prefect-server" else values["worker"]["selfHostedServerApiConfig"]
        assert part["basicAuth"] == {"enabled": True, "existingSecret": "prefect-auth"}


def test_prefect_and_mlflow_ask_who_is_there(compose: dict[str, Any]) -> None:
    services = compose["services"]
    for name in ("prefect", "prefect-services"):
        assert services[name]["environment"]["PREFECT_SERVER_API_AUTH_STRING"].startswith("everfit:${PREFECT_PASSWORD")
    assert "--app-name=basic-auth" in services["mlflow"]["command"]
    for name in ("bootstrap", "worker", "service"):
        assert {"PREFECT_API_AUTH_STRING", "MLFLOW_TRACKING_PASSWORD"} <= services[name]["environment"].keys()
    assert "--requirepass" in " ".join(services["redis"]["command"])
    published = [port for service in services.values() for port in service.get("ports", [])]
    assert published
    assert [port for port in published if not port.startswith("127.0.0.1:")] == []
