"""The process of `everfit`: it says that it runs while it is silent, and ends with one line and an exit code."""

import atexit
import gc
import logging
import os
import signal
import sys
from pathlib import Path

from everfit.deployments.cli.output import reporting_command


def main() -> None:
    """Run the command. Bad input ends with one line and exit code 2, a failed run with exit code 1."""
    from everfit.blocks.errors import EverfitError
    from everfit.deployments.cli.commands import app, state
    from everfit.deployments.cli.outside_errors import describe_outside_error, without_statement
    from everfit.deployments.cli.safe_streams import safe_streams
    from everfit.tasks.storage.panics import show_hidden_lines

    with safe_streams():
        try:
            app(standalone_mode=True)
        except EverfitError as error:
            if state["debug"]:
                raise
            print(f"everfit: {without_statement(str(error))}", file=sys.stderr)
            raise SystemExit(2) from error
        except Exception as error:  # a command always ends with one line and an exit code
            if state["debug"]:
                raise
            text = " ".join(str(error).split())
            message = (
                describe_outside_error(error)
                or f"{type(error).__name__}: {text}; run `everfit --debug …` for the traceback"
            )
            print(f"everfit: {message}", file=sys.stderr)
            raise SystemExit(1) from error
        finally:
            show_hidden_lines()


def console() -> None:
    """Run the command as a process that exits without freeing its memory object by object.

    A turn has some 700,000 objects, most of them from libraries. Collecting them during imports and freeing them at the
    end takes two seconds for nothing. Threads are still joined, and exit handlers still run.
    """
    gc.set_threshold(50_000, 20, 50)
    sys.path.append(str(Path.cwd()))  # a spec may name functions of the folder's own modules, as with `python -m`
    code = 1
    atexit.register(lambda: _leave(code))  # registered first, so it runs last
    try:
        with reporting_command():  # before the imports of the commands, which take long on a busy machine
            main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        raise
    except KeyboardInterrupt:
        code = 128 + signal.SIGINT
        raise


def _leave(code: int) -> None:
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    console()
