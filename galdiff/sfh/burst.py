"""A recent burst on top of any history: diffburst of diffsky, a triweight kernel in log10 of the age."""

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from galdiff.core.record import quantity, record
from galdiff.core.stage import Stage
from galdiff.core.variables import physical
from galdiff.light_records import StellarHistory


@record
class BurstParams:
    """Parameters of one burst, or of many with a leading axis; the defaults are those of diffsky."""

    lgfburst: Float[Array, ""] | float = quantity("dex", "log10 of the share of the mass in the burst", default=-3.0)
    lgyr_peak: Float[Array, ""] | float = quantity("dex(yr)", "log10 of the age at the peak", default=5.5)
    lgyr_max: Float[Array, ""] | float = quantity(
        "dex(yr)", "log10 of the oldest age, 1 dex or more above", default=7.0
    )


def burst_shape(p: BurstParams, lg_age_gyr: Float[ArrayLike, "..."]) -> Float[Array, "..."]:
    """Mass per dex of age in the burst, not normalised [1], at log10 ages [dex(Gyr)] of any shape."""
    z = (jnp.asarray(lg_age_gyr) + 9 - p.lgyr_peak) / (p.lgyr_max - p.lgyr_peak)
    return jnp.maximum(1 - z * z, 0.0) ** 3


def burst_weights(
    p: BurstParams, smooth: Float[Array, "age"], lg_age_gyr: Float[ArrayLike, "age"]
) -> Float[Array, "age"]:
    """Age weights [1] with a burst, by nodes as diffsky counts them: the burst depends on the nodes, here log10 Gyr.

    `smooth` are the weights without it [1]; where no node is inside the burst, its share is lost, as there.
    """
    shape = burst_shape(p, lg_age_gyr)
    total = shape.sum()
    share = 10.0**p.lgfburst
    return share * shape / jnp.where(total > 0, total, 1.0) + (1 - share) * smooth


class RecentBurst(Stage):
    """Move a share of the mass into a recent burst; what formed in all stays.

    Args of the constructor: lgfburst [dex], lgyr_peak and lgyr_max [dex(yr)] as in `BurstParams`.
    """

    def __init__(self, *, lgfburst: float = -3.0, lgyr_peak: float = 5.5, lgyr_max: float = 7.0) -> None:
        self.lgfburst = physical(lgfburst, lo=-8.0, hi=-1.0, unit="dex")
        self.lgyr_peak = physical(lgyr_peak, lo=5.0, hi=8.0, unit="dex(yr)")
        self.lgyr_max = physical(lgyr_max, lo=6.0, hi=9.0, unit="dex(yr)")

    def __call__(self, smooth_stars: StellarHistory) -> StellarHistory:
        """Stars with the burst: per log10 age its mass follows the triweight kernel, at the points there are.

        Panels longer than the burst move it to their points; where none is inside, there is no burst.
        """
        p = BurstParams(**{name: getattr(self, name).bounded for name in ("lgfburst", "lgyr_peak", "lgyr_max")})
        age = smooth_stars.age
        # what a point stands for in log10 age, from the middles between points
        middle = jnp.sqrt(age[1:] * age[:-1])
        ends = jnp.concatenate([age[:1] * age[:1] / middle[:1], middle, age[-1:] * age[-1:] / middle[-1:]])
        per_point = burst_shape(p, jnp.log10(age)) * jnp.diff(jnp.log10(ends))
        total = smooth_stars.mass.sum()
        burst = per_point / jnp.maximum(per_point.sum(), 1e-30)
        share = jnp.where(per_point.sum() > 0, 10.0**p.lgfburst, 0.0)
        mass = share * total * burst + (1 - share) * smooth_stars.mass
        return StellarHistory(age=age, mass=mass, time=smooth_stars.time)
