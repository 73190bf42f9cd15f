"""How a training goes, on one live line: step, losses, gradient, speed, time left."""

import contextlib
import time
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

EVERY = 10.0  # seconds between lines where nobody watches


@contextlib.contextmanager
def show_progress(steps: int, name: str, console: Console | None = None) -> Iterator[Callable[[int, dict], None]]:
    """A context that gives `report(step, metrics)`, as `train` takes it.

    On a terminal a live line; elsewhere (a log file) one line after some seconds.
    """
    console = Console(stderr=True) if console is None else console
    columns = (
        TextColumn("{task.description}"),
        BarColumn(20),
        TextColumn("{task.completed:.0f}/{task.total:.0f}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[found]}"),
    )
    progress = Progress(*columns, console=console, disable=not console.is_terminal, refresh_per_second=4)
    task = progress.add_task(name, total=steps, found="")
    shown: dict[str, float] = {}
    began, first, told = time.perf_counter(), None, 0.0

    def report(step: int, metrics: dict[str, float]) -> None:
        nonlocal first, told
        now = time.perf_counter()
        shown.update(metrics)
        if first is None:  # a run that goes on starts at some step; the first one compiles
            first = (step, now)
        speed = f"{(step - first[0]) / (now - first[1]):.1f} steps/s" if step > first[0] else "compiled"
        names = (("loss", "loss"), ("validation", "validation"), ("gradient_norm", "gradient"))
        text = " ".join([f"{word} {shown[key]:.4g}" for key, word in names if key in shown] + [speed])
        progress.update(task, completed=step, found=text)
        if not console.is_terminal and (now - told > EVERY or step == steps):
            told = now
            console.print(f"{name}: {step}/{steps} {text}, {now - began:.0f} s", highlight=False)

    with progress:
        yield report
