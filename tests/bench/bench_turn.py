"""One turn's whole-process time against a bare script that makes the same library calls.

The script is measured twice: as somebody would write it, with one fit for each candidate, one for the hold-out and one
for the release; and with every fit and every scoring of a turn, which judges its procedure by fitting it again and
again. Prints the ratios with a Prefect server running and with the temporary one, and where the time of a turn goes.
The very first turn of an installation has a line of its own: in it the temporary server makes its database, which takes
seconds.
"""

import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

EVERFIT = Path(sys.executable).with_name("everfit")
UNTIL = "2013-03-01"
RUNS = 3

BARE = r"""
import json, sys
from pathlib import Path

import great_expectations as gx
import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as pds
import yaml
from deltalake import DeltaTable, write_deltalake
from great_expectations.data_context.types.base import ProgressBarsConfig
from great_expectations.expectations.expectation_configuration import ExpectationConfiguration
from mlflow import MlflowClient
from mlflow.models import infer_signature
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, average_precision_score, brier_score_loss, log_loss, roc_auc_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler
import plotly.graph_objects as go
import skops.io
from matplotlib.figure import Figure
from sklearn.metrics import roc_curve

folder, flights, spec_file, suite_file, work_file = map(Path, sys.argv[1:])
spec = yaml.safe_load(spec_file.read_text())
features = spec["columns"]["features"]
until = pd.Timestamp("2013-03-01", tz="UTC")
frame = pds.dataset(sorted(map(str, flights.glob("*.parquet")))).to_table(
    filter=pds.field("scheduled_departure") < until).to_pandas()
for name in frame.select_dtypes("number"):
    if name not in spec["columns"]["key"]:
        frame[name] = frame[name].astype("float64")

context = gx.get_context(mode="ephemeral")
context.variables.progress_bars = ProgressBarsConfig(globally=False)
asset = context.data_sources.add_pandas("bare").add_dataframe_asset("batch")
batch = asset.add_batch_definition_whole_dataframe("whole").get_batch({"dataframe": frame})
suite = gx.ExpectationSuite(name="bare", expectations=[
    ExpectationConfiguration(type=entry["type"], kwargs=entry["kwargs"])
    for entry in yaml.safe_load(suite_file.read_text())])
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
    codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan, encoded_missing_value=np.nan,
                           max_categories=200)
    columns = ColumnTransformer([("texts", codes, texts), ("numbers", "passthrough", numbers)])
    grouped = list(range(len(texts))) if categories else None
    return Pipeline([("columns", columns), ("estimator", HistGradientBoostingClassifier(
        categorical_features=grouped, random_state=0))])

def logistic():
    scaled = make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler())
    hot = OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=20, max_categories=200)
    columns = ColumnTransformer([("numbers", scaled, numbers), ("texts", hot, texts)])
    return Pipeline([("columns", columns), ("estimator", LogisticRegression(max_iter=1000, random_state=0))])

def label(rows):
    return rows["late"].astype("int64")

cut = int(len(training) * 0.8)
earlier, later = training.iloc[:cut], training.iloc[cut:]
scores = {}
for make in (boosting, logistic):
    tried = make().fit(earlier[features], label(earlier))
    scores[make] = roc_auc_score(label(later), tried.predict_proba(later[features])[:, 1])
best = max(scores, key=scores.get)
challenger = best().fit(training[features], label(training))
answers = challenger.predict_proba(holdout[features])[:, 1]
metrics = {"roc_auc": roc_auc_score(label(holdout), answers), "log_loss": log_loss(label(holdout), answers),
           "average_precision": average_precision_score(label(holdout), answers),
           "brier": brier_score_loss(label(holdout), answers),
           "accuracy": accuracy_score(label(holdout), answers > 0.5)}
released = best().fit(frame[features], label(frame))

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
(pictures / "page.html").write_text("".join(
    curve.to_html(full_html=False, include_plotlyjs=number == 0) for number, curve in enumerate(curves)))

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
        released, name="model", serialization_format="skops",
        skops_trusted_types=skops.io.get_untrusted_types(data=skops.io.dumps(released)),
        signature=infer_signature(example, released.predict(example)), input_example=example.head(5),
        pip_requirements=["scikit-learn", "skops"])
client.create_registered_model("bare")
version = client.create_model_version("bare", source=logged.model_uri, run_id=run, model_id=logged.model_id)
client.set_registered_model_alias("bare", "champion", version.version)
"""

RECORDING = r"""
import json, sys

from everfit.blocks.training import ENSEMBLE
from everfit.deployments.cli.main import console
from everfit.tasks.training import competition, fitting, in_process

work, spec, until = sys.argv[1:]
fit, scores = fitting.fit, in_process.model_scores

def recorded_fit(spec, features, candidate, setting, rows, **more):
    model = fit(spec, features, candidate, setting, rows, **more)
    if candidate != ENSEMBLE:
        names = {"hist_gradient_boosting": "boosting", "logistic_regression": "logistic"}
        times = rows[spec.columns.time]
        write({"do": "fit", "model": "ordered" if setting.parameters else names[candidate],
               "since": str(times.min()), "until": str(times.max())})
    return model

def recorded_scores(model, rows, classes, task):
    write({"do": "score", "rows": len(rows)})
    return scores(model, rows, classes, task)

def write(step):
    with open(work, "a") as steps:
        steps.write(json.dumps(step) + "\n")

fitting.fit = in_process.fit = recorded_fit
in_process.model_scores = competition.model_scores = recorded_scores
sys.argv = ["everfit", "train", spec, "--until", until]
console()
"""


def environment(folder: Path, **more: str) -> dict[str, str]:
    """Of a process that keeps everything in a folder of its own."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "MLFLOW_", "EVERFIT_"))
    }
    quiet = {"DO_NOT_TRACK": "1", "GX_ANALYTICS_ENABLED": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    quiet |= {"PREFECT_SERVER_ANALYTICS_ENABLED": "false", "PREFECT_HOME": str(folder / "prefect-home")}
    return kept | quiet | {"EVERFIT_WORKSPACE": str(folder / "workspace"), "OMP_WAIT_POLICY": "passive"} | more


def timed(command: list[str], env: dict[str, str], folder: Path) -> tuple[float, str]:
    started = time.perf_counter()
    done = subprocess.run(command, env=env, cwd=folder, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - started
    if done.returncode:
        raise RuntimeError(f"{command} failed: {done.stderr[-3000:]}")
    return seconds, done.stderr


def prepare(folder: Path) -> Path:
    """The flights, and the spec that points at them."""
    from everfit.deployments.demo.data import prepare as prepare_flights

    prepare_flights(folder / "flights")
    source = (Path(__file__).parents[2] / "deployments/models/flight-delays.yaml").read_text()
    spec = folder / "flight-delays.yaml"
    spec.write_text(re.sub(r"path: .*", f"path: {folder}/flights/*.parquet", source))
    return spec


def everfit_turn(spec: Path, **more: str) -> tuple[float, str, Path]:
    folder = Path(tempfile.mkdtemp(prefix="everfit-bench-"))
    command = [str(EVERFIT), "train", str(spec), "--until", UNTIL, "--json"]
    seconds, reported = timed(command, environment(folder, **more), folder)
    return seconds, reported, folder


def work_of_turn(spec: Path) -> list[dict[str, str | int]]:
    """Return the fits and the scorings of a turn, in their order."""
    folder = Path(tempfile.mkdtemp(prefix="everfit-bench-"))
    timed([sys.executable, "-c", RECORDING, "work.jsonl", str(spec), UNTIL], environment(folder), folder)
    return [json.loads(line) for line in (folder / "work.jsonl").read_text().splitlines()]


def beyond_the_script(work: list[dict[str, str | int]]) -> list[dict[str, str | int]]:
    """Leave out the four fits that the bare script makes anyway: both candidates', the hold-out's and the release's."""
    fits = [number for number, step in enumerate(work) if step["do"] == "fit"]
    known = {*fits[:2], fits[-2], fits[-1]}
    return [step for number, step in enumerate(work) if number not in known]


def start_server(folder: Path) -> tuple[subprocess.Popen[bytes], str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [str(EVERFIT.with_name("prefect")), "server", "start", "--host", "127.0.0.1", "--port", str(port)],
        env=environment(folder),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}/api"
    give_up = time.monotonic() + 120
    while time.monotonic() < give_up:
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=2) as answer:  # noqa: S310 - on loopback
                if answer.status == 200:
                    return server, url
        except OSError:
            time.sleep(0.2)
    server.terminate()
    raise TimeoutError("the Prefect server did not come up within 120 s")


def run() -> dict[str, float]:
    """Measure, by the median of some runs in turn."""
    folder = Path(tempfile.mkdtemp(prefix="everfit-bench-"))
    spec = prepare(folder)
    embedded = {"PREFECT_API_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{folder / 'prefect.db'}"}
    very_first, reported, first = everfit_turn(spec, **embedded)
    suite = first / "workspace/flight-delays/expectations.yaml"
    script = folder / "bare.py"
    script.write_text(BARE)
    (folder / "none.json").write_text("[]")
    work = work_of_turn(spec)
    (folder / "work.json").write_text(json.dumps(beyond_the_script(work)))
    server, url = start_server(folder)
    seconds: dict[str, list[float]] = {"bare": [], "same": [], "server": [], "temporary": []}
    try:
        for _ in range(RUNS):
            for name, steps in (("bare", "none.json"), ("same", "work.json")):
                place = Path(tempfile.mkdtemp(prefix="everfit-bench-"))
                files = [place, folder / "flights", spec, suite, folder / steps]
                command = [sys.executable, str(script), *map(str, files)]
                seconds[name].append(timed(command, environment(place), place)[0])
            seconds["server"].append(everfit_turn(spec, PREFECT_API_URL=url)[0])
            took, reported, _ = everfit_turn(spec, **embedded)
            seconds["temporary"].append(took)
    finally:
        server.terminate()
        server.wait(timeout=30)
    bare, same, with_server, temporary = (sorted(taken)[RUNS // 2] for taken in seconds.values())
    print(reported)
    turns = {
        "turn with a server running": with_server,
        "turn with the temporary server": temporary,
        "very first turn with it": very_first,
    }
    return {
        "bare script with four fits, s": round(bare, 1),
        f"bare script with the turn's {sum(step['do'] == 'fit' for step in work)} fits, s": round(same, 1),
        **{f"{name}, times the script with four fits": round(taken / bare, 2) for name, taken in turns.items()},
        **{f"{name}, times the script with its fits": round(taken / same, 2) for name, taken in turns.items()},
    }


if __name__ == "__main__":
    print(json.dumps(run(), indent=2))
