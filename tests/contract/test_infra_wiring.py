"""The services of infra/ find each other, and their files."""

import re
from typing import Any

from support.infra import INFRA, documents, load, stages, texts


def test_hosts_and_ports_are_those_of_the_services(compose: dict[str, Any]) -> None:
    exposed = {name: int(port) for name, (_, lines) in stages().items() for port in re.findall(r"EXPOSE (\d+)", lines)}
    ports = {"postgres": 5432, "redis": 6379, "objects": 8333, "prometheus": 9090, "grafana": 3000}
    ports |= {"prefect": exposed["prefect"], "mlflow": exposed["mlflow"], "service": exposed["everfit"]}
    assert ports.keys() <= compose["services"].keys()
    requests = [*texts(compose), *texts(load("prometheus/prometheus.yaml"))]
    requests += texts(load("grafana/provisioning/datasources/everfit.yaml"))
    names = "|".join(compose["services"])
    results = {
        (name, int(port))
        for text in requests
        for name, port in re.findall(rf"(?:^|[/@,=])({names}):(\d{{4,5}})\b", text)
    }
    assert len(results) >= 7
    assert {name for name, port in results if ports.get(name) != port} == set()
    for name in ("prefect", "mlflow", "service", "grafana"):
        assert compose["services"][name]["ports"] == [f"127.0.0.1:{ports[name]}:{ports[name]}"]


def test_the_proxy_asks_what_compose_publishes(compose: dict[str, Any]) -> None:
    requested = set(
        re.findall(r"\b(?:http://|server )(127\.0\.0\.1:\d+)", (INFRA / "nginx" / "everfit.conf").read_text())
    )
    published = {
        port.rpartition(":")[0] for service in compose["services"].values() for port in service.get("ports", [])
    }
    assert requested - published == {"127.0.0.1:8081"}  # the second service, which stands for as many as there are


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


def test_the_service_of_the_pages_finds_its_pods() -> None:
    deployment, service = documents("helm/pages.yaml")
    assert service["spec"]["selector"] == deployment["spec"]["template"]["metadata"]["labels"]
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert f"--port={container['ports'][0]['containerPort']}" in container["command"]


def test_the_services_of_the_manifests_find_their_pods() -> None:
    results = {one["kind"]: one for one in documents("helm/service.yaml")}
    pods = results["StatefulSet"]["spec"]["template"]["metadata"]["labels"]
    services = [one for one in documents("helm/service.yaml") if one["kind"] == "Service"]
    assert all(one["spec"]["selector"] == pods for one in services)
    assert results["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == pods
    assert results["StatefulSet"]["spec"]["serviceName"] in [one["metadata"]["name"] for one in services]
    scaled = results["HorizontalPodAutoscaler"]["spec"]
    assert scaled["scaleTargetRef"]["name"] == results["StatefulSet"]["metadata"]["name"]
    assert scaled["minReplicas"] == results["StatefulSet"]["spec"]["replicas"] > 1
    (container,) = results["StatefulSet"]["spec"]["template"]["spec"]["containers"]
    assert f"--port={container['ports'][0]['containerPort']}" in container["command"]
    (under_kserve,) = documents("helm/kserve.yaml")[0]["spec"]["predictor"]["containers"]
    worker = load("helm/prefect-worker.yaml")["worker"]["image"]
    (pages,) = documents("helm/pages.yaml")[0]["spec"]["template"]["spec"]["containers"]
    images = {
        *(one["image"] for one in (container, under_kserve, pages)),
        f"{worker['repository']}:{worker['prefectTag']}",
    }
    assert len(images) == 1
    assert under_kserve["command"] == container["command"]
