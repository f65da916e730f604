"""Messages about changes by hand in MLflow: a further change is news."""

from everfit.tasks.release.registry_watch import RegistrySight, registry_alert

SIGHT = RegistrySight(champion=(2, "run"), gone=())


def test_another_move_of_the_alias_is_news_and_the_same_loss_is_not() -> None:
    moves = [registry_alert("flights", SIGHT, [f"the alias was moved to version {number}"]) for number in (1, 3)]
    lost = SIGHT.model_copy(update={"gone": ("version 2",)})
    losses = [registry_alert("flights", lost, done) for done in (["recorded an outside release"], [])]

    assert len({alert.signature for alert in moves if alert}) == 2
    assert len({alert.signature for alert in losses if alert}) == 1
    assert registry_alert("flights", SIGHT) is None
