"""The commands of docs/first-hour.md, one after the other in an empty folder, and what they print.

`REGENERATE_GOLDEN=1 pytest tests/flows/test_first_hour.py` writes the outputs into the document. Before two outputs are
compared, ids become `ID`, dates and times of other years than 2025 `NOW`, durations `TIME`, and the folder and the port
of the test those of the document; digests of code and spec are left out, and long fractions rounded.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from prefect.settings import PREFECT_API_URL
from support.processes import Commands
from support.s3 import free_port
from support.stack import wait_for
from support.warm_popen import WarmPopen

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "first-hour.md"
REGENERATE = bool(os.environ.get("REGENERATE_GOLDEN"))
PATIENCE = 400.0
"""Seconds for a command: a turn trains, and a busy machine is slow."""
FOLDER, PORT = "/home/ann/parcels", "8080"

_BLOCK = re.compile(r"^```(console|diff (?P<file>\S+))\n(?P<body>.*?)^```$", re.DOTALL | re.MULTILINE)
_COMMAND = re.compile(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", re.MULTILINE)
_IDS = re.compile(
    r"parcels-\d{8}T\d{6}-[0-9a-f]{8}|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22}|\b[0-9a-f]{32}\b|\b(?=[a-f]*\d)[0-9a-f]{12}\b"
)


def normal(output: str) -> str:
    """An output without what differs from run to run; several spaces count as one."""
    output = _IDS.sub("ID", output)
    output = re.sub(r"\b20(?!25)\d\d-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|\+00:00)?)?", "NOW", output)
    output = re.sub(r"\b\d+(\.\d+)? (s|ms)\b", "TIME", output)
    output = re.sub(r"(?m)^(code, spec|code|spec) +.*", r"\1", output)
    output = re.sub(r"\b0\.\d{7,}\b", lambda number: f"{float(number[0]):.6f}", output)
    return "\n".join(" ".join(line.split()) for line in output.strip().splitlines())


class Reader:
    """Types what the document says."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port = folder, str(port)
        self.ids, self.newest = dict[str, str](), dict[int, str]()
        self.serving: WarmPopen | None = None

    def type(self, command: str) -> str:
        """What a command prints."""
        command = self.with_ids(command).replace(PORT, self.port)
        program, *arguments = shlex.split(command)
        if arguments[-1:] == ["&"]:
            return self.serve(arguments[:-1])
        if (program, arguments) == ("kill", ["%1"]):
            return self.stop()
        if program == "everfit":
            ((code, printed, errors),) = Commands(arguments).said(PATIENCE)
            assert code == 0, (command, errors)
            return printed
        command = command.replace("python ", f"{shlex.quote(sys.executable)} ", 1)
        return subprocess.run(command, shell=True, capture_output=True, text=True, check=True, timeout=60).stdout  # noqa: S602

    def serve(self, arguments: list[str]) -> str:
        with Path("serve.log").open("wb") as log:
            command = [sys.executable, "-m", "everfit.deployments.cli.main", *arguments]
            self.serving = WarmPopen(command, stdout=log, stderr=log)
        wait_for(self.is_healthy)
        return ""

    def is_healthy(self) -> bool:
        assert self.serving is not None
        assert self.serving.poll() is None, Path("serve.log").read_text()
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}/health").status_code == 200
        except httpx.HTTPError:
            return False

    def stop(self) -> str:
        if self.serving is not None and self.serving.poll() is None:
            self.serving.terminate()
            self.serving.wait(30)
        return ""

    def with_ids(self, command: str) -> str:
        if REGENERATE:  # an id of an earlier document stands for the newest of its form
            self.ids |= {old: self.newest[len(old)] for old in _IDS.findall(command) if len(old) in self.newest}
        for written, real in self.ids.items():
            command = command.replace(written, real)
        return command

    def as_written(self, printed: str) -> str:
        return printed.replace(str(self.folder), FOLDER).replace(self.port, PORT)

    def learn(self, written: str, printed: str) -> None:
        """The document's ids stand for those of this run."""
        self.newest |= {len(real): real for real in _IDS.findall(printed)}
        self.ids |= zip(_IDS.findall(written), _IDS.findall(printed), strict=False)


@pytest.fixture
def reader(workspace: Path, mlflow_uri: str, prefect_server: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Reader]:
    monkeypatch.setenv("PREFECT_API_URL", PREFECT_API_URL.value())  # otherwise each command starts a server of its own
    shutil.copy(ROOT / "examples" / "parcels.py", workspace.parent)
    reader = Reader(workspace.parent, free_port())
    yield reader
    reader.stop()


def test_the_first_hour_goes_as_its_document_says(reader: Reader) -> None:
    differences, document = [], DOCUMENT.read_text()

    def step(block: re.Match[str]) -> str:
        if name := block["file"]:
            ((before, after),) = re.findall(r"^-(.*)\n\+(.*)\n", block["body"], flags=re.MULTILINE)
            assert before in Path(name).read_text()
            Path(name).write_text(Path(name).read_text().replace(before, after))
            return block[0]
        lines = []
        for command, written in _COMMAND.findall(block["body"]):
            printed = reader.as_written(reader.type(command))
            if normal(printed) != normal(written):
                differences.append((command, normal(written), normal(printed)))
            reader.learn(written, printed)
            lines += [f"$ {reader.with_ids(command)}", *printed.strip("\n").splitlines()]
        return "\n".join(["```console", *(line.rstrip() for line in lines), "```"])

    again = _BLOCK.sub(step, document)
    if REGENERATE:
        DOCUMENT.write_text(again)
    for command, written, printed in differences:
        assert printed == written, command
