"""Errors of the surroundings are one line: what, where, and what to do."""

import sqlite3

import httpx
import pytest
import sqlalchemy as sa
from mlflow.exceptions import MlflowException
from prefect.exceptions import PrefectHTTPStatusError

from everfit.blocks.errors import ModelError
from everfit.deployments.cli import decisions
from everfit.deployments.cli.outside_errors import describe_outside_error, without_statement


def test_errors_of_libraries_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://flow:5000")
    assert describe_outside_error(MlflowException("two\nlines")) == (
        "MLflow at 'http://flow:5000' refused: two lines; check the server and its store"
    )
    with pytest.raises(sa.exc.OperationalError) as refused, sa.create_engine("sqlite:////nowhere/a.db").connect():
        pass
    assert (
        describe_outside_error(refused.value) == "a database refused: unable to open database file; check the database"
    )


def test_an_error_of_a_driver_itself_is_one_of_a_database() -> None:
    described = describe_outside_error(sqlite3.OperationalError("disk I/O error"))
    assert described == "a database refused: disk I/O error; check the database"


def test_a_damaged_database_is_restored() -> None:
    described = describe_outside_error(sqlite3.DatabaseError("database disk image is malformed"))
    assert described.endswith("; check its disk; if the file is damaged, everfit restore takes a backup")


def test_an_address_that_is_no_prefect_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://flow:4200/api")
    refused = httpx.Response(403, request=httpx.Request("GET", "http://flow:4200/api/version"))
    with pytest.raises(PrefectHTTPStatusError) as status:
        raise PrefectHTTPStatusError("Client error '403 Forbidden'", request=refused.request, response=refused)
    for error in (status.value, RuntimeError("Failed to reach API at http://flow:4200/api/")):
        described = describe_outside_error(error)
        assert described.startswith("Prefect at http://flow:4200/api refused: ")
        assert described.endswith("; check that PREFECT_API_URL is the address of a Prefect server")


def test_errors_of_the_disk_name_the_file_and_others_are_left_alone() -> None:
    with pytest.raises(OSError, match="No such file") as gone:
        open("/nowhere/a.csv")  # noqa: PTH123, SIM115
    assert describe_outside_error(gone.value) == (
        "No such file or directory: '/nowhere/a.csv'; check the path and its permissions, and run the command again"
    )
    assert describe_outside_error(OSError(28, "No space left on device", "a.csv")).endswith(
        "; make room, and run the command again"
    )
    assert describe_outside_error(OSError(28, "No space left on device")) == (
        "No space left on device; make room, and run the command again"
    )
    assert "let the disk be written" in describe_outside_error(OSError(30, "Read-only file system", "a.csv"))
    assert describe_outside_error(OSError(11, "Resource temporarily unavailable")) == ""
    assert describe_outside_error(ValueError("of everfit")) == ""


def test_a_statement_with_its_values_stays_out_of_a_message() -> None:
    message = "(sqlite3.OperationalError) disk I/O error \n[SQL: UPDATE t SET a=?]\n[parameters: ('secret',)]\n"
    message += "(Background on this error at: https://sqlalche.me/e/20/e3q8)"
    described = describe_outside_error(MlflowException(message))
    assert "refused: (sqlite3.OperationalError) disk I/O error; check" in described
    assert without_statement(f"not released: {message}; again") == (
        "not released: (sqlite3.OperationalError) disk I/O error; again"
    )


def test_a_decision_is_refused_before_slow_imports_if_mlflow_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setattr(decisions.environment, "prepare", lambda *_: pytest.fail("Prefect was imported"))

    with pytest.raises(ModelError, match=r"MLflow at http://127\.0\.0\.1:9 does not answer"):
        decisions.without_prefect("any")
