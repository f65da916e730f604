"""Pages in a bucket: opened from it in a real browser, and served by one who may only read them."""

import json
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
from support.chromium import needs_chromium
from support.hostile_pages import keep_columns
from support.pages import DAY, Life, measured
from support.s3 import reach
from support.warm_popen import WarmPopen

from everfit.tasks.ledger import Ledger
from everfit.tasks.pages.writing import write_model, write_overview
from everfit.tasks.storage.workspace import Workspace


@needs_chromium
def test_pages_in_a_bucket_are_opened_from_it(
    browser: Any, store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given pages in a workspace on S3, whose bucket lets everybody read the folder of the pages and nothing else
    reach(store, monkeypatch)
    ledger, workspace = Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}"), Workspace("s3://models/opened")
    life, lately = Life(ledger, "bikes"), datetime.now(UTC) - 4 * DAY
    life.champion(1, lately)
    for day in range(1, 4):
        life.look(lately + day * DAY, measured(0.75), columns={"temp": 0.5 * day})
    keep_columns(workspace, "bikes")
    write_overview(ledger, workspace, {"bikes": write_model(ledger, workspace, "bikes")})
    allowed = {"Effect": "Allow", "Principal": "*", "Action": ["s3:GetObject"]}
    allowed["Resource"] = ["arn:aws:s3:::models/opened/pages/*"]
    policy = {"Version": "2012-10-17", "Statement": [allowed]}
    boto3.client("s3").put_bucket_policy(Bucket="models", Policy=json.dumps(policy))
    address = f"{store}/models/opened/pages/index.html"
    for _ in range(100):  # the store reads the policy a moment later
        if (status := httpx.get(address).status_code) == 200:
            break
        time.sleep(0.1)
    assert status == 200
    assert httpx.get(f"{store}/models/opened/bikes/columns.json").status_code == 403

    # When they are opened from the bucket
    page, complaints, asked = browser.new_page(), list[str](), list[str]()
    page.on("console", lambda message: complaints.append(message.text))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(address)
    page.get_by_role("link", name="bikes").click()
    page.locator("html[data-ready=yes]").wait_for()  # a string to evaluate would break on the pages' CSP

    # Then links lead on, charts are drawn, and nothing but pages is asked for.
    assert page.get_by_role("heading", level=1).inner_text().split() == ["bikes", "fit"]
    assert page.locator("canvas").count() > 0
    assert page.get_by_text("A column then and now").is_visible()
    assert [one.removeprefix(f"{store}/models/opened/pages/") for one in asked] == ["index.html", "bikes/index.html"]
    assert complaints == []
    page.close()


def test_pages_are_served_by_one_who_may_only_read_them(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    reach(store, monkeypatch)
    workspace = Workspace("s3://models/read-only")
    workspace.write(workspace.file("pages", "index.html"), b"<h1>all</h1>")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "reader")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "reader-secret")
    monkeypatch.setenv("EVERFIT_WORKSPACE", workspace.uri)
    monkeypatch.setenv("EVERFIT_PAGES_LOGIN", "everfit:secret")

    command = [sys.executable, "-m", "everfit.deployments.cli.main", "pages", "--serve", "--port", "0"]
    server = WarmPopen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        with server.stdout:
            address = server.stdout.readline().split()[-1]
        found = httpx.get(address, auth=("everfit", "secret"), timeout=30)
        assert (found.status_code, found.text) == (200, "<h1>all</h1>")
        assert httpx.get(address).status_code == 401
    finally:
        server.terminate()
        code = server.wait(60)
    assert code == 0
