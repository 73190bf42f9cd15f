"""Progress of a run on the terminal."""

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn, TimeElapsedColumn
from rich.text import Text

BAR, MEMORY = 24, 120.0  # width of a bar; seconds that its speed is a mean of


class Pace(ProgressColumn):
    """Parts per second and the time left, of steps with more than one part."""

    def render(self, task: Task) -> Text:
        """Speed and time left of one step; nothing for a step of one part."""
        speed = task.finished_speed or task.speed
        if not speed or (task.total or 1) <= 1:
            return Text("")
        left = "" if task.finished or task.time_remaining is None else f", {_clock(task.time_remaining)} left"
        return Text(f"{speed:.0f}/s{left}" if speed >= 10 else f"{speed:.2g}/s{left}")


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


class Steps:
    """The steps of a run: shown while they last, and the seconds of each."""

    def __init__(self, console: Console | None = None) -> None:
        columns = (
            SpinnerColumn(finished_text="done"),
            TextColumn("{task.description}"),
            BarColumn(BAR),
            TimeElapsedColumn(),
            Pace(),
        )
        self.progress = Progress(*columns, console=console, speed_estimate_period=MEMORY)
        self.started = time.perf_counter()
        self.seconds: dict[str, float] = {}

    def __enter__(self) -> "Steps":
        self.progress.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self.progress.stop()

    @contextlib.contextmanager
    def __call__(self, name: str, total: int = 1) -> Iterator[Callable[..., None]]:
        """One step, as a context; it gives a function that tells the bar of one more (or n more) of `total` parts."""
        task, start, inner = self.progress.add_task(name, total=total), time.perf_counter(), sum(self.seconds.values())
        yield lambda n=1: self.progress.advance(task, n)
        self.progress.update(task, completed=total)
        inner = sum(self.seconds.values()) - inner  # of steps within this one
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start - inner

    def summary(self) -> dict[str, float]:
        """Seconds of each step, and in all until now."""
        named = {**self.seconds, "total": time.perf_counter() - self.started}
        return {name: round(seconds, 3) for name, seconds in named.items()}
