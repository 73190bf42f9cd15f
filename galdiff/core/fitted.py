"""Where a published fit holds, as data beside the law: the range of each quantity that it was fitted in."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import ArrayLike, Bool


class Range(NamedTuple):
    """What one quantity was where a law was fitted; beyond, the law is an extrapolation."""

    quantity: str  # name in the record that is looked at, such as m_vir or diagnostics.temperature
    unit: str
    low: float
    high: float  # infinite where the law levels off
    source: str
    at_end: bool = False  # of the last time alone: masses of halos today

    def outside(self, values: ArrayLike) -> Bool[np.ndarray, "..."]:
        """Whether values [unit] of any shape are outside; those that are no numbers are not."""
        values = np.asarray(values)
        return (values < self.low - SLACK * (self.low or 1.0)) | (values > self.high * (1 + SLACK))

    def words(self) -> str:
        """The range as a user reads it."""
        unit = f" {self.unit}" if self.unit else ""
        end = " at the end" if self.at_end else ""
        if self.high == math.inf:
            return f"{self.quantity}{end} from {self.low:.3g}{unit} on ({self.source})"
        return f"{self.quantity}{end} from {self.low:.3g} to {self.high:.3g}{unit} ({self.source})"


Ranges = tuple[Range, ...]
SLACK = 1e-4  # relative: round-off of masses and redshifts in single precision, which may put today below 0


def fitted_on(*ranges: Range) -> Callable[[Any], Any]:
    """Mark a function that follows a fit with its ranges, for `ranges_of`."""

    def mark(fun: Any) -> Any:
        fun.FITTED = ranges
        return fun

    return mark


def ranges_of(law: Any) -> Ranges:
    """The ranges that a law, or a function marked by `fitted_on`, was fitted in; none where it is no fit."""
    method = getattr(law, "fitted", None)
    return tuple(method()) if callable(method) else tuple(getattr(law, "FITTED", ()))
