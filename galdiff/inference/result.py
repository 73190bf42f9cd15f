"""What a method found: draws, and whether they may be used."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float

from galdiff.inference.unknowns import Unknown

ESS, R_HAT, PSIS_K = 100.0, 1.01, 0.7  # least, and most
DIVERGENT = 1e-3  # share of the steps
MOVED = 0.2  # share of the draws of chains that differ from each other


@dataclasses.dataclass(frozen=True, eq=False)
class Result:
    """Draws from a posterior.

    Attributes:
      method: that found them.
      each: the unknowns.
      draws: values [units of `each`], (chain, draw, unknown), all of the same weight.
      numbers: the same as standard normal numbers of the priors [1].
      log_density: of data and unknowns at the draws [1], (chain, draw).
      diagnostics: numbers by name.
      reasons: why it may not be used, a sentence each.
      notes: what one should know, as directions in which the data say less than the prior.
    """

    method: str
    each: tuple[Unknown, ...]
    draws: Float[np.ndarray, "chain draw unknown"]
    numbers: Float[np.ndarray, "chain draw unknown"]
    log_density: Float[np.ndarray, "chain draw"]
    diagnostics: Mapping[str, float]
    reasons: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def usable(self) -> bool:
        """Whether all diagnostics passed; what is not usable is never counted."""
        return not self.reasons

    @property
    def names(self) -> tuple[str, ...]:
        """Of the unknowns."""
        return tuple(one.name for one in self.each)

    @property
    def flat(self) -> Float[np.ndarray, "draw unknown"]:
        """Draws [units of `each`] of all chains."""
        return np.asarray(self.draws.reshape(-1, len(self.each)))

    def quantiles(self, shares: Sequence[float] = (0.16, 0.5, 0.84)) -> Float[np.ndarray, "unknown share"]:
        """Values [units of `each`] below which shares [1] of the draws lie."""
        return np.asarray(np.quantile(self.flat, shares, axis=0).T)

    def said(self) -> str:
        """One line: usable or why not, and the diagnostics."""
        numbers = ", ".join(f"{name} {value:.4g}" for name, value in self.diagnostics.items())
        return f"{'usable' if self.usable else 'not usable: ' + '; '.join(self.reasons)} ({self.method}: {numbers})"


def reasons_against(diagnostics: Mapping[str, float]) -> tuple[str, ...]:
    """Sentences on the diagnostics [by name] that say the draws may not be used; none for those that are not there."""
    found = []
    d = diagnostics
    if not np.isfinite(list(d.values())).all():
        bad = ", ".join(name for name, value in d.items() if not np.isfinite(value))
        found.append(f"{bad} is not finite; look at the data and the priors")
    if d.get("ess", ESS) < ESS:
        found.append(f"the effective sample size is {d['ess']:.0f}, below {ESS:.0f}; take more draws")
    if d.get("r_hat", 1.0) > R_HAT:
        found.append(
            f"R-hat is {d['r_hat']:.3f}, above {R_HAT}; the chains disagree: take more draws or another method"
        )
    if d.get("psis_k", 0.0) > PSIS_K:
        found.append(f"the Pareto k of the weights is {d['psis_k']:.2f}, above {PSIS_K}; take method=nuts")
    if d.get("divergent", 0.0) > DIVERGENT:
        found.append(f"{d['divergent']:.2%} of the steps diverge; raise target_accept")
    if d.get("moved", 1.0) < MOVED:
        found.append(f"{d['moved']:.1%} of the draws differ; the chains do not move: take another method")
    return tuple(found)
