"""What forms where a law was not fitted, in one warning: published fits of halos and baryons, used beyond their data.

Stars count by their mass: an early progenitor, small and poor in metals, is outside of most fits and forms few of them.
"""

import functools
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import ArrayLike, Float

from galdiff.baryons.cycle import BaryonCycle
from galdiff.core.buildable import located
from galdiff.core.fitted import Range, ranges_of
from galdiff.light_records import StellarHistory
from galdiff.records import BaryonHistory
from galdiff.sfh.metallicity import MetallicityLaw, log10_formed_before

ENOUGH = 0.05  # share of the stars formed outside from which it is said


class Fit(NamedTuple):
    """One range of a law."""

    key: str
    law: str
    range: Range


def baryon_fits(cycle: BaryonCycle) -> list[Fit]:
    """The fits among the laws of a baryon cycle, by the keys of a config."""
    known = cycle.fits().items()
    return [Fit(f"baryons.{slot}".rstrip("."), name, one) for slot, (name, ranges) in known for one in ranges]


def halo_fits(node: Any) -> list[Fit]:
    """The fits that `halo` of a config is made with; none for histories that are read, or built in Python."""
    if not isinstance(node, Mapping) or not isinstance(node.get("_target_"), str):
        return []
    maker = located(node["_target_"], "halo")
    if not (ranges := ranges_of(maker)):
        return []
    found = [Fit("halo", maker.__name__, one) for one in ranges]
    chosen = dict(node["settings"])
    settings: Any = located(chosen.pop("_target_"), "halo.settings")(**chosen)
    return found + [Fit("halo.settings.concentration", settings.concentration, one) for one in ranges_of(settings)]


class Outside:
    """How much of the stars of many galaxies form outside the ranges of some fits: batches are added one by one."""

    def __init__(self, fits: Sequence[Fit]) -> None:
        self.fits = tuple(fits)
        self.mass = np.zeros(len(self.fits))  # Msun outside
        self.galaxies = np.zeros(len(self.fits), int)  # those that are mostly inside do not count
        self.total, self.n = 0.0, 0

    def add(self, weights: Float[np.ndarray, "... t"], read: Callable[[str], ArrayLike]) -> None:
        """Count some galaxies.

        Args:
          weights: stars that form about each time [Msun], not negative; times on the last axis.
          read: values of a quantity, by the name in a `Range`, in the shape of weights.
        """
        each = weights.sum(-1)
        self.total, self.n = self.total + float(each.sum()), self.n + each.size
        for k, fit in enumerate(self.fits):
            values = np.asarray(read(fit.range.quantity))
            outside = fit.range.outside(values[..., -1:] if fit.range.at_end else values)
            lost = (weights * outside).sum(-1)
            self.mass[k] += lost.sum()
            self.galaxies[k] += int((lost > ENOUGH * each).sum())

    def add_history(self, history: BaryonHistory) -> None:
        """Count galaxies of one history, with a leading axis or without."""
        self.add(formed(history), functools.partial(of_history, history))

    def counting(self, chunks: Iterable[tuple[BaryonHistory, Any]]) -> Iterator[tuple[BaryonHistory, Any]]:
        """The same chunks of histories with something else, counted as they pass."""
        for history, more in chunks:
            self.add_history(history)
            yield history, more

    def words(self) -> str:
        """One line on the fits that enough stars form outside of; nothing where there are none."""
        said: dict[Range, tuple[str, list[str]]] = {}  # laws that share a range are said together
        for fit, mass, galaxies in zip(self.fits, self.mass, self.galaxies, strict=True):
            if mass > ENOUGH * self.total:
                share = f"{mass / self.total:.0%} of the stars"
                share += f" ({galaxies} of {self.n} galaxies)" if self.n > 1 else ""
                said.setdefault(fit.range, (share, []))[1].append(f"{fit.law} ({fit.key})")
        parts = ((share, one.words(), laws) for one, (share, laws) in said.items())
        return "; ".join(
            f"{share} form outside of {words}, fitted range of {', '.join(laws)}" for share, words, laws in parts
        )

    def warn(self, stacklevel: int = 2) -> None:
        """Give the line as a warning, if there is one."""
        if said := self.words():
            warnings.warn(said, stacklevel=stacklevel + 1)


def warn_outside(history: BaryonHistory, fits: Sequence[Fit]) -> None:
    """One warning where galaxies form stars [Msun] outside of fits."""
    counted = Outside(fits)
    counted.add_history(history)
    counted.warn(stacklevel=3)


def warn_metals(law: MetallicityLaw, stars: StellarHistory) -> None:
    """One warning where stars take their metals [1] from a law outside of what it was fitted to."""
    counted = Outside([Fit("metallicity", type(law).__name__, one) for one in ranges_of(law)])
    known = {
        "birth": lambda: np.asarray(stars.time - stars.age),
        "m_star": lambda: 10 ** np.asarray(log10_formed_before(stars)),
    }
    counted.add(np.asarray(stars.mass, float), lambda name: known[name]())
    counted.warn(stacklevel=3)


def formed(history: BaryonHistory) -> Float[np.ndarray, "... t"]:
    """Mass of stars that form about each time [Msun]; where there is one time, their rate [Msun/Gyr]."""
    time, sfr = np.asarray(history.time, float), np.asarray(history.sfr, float)
    sfr = np.where(np.isfinite(sfr), sfr, 0.0)  # of galaxies without a solution
    if time.shape[-1] < 2:
        return sfr
    step = np.where(np.isfinite(time[..., 1:]), np.diff(time, axis=-1), 0.0)
    return sfr * (np.concatenate([step[..., :1], step], -1) + np.concatenate([step, step[..., -1:]], -1)) / 2


def of_history(history: BaryonHistory, name: str) -> Any:
    """What a history has by a name: m_vir, diagnostics.temperature, metallicity.ism; its shape and units."""
    first, _, last = name.partition(".")
    if first == "metallicity":
        return history.metallicity(last)
    return functools.reduce(getattr, name.split("."), history)
