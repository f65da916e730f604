"""The words of column names, in the spellings that people use."""

import pytest

from everfit.tasks.core.column_words import column_words, namesakes_of


@pytest.mark.parametrize(
    "name", ["closed_date", "Closed Date", "ClosedDate", "closedDate", "closed-date", "CLOSED.DATE", "closeddate"]
)
def test_a_name_has_the_same_words_in_each_spelling(name: str) -> None:
    assert column_words(name) == ("closed", "date")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("HTTPServerID", ("http", "server", "id")),
        ("Unnamed: 0", ("unnamed", "0")),
        ("größeÜberAlles", ("größe", "über", "alles")),
        ("customerid", ("customer", "id")),
        ("dateofbirth", ("date", "of", "birth")),
        *((whole, (whole,)) for whole in ("valid", "candidate", "runtime", "mandate", "paid", "update")),
        ("", ()),
    ],
)
def test_words_begin_at_capitals_digits_and_signs_and_others_stay_whole(name: str, words: tuple[str, ...]) -> None:
    assert column_words(name) == words


@pytest.mark.parametrize(
    ("target", "features", "namesakes"),
    [
        ("is_fraud", ["FraudSubtype", "amount", "hour"], ("FraudSubtype",)),
        ("churned", ["churn reason", "tenure"], ("churn reason",)),
        ("cancelled", ["cancellation_code", "candle", "can"], ("cancellation_code",)),
        ("loan_status", ["loan_amount", "loan_purpose", "LoanState"], ("LoanState",)),
        ("house_price", ["house_size", "house_age", "house_rooms", "list_price"], ("list_price",)),
        ("y", ["y2", "x_y"], ()),
        ("target", ["target_encoding"], ()),
        ("type", ["subtype", "kind"], ()),
        ("repaid", ["repaid_on_prev_car", "RepaidBefore", "repaid_lag"], ()),
    ],
)
def test_features_that_share_the_words_of_a_target_are_its_namesakes(
    target: str, features: list[str], namesakes: tuple[str, ...]
) -> None:
    assert namesakes_of(target, features) == namesakes
