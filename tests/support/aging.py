"""Time that has passed: tables, turns and releases as they would be after so long."""

import os
import re
import sqlite3
from datetime import timedelta
from pathlib import Path


def age_tables(folder: Path, span: timedelta) -> None:
    """Let the files of Delta tables have been written, and have gone out of use, that much earlier."""
    earlier = int(span.total_seconds() * 1000)
    for path in [path for path in folder.rglob("*") if path.is_file()]:
        if path.suffix == ".json" and path.parent.name == "_delta_log":
            moment = r'("(?:deletionTimestamp|timestamp)":)(\d{13})'
            path.write_text(re.sub(moment, lambda found: f"{found[1]}{int(found[2]) - earlier}", path.read_text()))
        before = path.stat().st_mtime - span.total_seconds()
        os.utime(path, (before, before))


def age_ledger(path: Path, span: timedelta) -> None:
    """Let all turns have ended, and all releases have been made, that much earlier."""
    minus = f"-{int(span.total_seconds())} seconds"
    with sqlite3.connect(path) as connection:
        for table, column in (("turns", "finished_at"), ("turns", "started_at"), ("releases", "at")):
            moved = f"strftime('%Y-%m-%d %H:%M:%f', {column}, ?) || '000'"
            connection.execute(f"UPDATE {table} SET {column} = {moved} WHERE {column} IS NOT NULL", (minus,))
    connection.close()
