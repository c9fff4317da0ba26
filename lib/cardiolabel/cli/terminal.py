"""Output of commands: progress, problems and errors."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from cardiolabel.errors import CardiolabelError
from cardiolabel.system.memory_budget import set_limit_by_environment
from cardiolabel.system.readable_text import readable_text


@contextmanager
def clear_errors() -> Iterator[None]:
    """Turn errors of the library and the disk into one line and exit code 2."""
    try:
        set_limit_by_environment()
        yield
    except (CardiolabelError, OSError) as error:
        typer.echo(f"cardiolabel: {error}", err=True)
        raise typer.Exit(2) from None
    except UnicodeEncodeError as error:
        shown = readable_text(error.object)
        typer.echo(f"cardiolabel: {shown}: not a name in UTF-8, as is needed here; rename it", err=True)
        raise typer.Exit(2) from None


class _Rate(ProgressColumn):
    """Steps per second."""

    def render(self, task: Task) -> Text:
        """Return the rate; empty before the first step."""
        return Text(f"{task.speed:.1f}/s" if task.speed else "")


@contextmanager
def bar(what: str, quiet: bool) -> Iterator[Callable[..., None]]:
    """Yield a function of done and total that shows progress: a bar on a terminal, lines elsewhere."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    lines = None if quiet or console.is_terminal else _lines()
    progress = Progress(*columns, console=console, disable=quiet or not console.is_terminal)
    task = progress.add_task(what, total=None)

    def report(done: int, total: int, description: str = what) -> None:
        if lines is not None:
            lines(done, total, description)
        progress.start()  # not before: input that is refused leaves its one line alone on stderr
        if progress.tasks[0].total not in (None, total):
            progress.reset(task)  # something else has started
        progress.update(task, completed=done, total=total, description=description)

    try:
        yield report
    finally:
        if progress.live.is_started:
            progress.stop()


def _lines(every_s: float = 60.0) -> Callable[[int, int, str], None]:
    """Yield a function that logs progress: a line now and then, with rate and time left."""
    steps: list[tuple[float, int]] = []

    def report(done: int, total: int, description: str) -> None:
        now = time.monotonic()
        if not steps or done < steps[1][1]:  # the first, or something else has started
            steps[:] = [(now, done), (now, done)]
        (start_s, first), (last, _) = steps
        if now - last >= every_s and done > first:
            steps[1] = now, done
            rate = (done - first) / (now - start_s)
            left = timedelta(seconds=round((total - done) / rate))
            typer.echo(f"{description}: {done} of {total}, {rate:.1f}/s, {left} left", err=True)

    return report


def list_problems(problems: tuple[tuple[str, str], ...], quiet: bool) -> None:
    """Print one line per image, or other item, with its reason on stderr."""
    if not quiet:
        for image_id, reason in problems:
            typer.echo(f"{image_id}: {reason}", err=True)


def say(text: str, quiet: bool) -> None:
    """Print a line on stdout, unless quiet."""
    if not quiet:
        typer.echo(text)
