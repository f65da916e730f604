"""Only the clients that the spec names send labels, once it names any."""

import pytest

from everfit.blocks.serving import ServingPolicy
from everfit.infra.serving.access import AccessError
from everfit.infra.serving.label_endpoint import check_labeller


def test_without_names_every_client_sends_labels() -> None:
    check_labeller(ServingPolicy(), "shop")


def test_a_client_that_is_not_named_is_refused() -> None:
    policy = ServingPolicy(label_clients=("backoffice",))

    check_labeller(policy, "backoffice")
    with pytest.raises(AccessError, match="'shop' has no right to send labels") as caught:
        check_labeller(policy, "shop")
    assert caught.value.status == 403
