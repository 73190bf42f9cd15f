"""The line that a training shows while it runs: step, losses, gradient norm, speed, time left."""

import collections
import time
from collections.abc import Callable, Mapping
from typing import Any

from rich import progress as bars
from rich.console import Console

from galdiff.runtime import first_process

SHOWN = {"loss": "loss", "validation": "validation", "gradient_norm": "gradient"}  # metric -> its name on the line
REFRESH, EVERY = 0.2, 5.0  # seconds between updates on a terminal, and between lines elsewhere
MEMORY = 60  # updates that the speed is a mean of


class Progress:
    """A context whose value is called after every step; only the first of several processes shows something.

    Args of the constructor:
      total: steps of the run; title: before the line.
      samples: of a batch, so that speed is in samples per second; None for steps per second.
      console: where to; on one that is no terminal a line is printed every few seconds.
      clock: seconds, increasing.
    """

    def __init__(
        self,
        total: int,
        title: str = "train",
        *,
        samples: int | None = None,
        console: Console | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.total, self.title, self.samples, self.clock = total, title, samples, clock
        self.console = Console() if console is None else console
        self.past: collections.deque[tuple[float, int]] = collections.deque(maxlen=MEMORY)
        self.step, self.known, self.due = 0, dict[str, float](), 0.0
        self.show, self.task = False, bars.TaskID(0)
        self.bar: bars.Progress | None = None

    def __enter__(self) -> "Progress":
        self.show = first_process()
        self.past.clear()
        if self.show and self.console.is_terminal:
            columns = (
                bars.TextColumn("{task.description}"),
                bars.BarColumn(16),
                bars.TextColumn("{task.fields[line]}"),
            )
            self.bar = bars.Progress(*columns, console=self.console, refresh_per_second=1 / REFRESH)
            self.task = self.bar.add_task(self.title, total=self.total, line="compiling")
            self.bar.start()
        return self

    def __exit__(self, *_: Any) -> None:
        if self.show and self.step and self.past and self.past[-1][1] != self.step:
            self._update(self.clock())
        if self.bar is not None:
            self.bar.stop()

    def __call__(self, step: int, metrics: Mapping[str, float]) -> None:
        """Note a step; cheap, as most are not shown."""
        self.step = step
        self.known.update({name: metrics[name] for name in SHOWN if name in metrics})
        now = self.clock()
        if self.show and now >= self.due:
            self._update(now)

    def line(self) -> str:
        """What is shown."""
        words = [f"step {self.step}/{self.total}"]
        words += [f"{shown} {self.known[name]:.4g}" for name, shown in SHOWN.items() if name in self.known]
        (before, first), (now, last) = self.past[0], self.past[-1]
        if last > first:
            speed = (last - first) / max(now - before, 1e-9)
            words.append(f"{speed * (self.samples or 1):.3g} {'samples' if self.samples else 'steps'}/s")
            words.append(f"{clock_text((self.total - self.step) / speed)} left")
        return ", ".join(words)

    def _update(self, now: float) -> None:
        self.past.append((now, self.step))
        self.due = now + (REFRESH if self.bar is not None else EVERY)
        if self.bar is not None:
            self.bar.update(self.task, completed=self.step, line=self.line())
        else:
            self.console.print(f"{self.title}: {self.line()}", markup=False, highlight=False, soft_wrap=True)


def clock_text(seconds: float) -> str:
    """Hours, minutes and seconds."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"
