"""What a person does in Prefect's own UI, done in a real browser: docs/operations.md is written from this."""

import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from prefect.client.orchestration import get_client
from prefect.exceptions import Pause
from prefect.flow_engine import run_flow
from prefect.settings import PREFECT_API_URL, PREFECT_SERVER_ALLOW_EPHEMERAL_MODE, temporary_settings
from support.chromium import CHROMIUM, FLAGS, needs_chromium
from support.deliveries import SPEC, deliveries, write_month

from everfit.blocks.settings import Settings
from everfit.deployments.cli.decisions import approve
from everfit.deployments.cli.runs import result_of
from everfit.deployments.server.bootstrap import Options, bootstrap
from everfit.flows.approval_flow import approval
from everfit.flows.monitoring_flow import monitoring
from everfit.flows.scoring_flow import scoring
from everfit.flows.training_flow import training
from everfit.tasks.core.records import Trigger
from everfit.tasks.core.spec_loading import load_spec
from everfit.tasks.ledger import Ledger

MARCH = datetime(2024, 3, 1, tzinfo=UTC)

pytestmark = [needs_chromium, pytest.mark.long]


@contextlib.contextmanager
def a_server(folder: Path) -> Iterator[str]:
    """A Prefect server of its own, with the UI, which the session's harness leaves out."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    environment = os.environ | {
        "PREFECT_HOME": str(folder / "prefect"),
        "PREFECT_API_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{folder / 'prefect.db'}",
        "PREFECT_SERVER_UI_API_URL": f"{url}/api",
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
    }
    command = [str(Path(sys.executable).with_name("prefect")), "server", "start", "--host=127.0.0.1", f"--port={port}"]
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=folder)
    try:
        until(lambda: answers(f"{url}/api/health") or server.poll() is not None, 180)
        assert server.poll() is None, (folder / "server.log").read_text()[-2000:]
        yield url
    finally:
        server.terminate()
        server.wait(30)


@contextlib.contextmanager
def an_mlflow(folder: Path) -> Iterator[str]:
    """MLflow's pages of the database in a folder."""
    port = free_port()
    store = f"--backend-store-uri=sqlite:///{folder / '.everfit' / 'mlflow.db'}"
    command = [sys.executable, "-m", "mlflow", "server", "--host=127.0.0.1", f"--port={port}", "--workers=1", store]
    with (folder / "mlflow.log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
    try:
        until(lambda: answers(f"http://127.0.0.1:{port}/health") or server.poll() is not None, 180)
        assert server.poll() is None, (folder / "mlflow.log").read_text()[-2000:]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(30)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(url: str) -> bool:
    try:
        return httpx.get(url).status_code == 200
    except httpx.TransportError:
        return False


def until(condition: Callable[[], Any], seconds: float = 60.0) -> Any:
    """Wait until a condition holds, and give what it gave."""
    give_up = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < give_up, "it did not come true in time"
        time.sleep(0.1)
    return result


@dataclass
class Desk:
    """A server with a model whose challenger waits for a person.

    Attributes:
        url: Of the UI.
        mlflow: Of MLflow's pages.
        prefect: A client of the server's API.
        turn_id: Of the turn that waits.
    """

    url: str
    mlflow: str
    prefect: Any
    turn_id: str

    @contextlib.contextmanager
    def browser(self) -> Iterator[Any]:
        """A page of a new browser, whose time zone is UTC."""
        from playwright.sync_api import sync_playwright

        # Closed before Prefect is called again: Playwright's loop runs in this thread, and Prefect would find it.
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS.split())
            page = browser.new_page(viewport={"width": 1280, "height": 900}, timezone_id="UTC")
            # Prefect's pages ask an analytics firm for its settings, whatever the server says.
            page.route(lambda asked: not asked.startswith((self.url, self.mlflow)), lambda route: route.abort())
            page.set_default_timeout(30_000)
            yield page
            browser.close()

    def shown(self, page: Any, path: str) -> Any:
        page.goto(f"{self.url}/v2{path}")
        return page

    def picture(self, page: Any, name: str, height: int = 900) -> None:
        """Keep what is seen for docs/operations.md, if somebody wants it: PICTURES=folder."""
        if folder := os.environ.get("PICTURES"):
            page.set_viewport_size({"width": 1280, "height": height})
            beside_the_menu: Any = {"x": 256, "y": 0, "width": 1024, "height": height}
            page.screenshot(path=Path(folder, f"operations-{name}.png"), clip=beside_the_menu)

    def runs(self, flow: str) -> list[Any]:
        """The runs of the flow's deployment, newest last."""
        name = "deliveries" if flow == "training" else "any-model-of-shop"
        deployment = self.prefect.read_deployment_by_name(f"{flow}/{name}").id
        results = [run for run in self.prefect.read_flow_runs() if run.deployment_id == deployment]
        return sorted(results, key=lambda run: run.created)


@pytest.fixture(scope="module")
def desk(_empty_mlflow: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("desk")
    with pytest.MonkeyPatch.context() as patched, a_server(folder) as url:
        patched.chdir(folder)
        patched.setenv("EVERFIT_WORKSPACE", str(folder / ".everfit"))
        patched.setenv("EVERFIT_PROJECT", "shop")
        patched.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder / '.everfit' / 'mlflow.db'}")
        (folder / ".everfit").mkdir()
        shutil.copy(_empty_mlflow, folder / ".everfit" / "mlflow.db")
        write_month(folder, "winter", deliveries("2024-01-01", 60))
        (folder / "deployments" / "models").mkdir(parents=True)
        spec = SPEC | {"gate": {"approval": "always"}}
        (folder / "deployments" / "models" / "deliveries.yaml").write_text(yaml.safe_dump(spec))
        settings = {PREFECT_API_URL: f"{url}/api", PREFECT_SERVER_ALLOW_EPHEMERAL_MODE: False}
        with (
            temporary_settings(settings),
            get_client(sync_client=True) as prefect,
            an_mlflow(folder) as mlflow,
        ):
            patched.setenv("EVERFIT_MLFLOW_PAGE", mlflow)  # for links; the flows use the database
            bootstrap(Settings(), Options())
            turn = result_of(training("deliveries", MARCH, Trigger(reason="the first"), return_state=True))
            yield Desk(url, mlflow, prefect, turn["turn_id"])


def test_the_last_turn_says_why_it_released_nothing(desk: Desk):
    with desk.browser() as page:
        desk.shown(page, "/runs")
        page.get_by_role("link", name="train-deliveries").first.click()
        page.get_by_text("AwaitingApproval").first.wait_for()
        page.get_by_role("tab", name="Artifacts").click()
        page.get_by_role("link", name="deliveries-turn").first.click()
        page.locator("a[href*='/artifacts/artifact/']").first.click()  # the newest of that name

        # Rendered: a headline, tables, and no Markdown left.
        page.get_by_role("heading", name="deliveries: waiting for approval").wait_for()
        page.get_by_role("listitem").filter(has_text="first champion, because gate.approval is always").wait_for()
        assert page.get_by_role("cell", name="manual: the first").count() == 1
        assert page.get_by_role("row", name="roc_auc").count() >= 1
        assert page.get_by_role("cell", name="passed").count() >= 1
        assert "| --- |" not in page.inner_text("body")
        assert str(page.get_by_role("link", name="MLflow run").get_attribute("href")).startswith(desk.mlflow)
        desk.picture(page, "turn", 1400)


def test_a_training_is_started_with_a_reason(desk: Desk):
    deployment = desk.prefect.read_deployment_by_name("training/deliveries").id

    with desk.browser() as page:
        desk.shown(page, f"/deployments/deployment/{deployment}/run")
        page.get_by_label("model", exact=True).wait_for()
        output = page.inner_text("body")
        assert page.get_by_label("model", exact=True).input_value() == "deliveries"
        # Each parameter has its description from the flow's docstring.
        described = training.__doc__ or ""
        for words in re.findall(r"^ {8}(?:model|until|trigger): (.*?)$", described, flags=re.MULTILINE):
            assert words.split(";")[0].rstrip(",") in output
        page.get_by_role("tab", name="Trigger").click()
        page.get_by_label("Reason (Optional)").fill("prices changed on Monday")
        desk.picture(page, "train")
        page.get_by_role("button", name="Submit").click()
        page.wait_for_url(lambda url: not url.endswith("/run"))

    run = until(lambda: desk.runs("training"))[-1]
    assert run.parameters["model"] == "deliveries"
    assert Trigger.model_validate(run.parameters["trigger"]) == Trigger(reason="prices changed on Monday")


def test_a_rollback_is_of_a_model_that_is_chosen_from_those_of_the_project(desk: Desk):
    deployment = desk.prefect.read_deployment_by_name("rollback/any-model-of-shop").id

    with desk.browser() as page:
        desk.shown(page, f"/deployments/deployment/{deployment}/run")
        page.get_by_label("Select model").click()
        page.get_by_role("option", name="deliveries").click()
        page.get_by_label("reason", exact=True).fill("worse since Monday")
        page.get_by_role("button", name="Submit").click()
        page.wait_for_url(lambda url: not url.endswith("/run"))

    run = until(lambda: desk.runs("rollback"))[-1]
    assert (run.parameters["model"], run.parameters["reason"]) == ("deliveries", "worse since Monday")


def test_a_waiting_challenger_is_approved_in_the_form(desk: Desk):
    # The request is an event, and an automation has made a run of it, which a worker would start.
    run = until(lambda: desk.runs("approval"))[-1]
    assert run.parameters["turn_id"] == desk.turn_id
    with pytest.raises(Pause):
        run_flow(approval, flow_run=run)

    with desk.browser() as page:
        desk.shown(page, f"/runs/flow-run/{run.id}")
        page.get_by_text("Suspended").first.wait_for()
        page.get_by_role("button", name="Open menu").first.click()
        page.get_by_role("menuitem", name="Resume").click()
        form = page.get_by_role("dialog")
        form.get_by_label("Reason").wait_for()
        form.get_by_text("version 1 over no champion yet?").wait_for()  # the page renders Markdown a moment later
        form.get_by_text(f"everfit explain {desk.turn_id}").wait_for()
        assert str(form.get_by_role("link", name="run ").get_attribute("href")).startswith(desk.mlflow)
        form.get_by_label("Decision").click()
        page.get_by_role("option", name="approve").click()
        form.get_by_label("Name").fill("ann")
        form.get_by_label("Reason").fill("seen in the browser")
        desk.picture(page, "approve")
        form.get_by_role("button", name="Resume").click()
        form.wait_for(state="hidden")

    resumed = until(lambda: [one for one in desk.runs("approval") if one.state_name != "Suspended"])[-1]
    state: Any = run_flow(approval, flow_run=resumed, return_type="state")
    assert state.name == "Promoted"
    ledger = Ledger.open(Settings())
    (release,) = ledger.releases.of("deliveries")
    assert (release.version, release.actor, release.state) == (1, "ann (as stated)", "verified")
    assert ledger.turns.get(desk.turn_id).reasons[0] == "Approved by ann (as stated): seen in the browser"
    reported = [one for one in desk.prefect.read_artifacts() if one.key == "deliveries-turn"]
    newest = max(reported, key=lambda one: one.created)
    assert newest.description == "Promoted: Approved by ann (as stated): seen in the browser"
    assert "a new champion was released" in newest.data


def test_a_threshold_that_is_edited_in_the_block_counts_from_the_next_run_on(desk: Desk):
    before = load_spec("deliveries").content()
    (block,) = [one for one in desk.prefect.read_block_documents() if one.name == "deliveries"]

    with desk.browser() as page:
        desk.shown(page, f"/blocks/block/{block.id}/edit")
        field = page.get_by_label("Max bad share (Optional)")
        assert field.input_value() == "0.05"
        titles = page.locator("label").all_inner_texts()
        assert {"Columns", "Gate (Optional)", "Training (Optional)"} <= set(titles)  # the keys, and no class's name
        field.fill("0.01")
        desk.picture(page, "block")
        page.get_by_role("button", name="Save").click()
        page.wait_for_url(lambda url: not url.endswith("/edit"))

    after = load_spec("deliveries").content()
    assert after["expectations"].pop("max_bad_share") == 0.01
    assert before["expectations"].pop("max_bad_share") == 0.05
    assert after == before


def test_the_drift_report_opens_from_what_monitoring_has_left(desk: Desk):
    # Given a champion whose deliveries all go far since March, and a look at them
    if Ledger.open(Settings()).releases.current("deliveries") is None:
        approve("deliveries", desk.turn_id, by="ann", reason="it was seen to work")
    spring = deliveries("2024-03-01", 28, seed=1)
    spring["distance"] += 8
    write_month(Path(), "spring", spring)
    window = {"since": MARCH, "until": MARCH + timedelta(days=28)}
    assert scoring("deliveries", **window, return_state=True).is_completed()
    assert monitoring("deliveries", window["until"], return_state=True).is_completed()

    with desk.browser() as page:
        desk.shown(page, "/runs")
        page.get_by_role("link", name="monitor-deliveries").first.click()
        page.get_by_role("tab", name="Artifacts").click()
        page.get_by_role("link", name="deliveries-drift").first.wait_for()
        page.get_by_role("link", name="deliveries-monitoring").first.click()
        page.locator("a[href*='/artifacts/artifact/']").first.click()
        page.get_by_role("heading", name="deliveries:").wait_for()
        assert page.get_by_role("cell", name="drift", exact=True).count() == 1
        address = page.get_by_role("link", name="MLflow run").get_attribute("href")
        assert address is not None
        assert address.startswith(desk.mlflow)
        desk.picture(page, "monitoring", 1100)

        # Evidently's page, in MLflow's.
        page.goto(address)
        report = page.frame_locator("iframe").first
        report.get_by_text("distance").first.wait_for()
        desk.picture(page, "drift")
