"""Which time `everfit init` takes for the event's and the label's, on tables as companies have them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from everfit.deployments.init.init import init
from everfit.deployments.init.times import TimeChoice
from everfit.tasks.core.spec_loading import load_spec

ROWS = 1500
DAY = pd.Timedelta(days=1)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def days(first: str, random: np.random.Generator, spread: int, rows: int = ROWS) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(pd.Timestamp(first) + pd.to_timedelta(random.integers(0, spread, rows), unit="D"))


def insurance() -> pd.DataFrame:
    """Claims, whose oldest time is a date of birth."""
    random = np.random.default_rng(1)
    reported = pd.date_range("2022-01-01", periods=ROWS, freq="11h")
    closed = reported + pd.to_timedelta(random.integers(2, 60, ROWS), unit="D")
    risk = random.normal(size=ROWS)
    fraud = risk + random.normal(size=ROWS) > 1.5
    return pd.DataFrame(
        {
            "Claim ID": np.arange(50_000, 50_000 + 3 * ROWS, 3),
            "Date of Birth": days("1945-01-01", random, 20_000),
            "Policy Valid From": days("2005-01-01", random, 6_000),
            "Reported Date": reported,
            "Closed Date": closed,
            "Reported Month": reported.month,
            "Claim Amount": np.exp(risk),
            "Fraud Subtype": np.where(fraud, random.choice(["staged", "inflated"], ROWS), "none"),
            "Gender": random.choice(["f", "m"], ROWS),
            "Is Fraud": fraud,
        }
    )


def tickets() -> pd.DataFrame:
    """Tickets of a help desk, in camel case, opened and resolved, exported in the order of the last change."""
    random = np.random.default_rng(2)
    opened = pd.date_range("2023-03-01", periods=ROWS, freq="3h")
    hours = random.gamma(2.0, 20.0, ROWS)
    frame = pd.DataFrame(
        {
            "ticketNo": np.arange(ROWS) + 7_000,
            "openedAt": opened,
            "resolvedAt": opened + pd.to_timedelta(hours, unit="h"),
            "customerSince": days("2010-01-01", random, 4_000),
            "queue": random.choice(["net", "mail", "print"], ROWS),
            "resolutionHours": hours,
            "effort": hours * random.uniform(0.2, 3, ROWS),
        }
    )
    return frame.sort_values("resolvedAt")


def sensors() -> pd.DataFrame:
    """Readings of machines: the time that a machine was built is the same in all of its rows."""
    random = np.random.default_rng(3)
    machine = np.tile(np.arange(30), ROWS // 30)
    at = pd.date_range("2024-01-01", periods=ROWS, freq="20min")
    return pd.DataFrame(
        {
            "machine-id": machine,
            "production": pd.Timestamp("2015-01-01") + machine * 40 * DAY,
            "moment": at,
            "temperature": random.normal(60, 5, ROWS),
            "failure": random.random(ROWS) < 0.1,
        }
    )


def shop() -> pd.DataFrame:
    """Orders in no order, with lower-case names without separators, that were written to a warehouse later."""
    random = np.random.default_rng(4)
    ordered = days("2023-01-01", random, 400)
    return pd.DataFrame(
        {
            "orderid": random.permutation(ROWS),
            "updatedat": ordered + pd.to_timedelta(random.integers(0, 90, ROWS), unit="D"),
            "duedate": ordered + 14 * DAY,
            "orderdate": ordered,
            "birthdate": days("1950-01-01", random, 18_000),
            "price": random.gamma(2.0, 30.0, ROWS),
            "returned": random.random(ROWS) < 0.2,
        }
    )


def employees() -> pd.DataFrame:
    """One row for each person: the only time that isn't a birth is the day on which each joined."""
    random = np.random.default_rng(5)
    return pd.DataFrame(
        {
            "dob": days("1960-01-01", random, 15_000),
            "joined.on": days("2015-01-01", random, 3_000),
            "level": random.integers(1, 6, ROWS).astype(float),
            "left": random.random(ROWS) < 0.3,
        }
    )


def patients() -> pd.DataFrame:
    """No time but a birth."""
    return employees().drop(columns="joined.on")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("table", "target", "event_time", "label_time", "sign"),
    [
        (insurance, "Is Fraud", "Reported Date", "Closed Date", "rows are in its order"),
        (tickets, "effort", "openedAt", "resolvedAt", "it is before 'resolvedAt'"),
        (sensors, "failure", "moment", None, "rows are in its order"),
        (shop, "returned", "orderdate", None, "its name says so"),
        (employees, "left", "joined.on", None, ""),
        (patients, "left", None, None, ""),
    ],
)
def test_the_event_time_is_that_of_the_event(
    table: Callable[[], pd.DataFrame], target: str, event_time: str | None, label_time: str | None, sign: str
) -> None:
    table().to_csv("data.csv", index=False)

    result = init("data.csv", target)

    assert (result["event_time"], result["label_time"]) == (event_time, label_time)
    assert sign in "; ".join(result["event_time_signs"])
    text = Path(result["path"]).read_text()
    assert sign in " ".join(text.replace("#", "").split())
    assert not any("More than one" in note for note in result["notes"])
    assert load_spec(result["path"]).columns.event_time == event_time


@pytest.mark.parametrize("placeholder", ["1900-01-01", "1970-01-01", "9999-12-31"])
def test_a_time_that_says_not_known_is_none(placeholder: str) -> None:
    """Claims that are not closed have a date of closing at which the database begins to count."""
    claims = insurance()
    claims["Closed Date"] = claims["Closed Date"].mask(claims.index % 4 == 0, pd.Timestamp(placeholder))
    claims.to_csv("claims.csv", index=False)
    made = init("claims.csv", "Is Fraud")
    assert made["event_time"] == "Reported Date"
    assert "it is before 'Closed Date'" in made["event_time_signs"]


def test_names_of_any_spelling_show_keys_groups_date_parts_and_leaks() -> None:
    insurance().to_csv("claims.csv", index=False)

    result = init("claims.csv", "Is Fraud")

    assert (result["key"], result["protected"]) == (["Claim ID"], ["Gender"])
    assert result["features"] == ["Claim Amount", "Gender"]
    assert result["ignored"]["Reported Month"].startswith("part of the event time")
    assert result["ignored"]["Date of Birth"].startswith("a birth")
    assert result["ignored"]["Fraud Subtype"].startswith("suspected leak")


def test_a_birth_alone_is_no_event_and_the_spec_says_so() -> None:
    patients().to_csv("data.csv", index=False)

    result = init("data.csv", "left")

    assert "'dob' is a birth, and no event to predict for" in Path(result["path"]).read_text().replace("\n# ", " ")


def appointments() -> pd.DataFrame:
    """Two times that both may be the event's: that of the call, and that of the appointment."""
    random = np.random.default_rng(6)
    called = days("2024-01-01", random, 120)
    return pd.DataFrame(
        {
            "ScheduledDay": called,
            "AppointmentDay": called + pd.to_timedelta(random.integers(0, 30, ROWS), unit="D"),
            "age": random.integers(1, 90, ROWS),
            "NoShow": random.choice(["Yes", "No"], ROWS),
        }
    )


def test_where_two_times_are_possible_both_are_shown_and_a_person_chooses() -> None:
    appointments().to_csv("data.csv", index=False)
    shown: list[TimeChoice] = []

    def second(choices: Any) -> str:
        shown.extend(choices)
        return str(choices[1].column)

    taken = init("data.csv", "NoShow", force=True)
    requested = init("data.csv", "NoShow", force=True, choose=second)

    assert {choice.column for choice in shown} == {"ScheduledDay", "AppointmentDay"}
    assert (taken["event_time"], requested["event_time"]) == tuple(choice.column for choice in shown)
    note = next(note for note in taken["notes"] if note.startswith("More than one column"))
    assert all(str(choice) in note for choice in shown)
    assert "--event-time" in note


@pytest.mark.slow
def test_a_time_that_is_filled_only_with_the_label_is_the_label_time_whatever_it_is_called() -> None:
    frame = insurance().rename(columns={"Closed Date": "stamp_2"})
    frame["Is Fraud"] = np.where(np.arange(ROWS) < 1400, frame["Is Fraud"], None)
    frame["stamp_2"] = frame["stamp_2"].where(np.arange(ROWS) < 1400)
    frame.to_csv("data.csv", index=False)

    assert init("data.csv", "Is Fraud")["label_time"] == "stamp_2"


def test_a_feature_called_like_the_target_that_does_not_tell_it_stays_and_is_marked() -> None:
    frame = insurance()
    frame["fraud_reports_seen"] = np.random.default_rng(0).integers(0, 5, ROWS)
    frame.to_csv("data.csv", index=False)

    result = init("data.csv", "Is Fraud")

    assert "fraud_reports_seen" in result["features"]
    assert "ignore it unless it is known before the event" in result["doubtful"]["fraud_reports_seen"]
    spec = Path(result["path"]).read_text()
    assert "- fraud_reports_seen  # called like Is Fraud" in spec
    assert yaml.safe_load(spec)["columns"]["features"] == result["features"]


@pytest.mark.parametrize("written", ["%Y%m%d", "%y%m%d"])
def test_days_that_are_written_as_numbers_are_times(written: str) -> None:
    random = np.random.default_rng(5)
    days_of = pd.date_range("2020-01-01", periods=ROWS, freq="D").strftime(written).astype("int64")
    table = pd.DataFrame({"Trade Date": days_of, "price": random.normal(size=ROWS)})
    table["up"] = table["price"] + random.normal(size=ROWS) > 0
    table.to_csv("trades.csv", index=False)

    made = init("trades.csv", "up")

    assert made["event_time"] == "Trade Date"
    assert load_spec("trades.yaml").source.time_format == written


def test_a_lasting_property_in_whose_order_the_rows_are_is_shown_beside_a_time_without_a_sign() -> None:
    random = np.random.default_rng(6)
    began = pd.DatetimeIndex(np.sort(days("2023-06-01", random, 500)))
    table = pd.DataFrame(
        {
            "Geburtsdatum": np.sort(days("1950-01-01", random, 18_000)),
            "valid_from": began,
            "bearbeitet": began + pd.to_timedelta(random.integers(5, 40, ROWS), unit="D"),
            "x": random.normal(size=ROWS),
            "y": random.random(ROWS) < 0.3,
        }
    )
    table.to_csv("contracts.csv", index=False)

    made = init("contracts.csv", "y")

    assert made["event_time"] == "valid_from"
    (note,) = [note for note in made["notes"] if note.startswith("More than one column may be the time of the event.")]
    assert "'bearbeitet'" in note
    assert "Geburtsdatum" not in note


@pytest.mark.slow
@pytest.mark.parametrize(
    "written",
    ["%m/%d/%Y %I:%M %p", "%d/%m/%y %H:%M", "%d.%m.%y", "%b %d, %Y %I:%M:%S %p", "%d %B %Y", "%Y/%m/%d %H:%M"],
)
def test_a_date_is_read_with_each_way_to_write_the_time_of_day(written: str) -> None:
    opened = pd.Series(pd.date_range("2020-01-13", periods=ROWS, freq="37h"))
    since = pd.Series(pd.date_range("2001-01-01", periods=ROWS, freq="D")).sample(frac=1, random_state=5)
    table = pd.DataFrame(
        {"Customer Since": since.dt.strftime("%Y-%m-%d").to_numpy(), "Opened": opened.dt.strftime(written)}
    )
    table["x"] = np.arange(ROWS) % 17
    table["y"] = np.arange(ROWS) % 2
    table.to_csv("tickets.csv", index=False)

    made = init("tickets.csv", "y")

    assert made["event_time"] == "Opened"
    assert load_spec("tickets.yaml").source.time_format == written


def test_numbers_that_are_no_days_are_no_times() -> None:
    random = np.random.default_rng(5)
    table = pd.DataFrame({"time_on_site": random.integers(100_000, 999_999, ROWS), "price": random.normal(size=ROWS)})
    table["up"] = table["price"] + random.normal(size=ROWS) > 0
    table.to_csv("visits.csv", index=False)

    assert init("visits.csv", "up")["event_time"] is None


def test_of_two_later_times_the_one_that_comes_without_the_label_is_not_the_label_time() -> None:
    random = np.random.default_rng(3)
    admitted = pd.date_range("2023-01-01", periods=ROWS, freq="6h")
    discharged = admitted + pd.to_timedelta(random.integers(1, 12, ROWS), unit="D")
    followed = discharged + pd.Timedelta(days=30)
    now = admitted[-1] + DAY
    pd.DataFrame(
        {
            "case": np.arange(ROWS),
            "admitted": admitted,
            "discharge_date": discharged.where(discharged < now),
            "follow_up_date": followed.where(followed < now),
            "age": random.integers(18, 95, ROWS),
            "readmitted": np.where(followed < now, np.where(random.uniform(size=ROWS) < 0.2, "yes", "no"), None),
        }
    ).to_csv("hospital.csv", index=False)

    result = init("hospital.csv", "readmitted")

    assert (result["event_time"], result["label_time"]) == ("admitted", "follow_up_date")
    assert any("More than one column may be the time" in note for note in result["notes"])
