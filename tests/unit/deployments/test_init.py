"""`everfit init`: what it says of several kinds of data, and that it never writes what it can't read."""

import sqlite3
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from support.init_tables import loans, made

from everfit.blocks.errors import SourceError
from everfit.deployments.init.init import init
from everfit.tasks.core.spec_loading import load_spec


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_of_a_day_and_a_time_of_the_same_event_the_time_counts():
    frame = loans().drop(columns=["closed_on", "year"])
    at = pd.to_datetime(frame["applied_on"], format="%d/%m/%Y %H:%M")
    frame.insert(0, "day", at.dt.date)
    found = made(frame, "default")

    assert found["event_time"] == "applied_on"
    assert found["ignored"]["day"].startswith("a time; ")


@pytest.mark.slow
def test_labels_that_are_not_known_yet_are_no_time_of_the_future():
    frame = loans().drop(columns="year")
    frame["closed_on"] = pd.to_datetime(frame["closed_on"], format="%d/%m/%Y %H:%M").astype("str")
    frame.loc[frame.index % 20 == 0, "closed_on"] = "9999-12-31 00:00:00"
    frame["applied_on"] = pd.to_datetime(frame["applied_on"], format="%d/%m/%Y %H:%M").astype("str")
    assert (made(frame, "default")["label_time"], made(frame, "default")["maturity"]) == ("closed_on", "20d")


def test_a_column_of_booleans_may_be_called_a_date():
    found = made(
        loans(600).assign(due_date=lambda frame: frame["age"] > 40)[["application_id", "due_date", "hour", "default"]],
        "default",
    )
    assert "due_date" in found["features"]


def test_numbers_written_for_people_are_named_with_an_example():
    amounts = np.random.default_rng(0).gamma(2, 900, 600).round(2)
    frame = loans(600)[["application_id", "income", "hour", "default"]].assign(
        price=[f"${amount:,.2f}" for amount in amounts],
        share=[f"{amount / 100:.2f} %" for amount in amounts],
        balance=[f"({amount:.2f})" for amount in amounts],
        fee=[f"{'$€'[number % 2]}{amount:.2f}" for number, amount in enumerate(amounts)],
        address=[f"10.{number % 7}.{number % 90}.{number}" for number in range(600)],
    )
    shown = made(frame, "default")
    ignored = shown["ignored"]
    assert {name: written["unit"] for name, written in shown["numbers"].items()} == {
        "price": "$",
        "share": "%",
        "balance": "",
    }
    assert {"price", "share", "balance"} <= {*shown["features"]}
    assert ignored["fee"].startswith(f"numbers written as text in several ways, such as '${amounts[0]:.2f}'")
    assert ignored["address"] == "identifier: nearly unique in every row"


def test_columns_of_bytes_are_ignored_with_the_reason():
    frame = loans(600)[["application_id", "income", "hour", "default"]].assign(photo=b"jpg")
    frame.to_parquet("data.parquet", index=False)
    found = init("data.parquet", "default", force=True)
    assert found["ignored"]["photo"].startswith("bytes: ")
    assert (
        load_spec(found["path"]).columns.ignore[-1:] == ("photo",) or "photo" in load_spec(found["path"]).columns.ignore
    )


@pytest.mark.slow
def test_a_table_with_times_labels_and_leaks():
    found = made(loans(), "default")

    assert (found["task"], found["key"]) == ("binary", ["application_id"])
    assert (found["event_time"], found["label_time"], found["maturity"]) == ("applied_on", "closed_on", "20d")
    assert found["features"] == ["hour", "sex", "age", "income"]
    assert found["protected"] == ["sex", "age"]
    reasons = {name: why.split(":")[0] for name, why in found["ignored"].items()}
    assert reasons == {
        "year": "part of the event time",
        "always": "constant",
        "nothing": "empty",
        "status": "suspected leak",
        "comment": "free text; its words did not help",
    }
    spec = yaml.safe_load(Path(found["path"]).read_text())
    assert spec["source"] == {"kind": "files", "path": "data.csv", "time_format": "%d/%m/%Y %H:%M"}
    assert 95 <= int(spec["training"]["holdout"].removesuffix("d")) <= 105


@pytest.mark.parametrize(
    ("target", "task"),
    [
        (pd.Series([0, 1]), "binary"),
        (pd.Series(["a", "b", "c"]), "multiclass"),
        (pd.Series([1, 2, 3, 4, 5]), "multiclass"),
        (pd.Series(range(300)), "regression"),
        (pd.Series(np.linspace(0, 1, 300)), "regression"),
    ],
)
def test_the_task_is_told_from_the_target(target: pd.Series, task: str):
    values = np.resize(target.to_numpy(), 600)
    frame = pd.DataFrame({"x": np.random.default_rng(0).normal(size=600), "y": values})

    assert made(frame, "y")["task"] == task


def test_without_times_the_spec_says_so_and_few_rows_lower_the_gate():
    frame = loans(300).drop(columns=["applied_on", "closed_on", "application_id"])
    found = made(frame, "default")

    assert found["event_time"] is None
    spec = Path(found["path"]).read_text()
    assert "no column of times" in spec
    assert load_spec(found["path"]).training.holdout_share == 0.2
    assert load_spec(found["path"]).gate.min_rows == 42
    assert "random_forest" in load_spec(found["path"]).training.candidates


@pytest.mark.slow
def test_the_gate_makes_do_with_the_rows_that_a_hold_out_has_of_the_rarest_class_and_without_those_that_came_twice():
    frame = loans(2_000)
    frame["default"] = np.where(np.arange(2_000) % 100 == 0, 1, 0)
    found = made(frame, "default")
    assert load_spec(found["path"]).gate.min_class_rows == 3
    assert "rows with default '1', so" in " ".join(found["notes"])
    frame["default"] = np.arange(2_000) % 2
    assert load_spec(made(frame, "default")["path"]).gate.min_class_rows == 20
    few = loans(600).drop(columns=["applied_on", "closed_on", "application_id"])
    doubled = pd.concat([few, few, few], ignore_index=True)
    assert load_spec(made(doubled, "default")["path"]).gate.min_rows == 84


def a_table(rows: int, every: str, rarest: float = 0.5) -> pd.DataFrame:
    """Rows at equal distances of time."""
    random = np.random.default_rng(0)
    at = pd.Timestamp("2015-01-01") + np.arange(rows) * pd.Timedelta(every)
    return pd.DataFrame(
        {"id": np.arange(rows), "at": at.astype(str), "x": random.normal(size=rows), "y": random.random(rows) < rarest}
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rows", "every", "window", "holdout"),
    [
        (20_000, "1h", "14d", "42d"),  # hourly
        (3_000, "1D", "90d", "600d"),  # daily: a fifth is all it may be, and minimums are lower
        (40_000, "10min", "7d", "7d"),
        (40_000, "1min", "1d", "6d"),  # a month: days, and a fifth of them
        (300, "1D", "60d", "60d"),  # so few that minimums are lower
    ],
)
def test_the_window_and_the_hold_out_have_enough_rows_to_decide_by(rows: int, every: str, window: str, holdout: str):
    found = made(a_table(rows, every), "y")

    spec = load_spec(found["path"])
    assert (found["window"], found["holdout"]) == (window, holdout)
    per_window = spec.monitoring.window / pd.Timedelta(every)
    assert per_window >= 1.25 * spec.monitoring.min_labels or per_window * 1.25 >= spec.monitoring.min_labels
    assert spec.training.holdout / pd.Timedelta(every) >= spec.gate.min_rows
    assert spec.training.holdout / pd.Timedelta(every) <= 0.22 * rows
    assert 2 * spec.gate.min_rows <= max(0.15 * rows, 84)  # so that the first turn is tried in time
    text = Path(found["path"]).read_text()
    assert "labelled rows" in text
    assert "newest" in text


def test_the_hold_out_leaves_rows_to_learn_from_among_those_with_mature_labels():
    """In 30 days of rows whose labels take 20 days, only the first 10 days can be learned from."""
    frame = a_table(1_500, "29min")
    events = pd.to_datetime(frame["at"])
    known = events + pd.to_timedelta(np.random.default_rng(0).uniform(0, 20, len(frame)), unit="D")
    late = known > events.max()
    frame["known_at"] = known.dt.floor("s").astype(str).mask(late)
    found = made(frame.assign(y=frame["y"].astype(str).mask(late)), "y")

    spec = load_spec(found["path"])
    assert spec.maturity >= pd.Timedelta(days=19)
    assert spec.training.holdout <= pd.Timedelta(days=4)
    assert any("of the rows are older than maturity" in note for note in found["notes"])


@pytest.mark.slow
def test_the_hold_out_has_enough_rows_of_the_rarest_class():
    often, seldom = (made(a_table(40_000, "10min", share), "y")["holdout"] for share in (0.5, 0.01))
    assert int(seldom.removesuffix("d")) > 3 * int(often.removesuffix("d"))


def test_rows_of_each_month_give_windows_of_months():
    months = pd.concat([a_table(150, "1s").assign(at=f"{2015 + n // 12}-{n % 12 + 1:02}-01", id=n) for n in range(60)])
    found = made(months.assign(id=np.arange(len(months))), "y")
    assert found["window"] == "60d"


@pytest.mark.slow
def test_a_column_that_numbers_the_rows_is_nothing_to_learn_from_whatever_it_is_called():
    frame = loans().rename(columns={"application_id": "loan"})
    found = made(frame, "default")
    assert found["ignored"]["loan"].startswith("identifier")
    assert found["key"] == ["applied_on"]

    # One that leaves numbers out, or gives one twice, may tell something.
    for changed in (frame["loan"] * 2, frame["loan"].where(frame["loan"] != 7, 6)):
        assert "loan" in made(frame.assign(loan=changed), "default")["features"]


@pytest.mark.slow
def test_what_a_person_tells_is_kept():
    found = made(loans(), "default", key=("application_id", "sex"), event_time="closed_on", name="Loans of 2021")

    assert (found["key"], found["event_time"], found["model"]) == (
        ["application_id", "sex"],
        "closed_on",
        "loans-of-2021",
    )


@pytest.mark.slow
def test_rows_that_came_twice_do_not_hide_the_key():
    rows = loans()

    assert made(pd.concat([rows, rows.head(100)]), "default")["key"] == ["application_id"]


@pytest.mark.slow
def test_a_database_by_a_variable_is_written_by_its_name(folder: Path, monkeypatch: pytest.MonkeyPatch):
    with sqlite3.connect(folder / "loans.db") as database:
        loans().to_sql("loans", database, index=False)
    database.close()
    monkeypatch.setenv("LOANS_URL", f"sqlite:///{folder}/loans.db")

    found = init("env:LOANS_URL#loans", "default")

    assert found["rows"] == 2000
    assert "url: env:LOANS_URL" in Path(found["path"]).read_text().replace('"', "")


@pytest.mark.parametrize("name", ["a: b", "#1", "Größe (cm)", "yes", 'say "it"', "with, comma", "- x", "null"])
def test_column_names_of_every_kind_survive_yaml(name: str):
    frame = pd.DataFrame({name: np.random.default_rng(0).normal(size=500), "y": np.resize([0, 1], 500)})

    assert load_spec(made(frame, "y")["path"]).columns.features == (name,)


def test_text_that_is_not_utf_8_is_read_by_the_encoding_that_is_told(folder: Path):
    rows = pd.DataFrame({"x": range(300), "town": ["Köln", "Zürich", "Málaga"] * 100, "y": [0, 1] * 150})
    rows.to_csv(folder / "towns.csv", index=False, encoding="latin-1")

    with pytest.raises(SourceError, match="is not encoded in utf-8"):
        init("towns.csv", "y")
    made = init("towns.csv", "y", file_options={"encoding": "latin-1"})

    assert load_spec(made["path"]).source.encoding == "latin-1"
    assert made["rows"] == 300


@pytest.mark.parametrize(("written", "other"), [("%m/%d/%Y", "%d/%m/%Y"), ("%d/%m/%Y", "%m/%d/%Y")])
def test_of_two_formats_that_read_all_times_the_rows_are_in_order_by_one(tmp_path: Path, written: str, other: str):
    days = [day for day in pd.date_range("2023-01-01", "2023-06-30") if day.day <= 9]
    frame = pd.DataFrame({"sold": [f"{day:{written}}" for day in days for _ in range(10)]})
    frame["x"] = np.arange(len(frame)) % 17
    frame["y"] = np.arange(len(frame)) % 2

    found = made(frame, "y")

    spec = yaml.safe_load(Path(found["path"]).read_text())
    assert spec["source"]["time_format"] == written
    assert f"could also be read as {other!r}" in " ".join(found["notes"])


@pytest.mark.slow
def test_a_label_time_that_is_written_otherwise_has_its_own_format():
    frame = loans()
    frame["closed_on"] = pd.to_datetime(frame["closed_on"], format="%d/%m/%Y %H:%M").dt.strftime("%Y-%m-%d %H:%M")

    spec = yaml.safe_load(Path(made(frame, "default")["path"]).read_text())

    assert spec["source"]["time_format"] == "%d/%m/%Y %H:%M"
    assert spec["source"]["label_time_format"] == "iso"


@pytest.mark.slow
def test_a_column_that_begins_with_an_underscore_is_named_and_read_under_another_name():
    frame = loans().rename(columns={"application_id": "_id", "income": "_income"})

    found = made(frame, "default", key=("_id",))

    assert found["key"] == ["id"]
    assert "income" in found["features"]
    assert "The column '_income' is read as 'income'." in found["notes"]


@pytest.mark.slow
def test_values_and_lines_that_will_go_to_quarantine_are_named(tmp_path: Path):
    frame = loans().astype({"income": object})
    frame.loc[17, "income"] = "plenty"
    path = tmp_path / "loans.csv"
    path.write_text(frame.to_csv(index=False) + "99,2\n")

    found = init(str(path), "default", force=True)

    said = f"1 of {len(frame):,} values of 'income' are no number, such as 'plenty'; these rows go to quarantine."
    assert said in found["notes"]
    assert any(note.startswith("1 line of ") and note.endswith("loans.csv' can't be read.") for note in found["notes"])
    assert found["rows"] == len(frame)


@pytest.mark.slow
def test_a_customer_whose_rows_repeat_is_the_entity_and_no_feature():
    frame = loans(600).assign(customer_id=[f"c{number % 90}" for number in range(600)])
    found = made(frame, "default")
    assert found["entity"] == "customer_id"
    assert "customer_id" not in found["features"]
    assert load_spec(found["path"]).columns.entity == "customer_id"
    assert made(loans(600), "default")["entity"] is None
    once = frame.assign(customer_id=[f"c{number}" for number in range(600)])
    assert made(once, "default")["entity"] is None
