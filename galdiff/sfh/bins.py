"""Star formation in bins of look-back time, tied by the ratios of neighbouring rates (Leja et al. 2019, ApJ 876, 3).

Their prior on each log10 ratio is Student's t with 2 degrees of freedom and a width of 0.3 dex (continuity), or 1 dex
for bursty galaxies (Tacchella et al. 2022, ApJ 927, 170).
"""

import jax
import jax.numpy as jnp
import numpy as np

from galdiff.core.priors import StudentT2
from galdiff.core.variables import Physical, physical
from galdiff.errors import InputError
from galdiff.light_records import Epoch
from galdiff.sfh.model import LOG10_MASS
from galdiff.sfh.top_hats import Steps, TopHats

EDGES = (
    0.03,
    0.1,
    0.33,
    1.1,
    3.6,
)  # Gyr of look-back time between bins; the first begins at 0, the last with the galaxy
FIRST_SHARE = 0.05  # of the age of the universe that is before the first star


class ContinuityBins(TopHats):
    """Constant rates in bins whose log10 ratios, younger over older, are the parameters.

    Args of the constructor:
      log10_mformed: all that ever formed [dex(Msun)].
      log10_ratios: log10 of the rate in a bin over that in the next older one [dex], one fewer than bins.
      edges: between bins, look-back time [Gyr], increasing; the oldest bin ends at 95 % of the age of the universe.
        For a traced epoch that does not hold them they shrink together.
    """

    def __init__(
        self,
        *,
        log10_mformed: float = 10.5,
        log10_ratios: tuple[float, ...] | None = None,
        edges: tuple[float, ...] = EDGES,
    ) -> None:
        if not edges or not (np.diff([0.0, *edges]) > 0).all():
            raise InputError(f"edges of bins are {list(edges)} Gyr of look-back time; give positive ones that increase")
        ratios = (0.0,) * len(edges) if log10_ratios is None else tuple(log10_ratios)
        if len(ratios) != len(edges) or not np.isfinite(ratios).all():
            raise InputError(
                f"log10_ratios are {list(ratios)} dex; give {len(edges)} finite ones, one for each edge between bins"
            )
        self.log10_mformed = physical(log10_mformed, lo=LOG10_MASS[0], hi=LOG10_MASS[1], unit="dex(Msun)")
        self.log10_ratios = Physical(
            jnp.asarray(ratios, self.log10_mformed[...].dtype),
            lo=None,
            hi=None,
            unit="dex",
            prior=StudentT2(0.0, 0.3),
        )
        self.edges = tuple(float(edge) for edge in edges)

    def check_epoch(self, epoch: Epoch) -> None:
        """Refuse bins that the universe does not hold at the epoch.

        Raises:
          InputError: naming the last edge and where the oldest bin ends.
        """
        oldest = (1 - FIRST_SHARE) * float(epoch.time)
        if self.edges[-1] >= oldest:
            raise InputError(
                f"edges[-1] is {self.edges[-1]:.4g} Gyr of look-back time, but the galaxy is seen at a cosmic time of"
                f" {float(epoch.time):.4g} Gyr and its first stars are {oldest:.4g} Gyr old; lower it, or the redshift"
            )

    def steps(self, epoch: Epoch) -> Steps:
        """One step a bin; bins beyond the first stars share what is left of the time."""
        oldest_of_all = (1 - FIRST_SHARE) * epoch.time
        # Early on, edges move together so that every bin keeps some length.
        fixed = np.asarray((0.0, *self.edges))
        scale = jnp.minimum(1.0, 0.9 * oldest_of_all / fixed[-1])
        edges = jnp.concatenate([fixed.astype(scale.dtype) * scale, oldest_of_all[None]])
        ln_rate = -jnp.log(10.0) * jnp.concatenate([jnp.zeros(1), jnp.cumsum(self.log10_ratios.bounded)])
        share = jax.nn.softmax(ln_rate + jnp.log(jnp.diff(edges)))
        return Steps(youngest=edges[:-1], oldest=edges[1:], mass=10**self.log10_mformed.bounded * share)
