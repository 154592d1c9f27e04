"""The command line: parses, calls the API, prints. Errors are one sentence on stderr and exit code 2."""

import signal
import sys
import warnings
from typing import Any

import typer

from steering.errors import SteeringError
from trimtab.commands.balanced import balanced
from trimtab.commands.bench import bench
from trimtab.commands.calibrate import calibrate
from trimtab.commands.chat import chat
from trimtab.commands.compare import compare
from trimtab.commands.demo import demo
from trimtab.commands.evaluate import evaluate
from trimtab.commands.export import export
from trimtab.commands.extract import extract
from trimtab.commands.generate import generate
from trimtab.commands.import_ import import_
from trimtab.commands.inspect import inspect
from trimtab.commands.profiles import profiles
from trimtab.commands.recipe import recipe, recipes
from trimtab.commands.select import select
from trimtab.commands.serve import serve
from trimtab.commands.studio import studio
from trimtab.options import with_options
from trimtab.terminal import echo

app = typer.Typer(
    name="trimtab",
    help="Safety and helpfulness sliders for open-weight language models, with no training.",
    no_args_is_help=True,
    add_completion=False,
)
MAKE = (demo, extract, balanced, recipes, recipe, inspect)
USE = (chat, generate, profiles, serve, studio, export, import_)
MEASURE = (select, calibrate, evaluate, compare, bench)
for command in (*MAKE, *USE, *MEASURE):
    app.command(command.__name__.rstrip("_"))(with_options(command))


def main(arguments: list[str] | None = None) -> None:
    """Run the command and exit: 0 done, 2 unusable input, 130 interrupted, 143 terminated."""
    warnings.showwarning = lambda message, *_, **__: echo(f"Note: {message}", err=True)
    stopped_by: list[int] = []

    def stop(number: int, _frame: object) -> None:
        stopped_by.append(number)
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        sys.exit(128 + number)  # ends as Ctrl-C does, cleaning up

    def fail(sentence: str) -> int:
        """What a signal breaks off can end in an error of the library that was writing: the signal is the reason."""
        return 128 + stopped_by[0] if stopped_by else _fail(sentence)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    try:
        code: Any = app(arguments, standalone_mode=False)
    except SteeringError as error:
        code = fail(str(error))
    except (OSError, UnicodeDecodeError) as error:
        code = fail(f"Can't read or write: {error}; check the path, its rights and the space left.")
    except typer.TyperException as error:
        if not error.format_message():  # the bare command has printed its help
            sys.exit(2)
        code = fail(f"{error.format_message().rstrip('.')}; see: trimtab --help")
    except (KeyboardInterrupt, typer.Abort):
        code = 130
    if code == 130:
        echo("Interrupted.", err=True)
    sys.exit(code if isinstance(code, int) else 0)


def _fail(sentence: str) -> int:
    echo(f"Error: {sentence}", err=True)
    return 2
