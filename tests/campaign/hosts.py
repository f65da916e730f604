"""Several hosts that share neither /tmp nor a working folder: a turn and batch scoring on Dask, with trouble.

`python -m campaign.hosts FOLDER` makes the hosts (Linux; root, or the right to make user namespaces). One has the store
and Prefect, one the scheduler, two a worker each, and one the commands, which read their rows from its own disk. While
settings are tried, the cable of one worker's host is pulled; while rows are scored, the other worker is killed. Prints
what both ways have left, with Dask and in one process, and exits with 1 if they differ.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
from support.deliveries import deliveries
from support.hosts import FOLDER, SHARED, Host, Hosts, alone, why_not
from support.stack import wait_for

ROOT = Path(__file__).parents[2]
_INSIDE = "--inside"
_S3 = {"AWS_ACCESS_KEY_ID": "everfit", "AWS_SECRET_ACCESS_KEY": "everfit-secret", "AWS_REGION": "us-east-1"}
_S3 |= {"AWS_DEFAULT_REGION": "us-east-1", "AWS_ALLOW_HTTP": "true"}
_QUICK = {"DASK_DISTRIBUTED__COMM__TIMEOUTS__TCP": "12s"}
"""Seconds after which silence counts as a loss; by default 30."""
_SPEC = """
name: deliveries
task: binary
source: {kind: files, path: "deliveries/*.parquet"}
columns: {key: [id], event_time: sent_at, label_time: known_at, target: late}
maturity: 1d
training: {holdout: 14d, candidates: [logistic_regression], search: {trials: 6}}
"""
_TRAIN, _SCORE = ("train", "--until", "2024-02-20"), ("score", "--since", "2024-02-20", "--until", "2024-03-01")


class Network:
    """The hosts with their servers.

    Args:
        folder: A folder that all hosts see.
    """

    def __init__(self, folder: Path) -> None:
        self.hosts = Hosts(
            ["store", "scheduler", "one", "two", "flow"], [str(ROOT), sys.prefix, sys.base_prefix], folder
        )
        self.folder = folder
        self.scheduler = f"tcp://{self.hosts['scheduler'].address}:8786"
        self.environment = {
            **_S3,
            **_QUICK,
            "AWS_ENDPOINT_URL": f"http://{self.hosts['store'].address}:8333",
            "PREFECT_API_URL": f"http://{self.hosts['store'].address}:4200/api",
        }

    def serve(self) -> None:
        """Start the store, Prefect, the scheduler and the workers; what ends is started again."""
        store, rights = self.hosts["store"], self.folder / "s3.json"
        key = {"accessKey": "everfit", "secretKey": "everfit-secret"}
        user = {"name": "everfit", "credentials": [key], "actions": ["Admin", "Read", "Write", "List"]}
        rights.write_text(json.dumps({"identities": [user]}))
        places = f"-dir=. -ip={store.address} -ip.bind=0.0.0.0 -s3.port=8333 -s3.config={SHARED}/s3.json"
        less = "-master.telemetry=false -webdav=false -admin.ui=false -s3.port.iceberg=0 -s3.port.lance=0"
        self._keep(store, f"weed mini {places} {less}")
        self._keep(store, "env -u PREFECT_API_URL prefect server start --host 0.0.0.0")
        self._keep(self.hosts["scheduler"], "dask scheduler --no-dashboard")
        for name in ("one", "two"):
            self._keep(self.hosts[name], f"dask worker {self.scheduler} --nthreads 1 --no-dashboard")

    def _keep(self, host: Host, command: str) -> None:
        log = (self.folder / f"{host.name}.log").open("a")
        path = f"PATH={Path(sys.executable).parent}:$PATH"
        host.run(["sh", "-c", f"{path}; while true; do {command}; sleep 1; done"], self.environment, out=log, err=log)

    def everfit(self, *command: str, dask: bool) -> "subprocess.Popen[str]":
        """Start a command on the host of the commands."""
        where = f"{FOLDER}/{'dask' if dask else 'here'}"
        runner = {"EVERFIT_TASK_RUNNER": "dask", "EVERFIT_DASK_ADDRESS": self.scheduler} if dask else {}
        places = {
            "EVERFIT_WORKSPACE": f"s3://models/{Path(where).name}",
            "MLFLOW_TRACKING_URI": f"sqlite:///{where}/m.db",
        }
        python = [
            sys.executable,
            "-m",
            "everfit.deployments.cli.main",
            command[0],
            "deliveries.yaml",
            *command[1:],
            "--json",
        ]
        return self.hosts["flow"].run(
            python, {**self.environment, **places, **runner}, where, subprocess.PIPE, subprocess.PIPE
        )


def _said(process: "subprocess.Popen[str]") -> Any:
    out, err = process.communicate(timeout=600)
    if process.returncode:
        raise RuntimeError(err[-2000:])
    return json.loads(out)


def _works(client: Any, host: Host, task: str) -> Callable[[], bool]:
    return lambda: any(
        host.address in at and any(str(key).startswith(task) for key in keys)
        for at, keys in client.processing().items()
    )


def _prepare(network: Network) -> None:
    """Give the commands' host its rows and spec, and the store its bucket, once all servers answer."""
    rows = pd.concat(
        [deliveries("2024-01-01", 60, seed=n).assign(id=lambda x, n=n: f"{n}-" + x["id"]) for n in range(20)]
    )
    (network.folder / "deliveries").mkdir()
    for number, part in rows.groupby((rows["sent_at"].dt.dayofyear - 1) // 5):
        part.to_parquet(network.folder / "deliveries" / f"{number:02d}.parquet")
    (network.folder / "deliveries.yaml").write_text(_SPEC)
    flow = network.hosts["flow"]
    copies = f"for at in dask here; do mkdir $at; cp -r {SHARED}/deliveries* $at/; done; rm -r {SHARED}/deliveries*"
    flow.run(["sh", "-c", copies]).wait()

    def runs(code: str) -> bool:
        return flow.run([sys.executable, "-c", code], network.environment, err=subprocess.DEVNULL).wait() == 0

    health = network.environment["PREFECT_API_URL"] + "/health"
    wait_for(lambda: runs("import boto3; boto3.client('s3').create_bucket(Bucket='models')"), 60)
    wait_for(lambda: runs(f"import urllib.request as r; r.urlopen('{health}', timeout=2)"), 120)


def _inside(folder: Path) -> int:
    from distributed import Client

    network = Network(folder)
    hosts, dask, here = network.hosts, dict[str, Any](), dict[str, Any]()
    network.serve()
    _prepare(network)
    with Client(network.scheduler, timeout=120) as client:  # type: ignore[no-untyped-call]
        client.wait_for_workers(2, timeout=120)  # type: ignore[no-untyped-call]
        turn = network.everfit(*_TRAIN, dask=True)
        wait_for(_works(client, hosts["one"], "try_setting"), 240)
        hosts["one"].cut()
        dask["turn"] = _said(turn)
        hosts["one"].mend()
        client.wait_for_workers(2, timeout=120)  # type: ignore[no-untyped-call]
        score = network.everfit(*_SCORE, dask=True)
        wait_for(_works(client, hosts["two"], "_score"), 240)
        os.kill(next(pid for at, pid in client.run(os.getpid).items() if hosts["two"].address in at), signal.SIGKILL)
        dask["score"] = _said(score)
    here["turn"] = _said(network.everfit(*_TRAIN, dask=False))
    here["score"] = _said(network.everfit(*_SCORE, dask=False))
    dask["facts"], here["facts"] = (
        [
            one["turn"]["state"],
            one["turn"]["challenger"]["metrics"],
            one["turn"]["snapshot"]["digest"],
            one["score"]["added"],
        ]
        for one in (dask, here)
    )
    print(json.dumps({"dask": dask["facts"], "here": here["facts"]}))
    return 0 if dask["facts"] == here["facts"] else 1


if __name__ == "__main__":
    place = Path(sys.argv[-1]).absolute()
    if _INSIDE in sys.argv:
        sys.exit(_inside(place))
    if reason := why_not():
        sys.exit(f"hosts can't be made here: {reason}")
    command = alone([sys.executable, "-m", "campaign.hosts", _INSIDE, str(place)])
    sys.exit(subprocess.run(command, check=False).returncode)
