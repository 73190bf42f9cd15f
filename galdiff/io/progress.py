"""Progress of a run on the terminal."""

import contextlib
import time
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn


class Steps:
    """The steps of a run: shown while they last, and the seconds of each."""

    def __init__(self, console: Console | None = None):
        columns = (
            SpinnerColumn(finished_text="done"),
            TextColumn("{task.description}"),
            BarColumn(),
            TimeElapsedColumn(),
        )
        self.progress = Progress(*columns, console=console)
        self.started = time.perf_counter()
        self.seconds: dict[str, float] = {}

    def __enter__(self) -> "Steps":
        self.progress.start()
        return self

    def __exit__(self, *_) -> None:
        self.progress.stop()

    @contextlib.contextmanager
    def __call__(self, name: str, total: int = 1) -> Iterator[Callable[[], None]]:
        """One step, as a context; it gives a function that tells the bar of one more of `total` parts."""
        task, start, inner = self.progress.add_task(name, total=total), time.perf_counter(), sum(self.seconds.values())
        yield lambda: self.progress.advance(task)
        self.progress.update(task, completed=total)
        inner = sum(self.seconds.values()) - inner  # of steps within this one
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start - inner

    def summary(self) -> dict[str, float]:
        """Seconds of each step, and in all until now."""
        named = {**self.seconds, "total": time.perf_counter() - self.started}
        return {name: round(seconds, 3) for name, seconds in named.items()}
