"""Boosting is fitted on the cores that are free, and is the same whatever their number."""

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from support.training import a_spec, rows_of
from threadpoolctl import ThreadpoolController

from everfit.tasks.core import cores
from everfit.tasks.training.fitting import fit
from everfit.tasks.training.search import Setting


@pytest.mark.slow
def test_a_boosting_is_fitted_on_the_free_cores_and_is_the_same_on_any_number(monkeypatch: pytest.MonkeyPatch) -> None:
    openmp = ThreadpoolController().select(user_api="openmp")
    used: list[int] = []
    plain = HistGradientBoostingClassifier.fit

    def watched(self: HistGradientBoostingClassifier, *args: object, **given: object) -> HistGradientBoostingClassifier:
        used.append(openmp.lib_controllers[0].num_threads)
        return plain(self, *args, **given)

    monkeypatch.setattr(HistGradientBoostingClassifier, "fit", watched)
    monkeypatch.setattr(cores, "usable_cores", lambda: 4)
    rows, answers = rows_of(rows=2000), []
    with openmp.limit(limits=4):
        for free in (1, 2, 4):
            monkeypatch.setattr(cores, "free_cores", lambda free=free: free)
            model = fit(a_spec(), ["x", "group"], "hist_gradient_boosting", Setting(parameters={"max_iter": 5}), rows)
            answers.append(model.predict_proba(rows[["x", "group"]]))
    assert used == [1, 2, 4]
    assert all(np.array_equal(answers[0], other) for other in answers)
