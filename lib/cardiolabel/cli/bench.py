"""Timing, as a command."""

from __future__ import annotations

from typing import Annotated

import typer

from cardiolabel.cli.options import Quiet
from cardiolabel.cli.terminal import bar


def bench(
    repeats: Annotated[int, typer.Option(min=1, help="How often each step is timed.")] = 200,
    quiet: Quiet = False,
) -> None:
    """Time measuring one 512x512 frame beside a plain NumPy read of the same mask."""
    from cardiolabel.bench import bench_measuring

    with bar("timing", quiet) as progress:
        timings = bench_measuring(repeats, on_progress=progress)
    for timing in timings:
        typer.echo(f"{timing.name:<40} median {timing.median_ms:7.3f} ms   p95 {timing.p95_ms:7.3f} ms")
