"""One request for the aliases of all models, against MLflow's own SQLite store."""

from pathlib import Path

import pytest
from mlflow import MlflowClient
from support.prepared import copy_empty_mlflow

from everfit.infra.serving.alias_glance import AliasGlance
from everfit.tasks.registry import model_registry
from everfit.tasks.registry.readers import MlflowReader


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> MlflowClient:
    """A registry of three models; one has a champion, one a challenger too, one nothing."""
    folder: Path = tmp_path_factory.mktemp("registry")
    copy_empty_mlflow(folder / "mlflow.db")
    made = MlflowClient(tracking_uri=f"sqlite:///{folder / 'mlflow.db'}")
    for name in ("delays", "fares", "tips"):
        made.create_registered_model(name)
    for name, aliases in {"delays": ["champion"], "fares": ["champion", "challenger"]}.items():
        for alias in aliases:
            version = made.create_model_version(name, folder.as_uri()).version
            made.set_registered_model_alias(name, alias, str(version))
    return made


@pytest.mark.slow
def test_one_request_tells_the_aliases_of_all_models(client: MlflowClient) -> None:
    found = model_registry.all_aliases(client, 50)
    assert found == {"delays": {"champion": 1}, "fares": {"champion": 1, "challenger": 2}, "tips": {}}


def test_a_registry_of_too_many_models_tells_nothing(client: MlflowClient) -> None:
    assert model_registry.all_aliases(client, 2) is None


def test_an_answer_serves_all_models_until_it_is_too_old(client: MlflowClient) -> None:
    asked: list[MlflowClient] = []

    def registered() -> MlflowClient:
        asked.append(client)
        return client

    lasting = AliasGlance(MlflowReader(registered), 3, every_s=3600.0)
    assert [lasting.of("delays"), lasting.of("tips"), lasting.of("unknown")] == [{"champion": 1}, {}, {}]
    assert len(asked) == 1

    short = AliasGlance(MlflowReader(registered), 3, every_s=0.0)
    short.of("delays")
    assert short._until > 0.0


def test_an_answer_is_kept_longer_where_the_request_costs_much(client: MlflowClient) -> None:
    import time

    glance = AliasGlance(MlflowReader(lambda: client), 3, every_s=0.0)
    began = time.thread_time()
    glance.of("delays")
    spent = time.thread_time() - began
    assert glance._until - time.monotonic() > 10 * spent
