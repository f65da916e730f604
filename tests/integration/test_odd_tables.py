"""Odd tables through the commands: each is taken, or refused in one line that says what to do."""

from pathlib import Path

import pytest
from campaign.odd_tables import drawn, written
from support.processes import Commands

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("prefect_server", "mlflow_uri")]


@pytest.mark.parametrize("seed", range(1, 9))
def test_no_command_ends_in_an_error_that_it_does_not_explain(seed: int, tmp_path: Path) -> None:
    """Given a table as people have them and worse, when it goes through the loop, then no traceback is asked for."""
    table = next(one for one in drawn(seed, 30) if len(one.frame) > 100 and len(one.frame[one.target].unique()) > 1)
    path = written(table, tmp_path)
    if path is None:
        pytest.skip("its format can't hold the table")
    spec = str(tmp_path / "rows.yaml")
    roles = [
        *(f"--key={name}" for name in table.key),
        *([f"--event-time={table.event_time}"] if table.event_time else []),
    ]
    said = Commands(
        ["init", str(path), f"--target={table.target}", *roles, "--name=rows", f"--output={spec}", "--yes"],
        ["train", spec, "--until", "2024-06-01"],
        ["train", spec, "--until", "2024-06-02"],
        ["score", spec, "--input", str(path)],
        ["labels", spec, str(path), "--until", "2024-06-02"],
        ["monitor", spec, "--until", "2024-06-03"],
        ["forget", spec, "--key", f"{table.key[0] if table.key else 'none'}=7"],
        ["quarantine", spec],
        ["history", spec],
    ).said(600)

    for code, _, stderr in said:
        assert code in {0, 1, 2, 3}
        assert "for the traceback" not in stderr, f"{table}: {stderr}"
        assert "Traceback" not in stderr, f"{table}: {stderr}"
