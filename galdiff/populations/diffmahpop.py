"""Growth of the haloes of a population, given their masses when observed: diffmahpop of diffmah 0.7, with satellites.

Haloes form early or late; in both families the unbounded diffmah parameters are Gaussian. Means follow the mass, the
time of the observation and the time when growth ended, which is drawn first; correlations are the same for all.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
from flax import nnx
from jax.scipy.special import ndtr, ndtri
from jaxtyping import Array, ArrayLike, Float, PRNGKeyArray

from galdiff.core.buildable import buildable
from galdiff.core.record import quantity, record
from galdiff.core.rolling import rolling_line, sigmoid
from galdiff.core.stage import Stage
from galdiff.core.variables import physical
from galdiff.errors import InputError
from galdiff.halo.diffmah import DiffmahParams
from galdiff.populations.published import published, published_bounds
from galdiff.populations.transforms import DIFFMAH, bounded, unbounded

Parameters = Mapping[str, Float[ArrayLike, ""]]
FAMILIES = {"early": "alpha", "late": "beta"}  # as the indices of growth are named there
DRAWN = ("logm0", "logtc", "early_index", "late_index")
STANDARD = ("logm0", "logtc", "early", "late")
PIVOT = 12.0  # log10 of the mass that lines in it are counted from
PEAK_SHARES = (0.05, 1.0)  # of the time of growth of a central over the age today
CUT = (0.1, 1.0)  # the same of a satellite over the time when it is seen
EDGE, REACH = 1e-4, 4.0
INSIDE = 1e-3  # how far means stay from the bounds


@record
class ObservedHalo:
    """A halo of which only the mass at one time is known."""

    log10_m: Float[Array, ""] = quantity("dex(Msun)", "log10 of its mass then; of a satellite, before it fell in")
    time: Float[Array, ""] = quantity("Gyr", "cosmic time")
    t_today: Float[Array, ""] = quantity("Gyr", "age of the universe today")
    satellite: Float[Array, ""] = quantity("", "1 for a satellite, 0 for a central")


@record
class HaloNoise:
    """Random numbers of one halo: draws are smooth in all parameters at fixed ones."""

    peak: Float[Array, ""] = quantity("", "uniform, of the time when growth ends")
    early: Float[Array, "4"] = quantity("", "standard normal, of the early family")
    late: Float[Array, "4"] = quantity("", "standard normal, of the late family")


@record
class HaloBranches:
    """A halo that formed early, one that formed late, and how likely the first is."""

    early: DiffmahParams = quantity("", "parameters of the early family")
    late: DiffmahParams = quantity("", "parameters of the late family")
    early_share: Float[Array, ""] = quantity("", "weight of the early family; the other has the rest")


def early_share(p: Parameters, halo: ObservedHalo) -> Float[Array, "..."]:
    """Share of the early family [1] for haloes of any shape; `p`: parameters of diffmahpop."""
    ends = [
        sigmoid(halo.time, p["fec_t_obs_x0"], 1.0, p[f"fec_lgm_{y}_early"], p[f"fec_lgm_{y}_late"])
        for y in ("ylo", "yhi")
    ]
    return sigmoid(halo.log10_m, p["fec_lgm_x0"], 4.0, *ends)


def peak_time(p: Parameters, halo: ObservedHalo, uniform: Float[ArrayLike, "..."]) -> Float[Array, "..."]:
    """When growth ends [Gyr], from uniform random numbers [1] of the shape of the haloes."""
    ends = [
        sigmoid(halo.log10_m, p["cen_tp_lgm_x0_x0"], 1.0, p[f"cen_tp_x0_ylo_{t}"], p[f"cen_tp_x0_yhi_{t}"])
        for t in ("early", "late")
    ]
    middle = sigmoid(halo.time, p["cen_tp_t_obs_x0_x0"], 2.0, *ends)
    u = jnp.clip(jnp.asarray(uniform), 1e-7, 1 - 1e-7)
    central = jnp.clip(middle + (jnp.log(u) - jnp.log1p(-u)) / 5.0, *PEAK_SHARES) * halo.t_today
    low = sigmoid(halo.time, p["utp_loc_lgm_ylo_t0"], 0.4, p["utp_loc_lgm_ylo_early"], p["utp_loc_lgm_ylo_late"])
    mean = sigmoid(halo.log10_m, p["utp_loc_lgm_x0"], 1.5, low, 0.95)
    low = sigmoid(halo.time, p["utp_scale_lgm_ylo_t0"], 1.0, p["utp_scale_lgm_ylo_early"], p["utp_scale_lgm_ylo_late"])
    width = sigmoid(halo.log10_m, PIVOT, 1.0, low, 0.16)
    first, last = (ndtr((end - mean) / width) for end in CUT)
    share = mean + width * ndtri(first + u * (last - first))
    ends = [jnp.maximum(mean - REACH * width, CUT[0] + EDGE), jnp.minimum(mean + REACH * width, CUT[1] - EDGE)]
    return central + halo.satellite * (jnp.clip(share, *ends) * halo.time - central)


def mean_params(
    p: Parameters, halo: ObservedHalo, t_peak: Float[ArrayLike, "..."], family: str
) -> dict[str, Float[Array, "..."]]:
    """Parameters of the middle history of one family [of mixed units], by name, for haloes of any shape.

    Args:
      p: parameters of diffmahpop; halo: the haloes; t_peak: when their growth ends [Gyr]; family: early or late.
    """
    m, time = halo.log10_m, halo.time
    central, satellite = (_logm0(p, halo, t_peak, f"{family}{which}") for which in ("", "_sats"))
    pivot = p[f"logtc_lgm_c0_tp_ytp_tobs_c0_{family}"] + p[f"logtc_lgm_c0_tp_ytp_tobs_c1_{family}"] * time
    slopes = p[f"logtc_lgm_c0_tp_ylo_{family}"], p[f"logtc_lgm_c0_tp_yhi_{family}"]
    logtc = rolling_line(t_peak, (10.0, pivot), p[f"logtc_c0_ss_x0_{family}"], 0.5, slopes)
    logtc += p[f"logtc_lgm_c1_{family}"] * (m - PIVOT)
    name = FAMILIES[family]
    low, high = ([p[f"early_index_{end}_{part}_{name}"] for part in ("x0", "ylo", "yhi")] for end in ("ylo", "yhi"))
    ends = sigmoid(t_peak, low[0], 1.0, *low[1:]), sigmoid(time, high[0], 0.5, *high[1:])
    return {
        "logm0": central + halo.satellite * (satellite - central),
        "logtc": jnp.clip(logtc, -1.0 + INSIDE, 1.0 - INSIDE),
        "early_index": jnp.clip(sigmoid(m, p[f"early_index_lgm_x0_{name}"], 1.0, *ends), 0.1 + INSIDE, 10 - INSIDE),
        "late_index": jnp.clip(
            sigmoid(m, p[f"late_index_x0_{name}"], 1.0, p[f"late_index_ylo_{name}"], p[f"late_index_yhi_{name}"]),
            0.1 + INSIDE,
            5.0 - INSIDE,
        ),
    }


def _logm0(p: Parameters, halo: ObservedHalo, t_peak: ArrayLike, which: str) -> Array:
    def line(name: str, at: float) -> Array:
        level, slope, x0 = (p[f"lgm0pop_{name}_{key}_{which}"] for key in ("ytp", "ylo", "t_obs_x0"))
        return rolling_line(halo.time, (at, level), x0, 0.25, (slope, 0.0))

    least = p[f"lgm0pop_c0_clip_c0_{which}"] + p[f"lgm0pop_c0_clip_c1_{which}"] * jnp.asarray(t_peak)
    c0 = jnp.maximum(line("c0", 15.0), least)
    clip = (p[f"lgm0pop_c1_clip_{key}_{which}"] for key in ("ylo", "yhi"))
    c1 = jnp.maximum(line("c1", 10.0), sigmoid(t_peak, p[f"lgm0pop_c1_clip_x0_{which}"], 1.0, *clip))
    return halo.log10_m + c0 + c1 * (halo.log10_m - PIVOT)


def scatter_factor(p: Parameters, log10_m: Float[ArrayLike, "..."]) -> Float[Array, "... 4 4"]:
    """Lower Cholesky factor of the covariance of the unbounded parameters [mixed units], for masses of any shape."""
    names = STANDARD
    std = jnp.stack(
        [sigmoid(log10_m, p[f"cov_lgm_x0_{n}"], 2.0, p[f"std_u_{n}_ylo"], p[f"std_u_{n}_yhi"]) for n in names], -1
    )
    one = jnp.ones((), std.dtype)
    rows = [[one if i == j else p[f"rho_{names[max(i, j)]}_{names[min(i, j)]}"] for j in range(4)] for i in range(4)]
    correlation = jnp.stack([jnp.stack([jnp.asarray(x, std.dtype) for x in row]) for row in rows])
    return std[..., None] * jnp.linalg.cholesky(correlation)


def halo_branches(p: Parameters, halo: ObservedHalo, noise: HaloNoise) -> HaloBranches:
    """Both families for haloes of any shape, with random numbers of that shape; differentiable in all parameters."""
    t_peak, factor = peak_time(p, halo, noise.peak), scatter_factor(p, halo.log10_m)
    found = {}
    for family, normal in (("early", noise.early), ("late", noise.late)):
        mean = unbounded(DIFFMAH, mean_params(p, halo, t_peak, family))
        offset = jnp.einsum("...ij,...j->...i", factor, normal)
        u = {name: mean[name] + offset[..., i] for i, name in enumerate(DRAWN)}
        found[family] = DiffmahParams(**bounded(DIFFMAH, u), t_peak=t_peak)
    return HaloBranches(**found, early_share=early_share(p, halo))


def halo_noise(key: PRNGKeyArray, shape: tuple[int, ...] = ()) -> HaloNoise:
    """Random numbers of haloes, of a shape."""
    peak, normal = jax.random.split(key)
    numbers = jax.random.normal(normal, (*shape, 8))
    return HaloNoise(peak=jax.random.uniform(peak, shape), early=numbers[..., :4], late=numbers[..., 4:])


def drawn_family(branches: HaloBranches, uniform: Float[ArrayLike, "..."]) -> DiffmahParams:
    """The family that uniform random numbers [1], of the shape of the haloes, choose."""
    early = jnp.asarray(uniform) < branches.early_share
    return jax.tree.map(lambda a, b: jnp.where(early, a, b), branches.early, branches.late)


class DiffmahPopulation(Stage):
    """Histories of haloes of given mass; all parameters can be trained.

    Args of the constructor:
      parameters: by the names of diffmahpop, all 113.
    """

    def __init__(self, *, parameters: Mapping[str, float]) -> None:
        bounds = published_bounds("diffmahpop")
        if parameters.keys() != bounds.keys():
            odd = sorted(parameters.keys() ^ bounds.keys())
            raise InputError(f"diffmahpop has {len(bounds)} parameters; missing or unknown: {', '.join(odd[:5])}")
        self.parameters = nnx.Dict(
            {name: physical(parameters[name], lo=lo, hi=hi, unit="1") for name, (lo, hi) in bounds.items()}
        )

    def __call__(self, halo: ObservedHalo, noise: HaloNoise) -> HaloBranches:
        """Both families, at fixed random numbers."""
        return halo_branches({name: self.parameters[name].bounded for name in self.parameters}, halo, noise)


@buildable(reads=True)
def halo_population() -> DiffmahPopulation:
    """The population of the published parameters."""
    return DiffmahPopulation(parameters=published("diffmahpop_default"))
