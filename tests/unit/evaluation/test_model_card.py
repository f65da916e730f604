"""A card says what was decided later."""

from everfit.tasks.evaluation.model_card import with_outcome

CARD = "# loans\n\nWaits for approval of challenger 1\n\n## What it is\n\n- task: binary\n\n## Decision\n\n- it waits\n"


def test_a_later_decision_is_at_the_top_and_in_the_decision_once() -> None:
    card = with_outcome(CARD, "Approved by ann: seen")
    assert card.startswith("# loans\n\nApproved by ann: seen\n\n## What it is")
    assert card.endswith("## Decision\n\n- it waits\n- Approved by ann: seen\n")
    assert with_outcome(card, "Approved by ann: seen") == card


def test_a_text_that_is_no_card_stays_as_it_is() -> None:
    assert with_outcome("written by a person", "Approved by ann") == "written by a person"
    assert with_outcome("", "Approved by ann") == ""
