"""Priors of physical parameters: each is a map that turns a standard normal number into a value.

So every unknown is a real number with one and the same prior, exp(-u^2 / 2): its log density holds the Jacobian by
construction, draws and Latin hypercubes are normal numbers, and a prior is one more residual of a least-squares fit.
"""

import abc
import dataclasses
import math
from collections.abc import Sequence
from typing import Any, final

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import log_ndtr, ndtr, ndtri
from jaxtyping import Array, ArrayLike, Float

from galdiff.core.buildable import buildable
from galdiff.errors import InputError

LEAST = 0.01  # share of a prior that has to lie inside the bounds of its parameter


class Prior(abc.ABC):
    """What is known of a number before the data; one class and one `_target_` each, frozen and without arrays."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        buildable(cls)

    @abc.abstractmethod
    def value(self, u: Array) -> Array:
        """Values [unit of the parameter] of standard normal numbers [1], same shape; increasing."""

    @abc.abstractmethod
    def number(self, x: ArrayLike) -> Array:
        """Standard normal numbers [1] of values [unit of the parameter], same shape: the inverse of `value`."""

    @abc.abstractmethod
    def words(self) -> str:
        """What it says, as a user reads it."""

    def within(self, lo: float | None, hi: float | None) -> "Prior":
        """The prior of a parameter with open bounds [its unit]: the same, cut there where it reaches beyond.

        Raises:
          InputError: almost all of it lies outside.
        """
        share = self.share(lo, hi)
        if share < LEAST:
            raise InputError(
                f"prior {self.words()} has {share:.2g} of its probability inside the bounds ({lo:g}, {hi:g}); move it,"
                " or widen the bounds"
            )
        return self if share == 1.0 else Cut(self, lo, hi)

    def share(self, lo: float | None, hi: float | None) -> float:
        """Probability [1] between two bounds [unit of the parameter], None for none."""
        below, above = _outside(self, lo, hi)
        return 1.0 - below - above


@final
@dataclasses.dataclass(frozen=True)
class Uniform(Prior):
    """The same density from lo to hi [unit of the parameter]."""

    lo: float
    hi: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.lo) and math.isfinite(self.hi) and self.lo < self.hi):
            raise InputError(f"prior is uniform from {self.lo} to {self.hi}; give two finite numbers that increase")

    def value(self, u: Array) -> Array:
        """Counted from the nearer end, so that both ends are as well resolved; [unit of the parameter], same shape."""
        width = self.hi - self.lo
        return jnp.where(u < 0, self.lo + width * ndtr(u), self.hi - width * ndtr(-u))

    def number(self, x: ArrayLike) -> Array:
        """Infinite at the ends and beyond; [1], same shape."""
        share = jnp.clip((jnp.asarray(x, float) - self.lo) / (self.hi - self.lo), 0.0, 1.0)
        return ndtri(share)

    def words(self) -> str:
        """The ends."""
        return f"uniform from {self.lo:g} to {self.hi:g}"

    def within(self, lo: float | None, hi: float | None) -> "Prior":
        """The same if it is inside the bounds: a range is asked for on purpose, so it is never cut.

        Raises:
          InputError: it reaches beyond them.
        """
        if lo is not None and hi is not None and not lo <= self.lo < self.hi <= hi:
            raise InputError(
                f"prior {self.words()} reaches beyond the bounds ({lo:g}, {hi:g}) of the parameter; give a range inside"
            )
        return self


@final
@dataclasses.dataclass(frozen=True)
class Normal(Prior):
    """Mean and standard deviation [unit of the parameter]."""

    mean: float
    sd: float

    def __post_init__(self) -> None:
        _check_width("normal", self.mean, self.sd)

    def value(self, u: Array) -> Array:
        """A straight line; [unit of the parameter], same shape."""
        return self.mean + self.sd * u

    def number(self, x: ArrayLike) -> Array:
        """A straight line; [1], same shape."""
        return (jnp.asarray(x, float) - self.mean) / self.sd

    def words(self) -> str:
        """Mean and width."""
        return f"normal, {self.mean:g} +- {self.sd:g}"


@final
@dataclasses.dataclass(frozen=True)
class LogNormal(Prior):
    """Median [unit of the parameter] and scatter of the log10 [dex]."""

    median: float
    dex: float

    def __post_init__(self) -> None:
        _check_width("lognormal", self.median, self.dex)
        if self.median <= 0:
            raise InputError(f"prior is lognormal about {self.median}; give a median above 0")

    def value(self, u: Array) -> Array:
        """Positive; [unit of the parameter], same shape."""
        return self.median * 10 ** (self.dex * u)

    def number(self, x: ArrayLike) -> Array:
        """Minus infinity at zero and below; [1], same shape."""
        return jnp.log10(jnp.maximum(jnp.asarray(x, float), 0.0) / self.median) / self.dex

    def words(self) -> str:
        """Median and scatter."""
        return f"lognormal, {self.median:g} +- {self.dex:g} dex"


@final
@dataclasses.dataclass(frozen=True)
class StudentT2(Prior):
    """Student's t with 2 degrees of freedom: centre and width [unit of the parameter]; wide wings in closed form."""

    centre: float
    width: float

    def __post_init__(self) -> None:
        _check_width("Student's t", self.centre, self.width)

    def value(self, u: Array) -> Array:
        """(p - q) / sqrt(2 p q), of p = ndtr(u) and q = 1 - p; [unit of the parameter], same shape."""
        p, q = ndtr(u), ndtr(-u)
        return self.centre + self.width * (p - q) * jnp.exp(-0.5 * (math.log(2) + log_ndtr(u) + log_ndtr(-u)))

    def number(self, x: ArrayLike) -> Array:
        """From the nearer wing; [1], same shape."""
        t = (jnp.asarray(x, float) - self.centre) / self.width
        root = jnp.sqrt(2 + t**2)
        wing = 1 / (root * (root + jnp.abs(t)))  # of the nearer side
        return jnp.sign(t) * -ndtri(wing)

    def words(self) -> str:
        """Centre and width."""
        return f"Student's t of 2 degrees of freedom, {self.centre:g} +- {self.width:g}"


@final
@dataclasses.dataclass(frozen=True)
class TruncatedNormal(Prior):
    """Mean and standard deviation before it is cut, and where [unit of the parameter]."""

    mean: float
    sd: float
    lo: float
    hi: float

    def __post_init__(self) -> None:
        _check_width("normal", self.mean, self.sd)
        if not self.lo < self.hi:
            raise InputError(f"prior is cut at {self.lo} and {self.hi}; give two numbers that increase")
        self.as_cut()

    def as_cut(self) -> "Prior":
        """The same as a normal prior that is cut."""
        return Normal(self.mean, self.sd).within(self.lo, self.hi)

    def value(self, u: Array) -> Array:
        """Between the ends; [unit of the parameter], same shape."""
        return self.as_cut().value(u)

    def number(self, x: ArrayLike) -> Array:
        """Infinite at the ends; [1], same shape."""
        return self.as_cut().number(x)

    def words(self) -> str:
        """Mean, width and ends."""
        return f"normal, {self.mean:g} +- {self.sd:g}, from {self.lo:g} to {self.hi:g}"


@final
@dataclasses.dataclass(frozen=True)
class Cut(Prior):
    """A prior between bounds [unit of the parameter], None for none; made by `Prior.within`."""

    whole: Prior
    lo: float | None
    hi: float | None

    def value(self, u: Array) -> Array:
        """By probabilities counted from the nearer end; [unit of the parameter], same shape."""
        return between(self.whole, *_outside(self.whole, self.lo, self.hi), u)

    def number(self, x: ArrayLike) -> Array:
        """Infinite at the bounds; [1], same shape."""
        below, above = _outside(self.whole, self.lo, self.hi)
        inside, u = 1 - below - above, self.whole.number(x)
        p, q = (ndtr(u) - below) / inside, (ndtr(-u) - above) / inside
        return jnp.where(p < 0.5, ndtri(jnp.clip(p, 0.0, 1.0)), -ndtri(jnp.clip(q, 0.0, 1.0)))

    def words(self) -> str:
        """The prior, and where it is cut."""
        return f"{self.whole.words()}, cut at ({self.lo}, {self.hi})"


def between(whole: Prior, below: ArrayLike, above: ArrayLike, u: Array) -> Array:
    """Values [unit of the parameter] of a prior without its ends, of standard normal numbers [1], same shape.

    Args:
      whole: the prior; below, above: its probabilities that are cut away at both ends.
    """
    inside = 1 - below - above
    left = ndtri(below + inside * ndtr(jnp.where(u < 0, u, -1.0)))  # no infinity where it is not taken
    right = -ndtri(above + inside * ndtr(jnp.where(u < 0, -1.0, -u)))
    return whole.value(jnp.where(u < 0, left, right))


ALIKE = (Uniform, Normal, LogNormal, StudentT2)  # whose numbers may be arrays


def values_of(priors: Sequence[Prior], u: Float[Array, "*draw prior"]) -> Float[Array, "*draw prior"]:
    """Values [units of the parameters] of many priors at standard normal numbers [1], same shape.

    Priors of a kind are one expression: a program for all of them compiles as fast as one for a few.
    """
    kinds: dict[Any, list[int]] = {}
    plain = [prior.as_cut() if isinstance(prior, TruncatedNormal) else prior for prior in priors]
    for i, prior in enumerate(plain):
        whole = prior.whole if isinstance(prior, Cut) else prior
        kinds.setdefault((type(prior), type(whole)) if type(whole) in ALIKE else i, []).append(i)
    parts = []
    for places in kinds.values():
        some, at = [plain[i] for i in places], u[..., np.asarray(places)]
        if len(some) == 1:
            parts.append(some[0].value(at))
        elif isinstance(some[0], Cut):
            cuts = [prior for prior in some if isinstance(prior, Cut)]
            ends = np.array([_outside(prior.whole, prior.lo, prior.hi) for prior in cuts])
            below, above = (jnp.asarray(end, u.dtype) for end in ends.T)
            parts.append(between(_together([prior.whole for prior in cuts], u.dtype), below, above, at))
        else:
            parts.append(_together(some, u.dtype).value(at))
    order = np.argsort(np.concatenate(list(kinds.values())))
    return jnp.concatenate(parts, -1)[..., order]


def _together(priors: Sequence[Any], dtype: Any) -> Prior:
    """Priors of one kind of `ALIKE` as one, whose numbers are arrays; each was checked by itself."""
    made: Prior = object.__new__(type(priors[0]))
    for field in dataclasses.fields(priors[0]):
        object.__setattr__(made, field.name, jnp.asarray([getattr(p, field.name) for p in priors], dtype))
    return made


def _outside(prior: Prior, lo: float | None, hi: float | None) -> tuple[float, float]:
    """Probabilities below and above two bounds, as numbers inside a trace too."""
    with jax.ensure_compile_time_eval():
        below = 0.0 if lo is None else float(ndtr(prior.number(lo)))
        return below, 0.0 if hi is None else float(ndtr(-prior.number(hi)))


def _check_width(kind: str, centre: float, width: float) -> None:
    if not (math.isfinite(centre) and math.isfinite(width) and width > 0):
        raise InputError(f"prior is {kind}, {centre} +- {width}; give a finite centre and a width above 0")
