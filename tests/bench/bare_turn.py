"""A turn as a script of one's own: the library calls of a turn of everfit, without everfit.

    bare_turn.py FOLDER FLIGHTS SPEC SUITE WORK UNTIL

`WORK` is a JSON list of the fits and scorings that come beside one fit of each candidate and the released one.
"""

import json
import sys
from pathlib import Path

import great_expectations as gx
import mlflow
import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pyarrow as pa
import pyarrow.dataset as pds
import skops.io
import yaml
from deltalake import DeltaTable, write_deltalake
from great_expectations.data_context.types.base import ProgressBarsConfig
from great_expectations.expectations.expectation_configuration import ExpectationConfiguration
from matplotlib.figure import Figure
from mlflow import MlflowClient
from mlflow.models import infer_signature
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    brier_score_loss,
    log_loss,
    roc_auc_score,
    roc_curve,
)
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

folder, flights, spec_file, suite_file, work_file = map(Path, sys.argv[1:6])
until = pd.Timestamp(sys.argv[6], tz="UTC")
spec = yaml.safe_load(spec_file.read_text())
features = spec["columns"]["features"]
frame = (
    pds.dataset(sorted(map(str, flights.glob("*.parquet"))))
    .to_table(filter=pds.field("scheduled_departure") < until)
    .to_pandas()
)
for name in frame.select_dtypes("number"):
    if name not in spec["columns"]["key"]:
        frame[name] = frame[name].astype("float64")

context = gx.get_context(mode="ephemeral")
context.variables.progress_bars = ProgressBarsConfig(globally=False)
asset = context.data_sources.add_pandas("bare").add_dataframe_asset("batch")
batch = asset.add_batch_definition_whole_dataframe("whole").get_batch({"dataframe": frame})
suite = gx.ExpectationSuite(
    name="bare",
    expectations=[
        ExpectationConfiguration(type=entry["type"], kwargs=entry["kwargs"])
        for entry in yaml.safe_load(suite_file.read_text())
    ],
)
validation = batch.validate(suite, result_format={"result_format": "COMPLETE"})
assert validation.success, validation

frame["_day"] = frame["scheduled_departure"].dt.date
write_deltalake(str(folder / "dataset"), pa.Table.from_pandas(frame, preserve_index=False), partition_by=["_day"])
frame = DeltaTable(str(folder / "dataset")).to_pyarrow_table().to_pandas().sort_values("scheduled_departure")
frame = frame[frame["late"].notna() & (frame["arrived_at"] <= until)]
frame = frame[frame["scheduled_departure"] < until - pd.Timedelta("1d")]
boundary = until - pd.Timedelta("15d")
training, holdout = frame[frame["scheduled_departure"] < boundary], frame[frame["scheduled_departure"] >= boundary]
texts = [name for name in features if not pd.api.types.is_numeric_dtype(frame[name])]
numbers = [name for name in features if name not in texts]


def boosting(categories=True):
    codes = OrdinalEncoder(
        handle_unknown="use_encoded_value", unknown_value=np.nan, encoded_missing_value=np.nan, max_categories=200
    )
    columns = ColumnTransformer([("texts", codes, texts), ("numbers", "passthrough", numbers)])
    grouped = list(range(len(texts))) if categories else None
    return Pipeline(
        [
            ("columns", columns),
            ("estimator", HistGradientBoostingClassifier(categorical_features=grouped, random_state=0)),
        ]
    )


def logistic():
    scaled = make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler())
    hot = OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=20, max_categories=200)
    columns = ColumnTransformer([("numbers", scaled, numbers), ("texts", hot, texts)])
    return Pipeline([("columns", columns), ("estimator", LogisticRegression(max_iter=1000, random_state=0))])


def label(rows):
    return rows["late"].astype("int64")


scores, candidates = {}, [boosting, logistic]
if len(spec["training"]["candidates"]) == 1:
    candidates = [boosting]
else:
    cut = int(len(training) * 0.8)
    earlier, later = training.iloc[:cut], training.iloc[cut:]
    for make in candidates:
        tried = make().fit(earlier[features], label(earlier))
        scores[make] = roc_auc_score(label(later), tried.predict_proba(later[features])[:, 1])
best = max(candidates, key=lambda make: scores.get(make, 0.0))
challenger = best().fit(training[features], label(training))
answers = challenger.predict_proba(holdout[features])[:, 1]
metrics = {
    "roc_auc": roc_auc_score(label(holdout), answers),
    "log_loss": log_loss(label(holdout), answers),
    "average_precision": average_precision_score(label(holdout), answers),
    "brier": brier_score_loss(label(holdout), answers),
    "accuracy": accuracy_score(label(holdout), answers > 0.5),
}
released = best().fit(frame[features], label(frame)) if spec["training"].get("refit", True) else challenger

# The fits and scorings of a turn that go beyond these four fits.
model = released
for step in json.loads(work_file.read_text()):
    if step["do"] == "score":
        model.predict_proba(frame[features].tail(step["rows"]))
        continue
    times = frame["scheduled_departure"]
    rows = frame[(times >= step["since"]) & (times <= step["until"])]
    make = {"boosting": boosting, "ordered": lambda: boosting(False), "logistic": logistic}[step["model"]]
    model = make().fit(rows[features], label(rows))

# The pictures that everfit logs with a version: six by matplotlib, a page of four by plotly.
wrong, right, _ = roc_curve(label(holdout), answers)
points = np.linspace(0, len(wrong) - 1, 2000).astype(int)
pictures = folder / "pictures"
pictures.mkdir()
for number in range(6):
    figure = Figure(figsize=(6.4, 4.4), layout="constrained")
    figure.add_subplot(title="ROC", xlabel="false", ylabel="true").plot(wrong[points], right[points])
    figure.savefig(pictures / f"{number}.png", dpi=80)
curves = [go.Figure(go.Scatter(x=wrong[points], y=right[points])) for _ in range(4)]
(pictures / "page.html").write_text(
    "".join(curve.to_html(full_html=False, include_plotlyjs=number == 0) for number, curve in enumerate(curves))
)

mlflow.set_tracking_uri(f"sqlite:///{folder / 'mlflow.db'}")
client = MlflowClient()
experiment = client.create_experiment("bare", artifact_location=(folder / "artifacts").as_uri())
run = client.create_run(experiment).info.run_id
for name, value in metrics.items():
    client.log_metric(run, name, value)
client.log_dict(run, json.loads(str(validation)), "validation.json")
client.log_artifacts(run, str(pictures), "evidence")
example = frame[features].head(200)
with mlflow.start_run(run_id=run):
    logged = mlflow.sklearn.log_model(
        released,
        name="model",
        serialization_format="skops",
        skops_trusted_types=skops.io.get_untrusted_types(data=skops.io.dumps(released)),
        signature=infer_signature(example, released.predict(example)),
        input_example=example.head(5),
        pip_requirements=["scikit-learn", "skops"],
    )
client.create_registered_model("bare")
version = client.create_model_version("bare", source=logged.model_uri, run_id=run, model_id=logged.model_id)
client.set_registered_model_alias("bare", "champion", version.version)
