"""Numbers that are written for people: what is read, what is refused, and how a column is known by its texts."""

import math
from pathlib import Path

import pandas as pd
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from everfit.blocks.errors import SpecError
from everfit.blocks.spec import ModelSpec
from everfit.deployments.init.init import init
from everfit.tasks.core.spec_loading import read_spec
from everfit.tasks.storage.amounts import amount_kind, read_amount
from everfit.tasks.storage.kinds import Amount

DOLLARS, PERCENT, GERMAN = Amount.of(".", "$"), Amount.of(".", "%"), Amount.of(",", "€")


@pytest.mark.parametrize(
    ("kind", "text", "number"),
    [
        (DOLLARS, "$1.50", 1.5),
        (DOLLARS, " $ 1,234,567.5 ", 1_234_567.5),
        (DOLLARS, "-$5", -5.0),
        (DOLLARS, "$-5", -5.0),
        (DOLLARS, "5-", -5.0),
        (DOLLARS, "$(1,234.50)", -1234.5),
        (DOLLARS, "($5)", -5.0),
        (DOLLARS, "\u22125 $", -5.0),
        (DOLLARS, "1'234'567", 1_234_567.0),
        (DOLLARS, "1e-05", 0.00001),
        (PERCENT, "45\u202f%", 45.0),
        (PERCENT, "45", 45.0),
        (GERMAN, "1.234,56 €", 1234.56),
        (GERMAN, "1.234", 1234.0),
        (GERMAN, "12,5", 12.5),
        (Amount.of(",", ""), "1 200", 1200.0),
        (Amount.of(".", "₹"), "₹1,23,456.7", 123_456.7),
        (Amount.of(".", "m2"), "35 m2", 35.0),
    ],
)
def test_a_number_is_read_as_people_write_it(kind: Amount, text: str, number: float) -> None:
    assert read_amount(text, kind) == number


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (DOLLARS, "€5"),
        (DOLLARS, "$5 $"),
        (DOLLARS, "--5"),
        (DOLLARS, "(-5)"),
        (DOLLARS, "1,23"),
        (DOLLARS, "12,34,56"),
        (DOLLARS, "1,234 567"),
        (DOLLARS, "1.234,56"),
        (DOLLARS, "5\u00b2"),
        (DOLLARS, "nan"),
        (DOLLARS, "inf"),
        (DOLLARS, "$"),
        (DOLLARS, ""),
        (DOLLARS, "5-10"),
        (GERMAN, "1.5"),
        (GERMAN, "1,234.5"),
    ],
)
def test_what_may_mean_something_else_is_no_number(kind: Amount, text: str) -> None:
    assert math.isnan(read_amount(text, kind))


@given(
    number=st.decimals(-(10**9), 10**9, places=2),
    decimal=st.sampled_from([".", ","]),
    separator=st.sampled_from(["", "'", " ", "\u00a0", "other"]),
    unit=st.sampled_from(["", "$", "%", "kg", "CHF"]),
    written=st.sampled_from(["{minus}{number}{unit}", "{minus}{unit} {number}", "{unit}{minus}{number}", "bracket"]),
)
def test_whatever_the_style_the_number_is_the_same(
    number: float, decimal: str, separator: str, unit: str, written: str
) -> None:
    mark = ("," if decimal == "." else ".") if separator == "other" else separator
    digits = f"{abs(number):,.2f}".replace(",", "t").replace(".", decimal).replace("t", mark)
    template = ("({number} {unit})" if number < 0 else "{number}") if written == "bracket" else written
    text = template.format(minus="-" if number < 0 else "", number=digits, unit=unit)
    assert read_amount(text, Amount.of(decimal, unit)) == float(number)


@pytest.mark.parametrize(
    ("texts", "kind"),
    [
        (["$1.50", "$1,234.00", "$7"], DOLLARS),
        (["45 %", "7.5 %"], PERCENT),
        (["1.234,56 €", "12,50 €"], GERMAN),
        (["12,50", "7,25", "1.000,00"], Amount.of(",", "")),
        (["1 200", "950", "1 200 000"], Amount.of(".", "")),
        (["USD 5", "USD 1,000"], Amount.of(".", "USD")),
        (["$1", "€2", "$3", "€4"], None),
        (["A1", "A2", "A3"], None),
        (["0151 23", "0152 34"], None),
        (["555 123 456", "555 123 457"], None),
        (["5-10", "10-20"], None),
        (["north", "south"], None),
        ([], None),
    ],
)
def test_a_column_shows_how_its_numbers_are_written(texts: list[str], kind: Amount | None) -> None:
    assert amount_kind(texts) == kind


def test_init_takes_them_for_numbers(tmp_path: Path) -> None:
    rows = pd.DataFrame({"id": [f"A{number:03d}" for number in range(400)]})
    rows["at"] = pd.date_range("2024-01-01", periods=400, freq="h")
    rows["price"] = [f"${number % 89 * 97 + 0.25:,.2f}" for number in range(400)]
    rows["share"] = [f"{number % 60} %" for number in range(400)]
    rows["y"] = [number * 7 % 5 % 2 for number in range(400)]
    rows.to_csv(tmp_path / "rows.csv", index=False)
    shown = init(str(tmp_path / "rows.csv"), target="y", key=("id",), output=tmp_path / "m.yaml")
    assert shown["numbers"] == {"price": {"unit": "$", "decimal": "."}, "share": {"unit": "%", "decimal": "."}}
    spec = ModelSpec.model_validate(yaml.safe_load((tmp_path / "m.yaml").read_text()))
    assert spec.columns.numbers["share"].unit == "%"
    assert {"price", "share"} <= {*(spec.columns.features or ())}


@pytest.mark.parametrize(
    ("columns", "problem"),
    [
        ("{key: [id], target: y, numbers: {id: {}}}", "'id' is a key, a text, a time or ignored"),
        ("{target: y, numbers: {y: {unit: $}}}", "'y' is the target, whose values are classes"),
        ("{target: y, numbers: {price: {unit: '5'}}}", "unit"),
    ],
)
def test_a_column_that_is_no_number_is_refused(columns: str, problem: str) -> None:
    with pytest.raises(SpecError, match=problem):
        read_spec(f"{{name: shop, task: binary, source: {{path: a.csv}}, columns: {columns}}}", "shop.yaml")
