"""Star formation of a population: diffstarpop of diffstar 1.0, parameters of galaxies given those of their haloes.

Galaxies are on the main sequence or quenched. On either, the unbounded parameters of diffstar are Gaussian without
correlations; means and deviations follow the mass of the halo, the share of quenched galaxies also the time when it
stopped growing, and of satellites the host. The parameters are those published for five simulations (`published`).
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, ArrayLike, Float, PRNGKeyArray

from galdiff.core.buildable import buildable
from galdiff.core.record import quantity, record
from galdiff.core.rolling import rolling_line, sigmoid
from galdiff.core.stage import Stage
from galdiff.core.variables import physical
from galdiff.cosmology import Cosmology
from galdiff.errors import InputError
from galdiff.populations.growth import Former, GalaxyPlace, GrownMember, StarFormation
from galdiff.populations.published import CALIBRATIONS, published, published_bounds
from galdiff.populations.transforms import DIFFSTAR, bounded
from galdiff.sfh.diffstar import NAMES, DiffstarParams, diffstar_sfr
from galdiff.sfh.fractions import AgeFractions

Parameters = Mapping[str, Float[ArrayLike, ""]]
PIVOT = 12.5  # log10 of the halo mass that lines in it are counted from
ROLL, STEP_HOST, STEP_RATIO = 3.0, 5.0, 2.0  # k of the rolling means, and of what happens to satellites
UNQUENCHED = 5.0  # unbounded quenching parameters of the main sequence
MS, Q = ("ulgm", "ulgy", "ul", "uh"), ("uqt", "uqs", "udrop", "urej")
MEAN_ENDS = {"ul": (-3, 5), "uh": (-5, 3), "uqs": (-5, 2), "udrop": (-3, 2), "urej": (-10, 2)}
DEVIATION_ENDS = {"ulgm": 1, "ulgy": 1, "ul": 3, "uh": 3, "uqt": 0.5, "uqs": 1, "udrop": 2, "urej": 2}
LEAST_DEVIATION = 0.01


@record
class SfhNoise:
    """Random numbers of one galaxy: draws are smooth in all parameters at fixed ones."""

    main_sequence: Float[Array, "4"] = quantity("", "standard normal, of the parameters on the main sequence")
    quenched: Float[Array, "8"] = quantity("", "standard normal, of the parameters of a quenched galaxy")


@record
class SfhBranches:
    """A galaxy on the main sequence, the same one quenched, and how likely that is."""

    main_sequence: DiffstarParams = quantity("", "parameters on the main sequence")
    quenched: DiffstarParams = quantity("", "parameters of a quenched galaxy")
    quenched_share: Float[Array, ""] = quantity("", "weight of the quenched branch; the other has the rest")


def clipped_line(
    x: Float[ArrayLike, "..."], level: ArrayLike, slope: ArrayLike, ends: tuple[float, float]
) -> Float[Array, "..."]:
    """A line about log10 mass 12.5 that stays between two ends: C of diffstarpop, regular at slope 0.

    Args:
      x: log10 of the mass [dex(Msun)], any shape; level: value at 12.5 [any unit]; slope: [its unit per dex].
      ends: lower and upper end [unit of level].
    """
    level = jnp.asarray(level)
    below, above = level - ends[0], ends[1] - level
    rise = slope * (jnp.asarray(x) - PIVOT)
    steps = 2000 * rise / below  # the logistics of the package, with what cancels at slope 0 taken out
    low, high = level - 0.99 * below, level + 0.99 * above
    inner = low + (level + rise - low) * jax.nn.sigmoid(steps + 1980)
    return inner + (high - inner) * jax.nn.sigmoid(steps - 1980 * above / below)


def quenched_share(p: Parameters, place: GalaxyPlace) -> Float[Array, "..."]:
    """Share of quenched galaxies [1] at places of any shape; `p`: parameters of diffstarpop."""
    central, satellite = (_share(p, place, which) for which in ("cen", "sat"))
    ratio = [
        sigmoid(place.log10_mu, p["qphi_lgmu_crit"], STEP_RATIO, p[f"lgmu_lo_mh_{end}"], p[f"lgmu_hi_mh_{end}"])
        for end in ("lo", "hi")
    ]
    most = sigmoid(place.log10_mhost, p["qp_lgmh_crit"], STEP_HOST, *ratio)
    delay = sigmoid(place.log10_mhost, p["td_lgmhc"], STEP_HOST, p["td_mlo"], p["td_mhi"])
    satellite += (1 - satellite) * sigmoid(place.since_infall, delay, STEP_HOST, 0.0, most)
    return central + place.satellite * (satellite - central)


def _share(p: Parameters, place: GalaxyPlace, which: str) -> Array:
    q = {name.removeprefix(f"frac_quench_{which}_"): value for name, value in p.items() if f"quench_{which}_" in name}
    x0, low = (
        sigmoid(place.t_peak, q["x0_tpeak"], q["k_tpeak"], q[f"{end}_ylotpeak"], q[f"{end}_yhitpeak"])
        for end in ("x0", "ylo")
    )
    return sigmoid(place.log10_m0, x0, q["k"], low, q["yhi"])


def means(
    p: Parameters, log10_m0: Float[ArrayLike, "..."], t_peak: Float[ArrayLike, "..."]
) -> tuple[Float[Array, "... 4"], Float[Array, "... 8"]]:
    """Means of the unbounded diffstar parameters [of mixed units], on the main sequence and of quenched galaxies.

    Args:
      p: parameters of diffstarpop.
      log10_m0: log10 of the halo mass today [dex(Msun)]; t_peak: when it stopped growing [Gyr]; of one shape.
    """
    m = jnp.asarray(log10_m0)

    def roll(name: str) -> Array:
        x, y, low, high = (p[f"mean_{name}_{part}"] for part in ("xtp", "ytp", "lo", "hi"))
        return rolling_line(m, (x, y), x, ROLL, (low, high))

    def line(name: str) -> Array:
        ends = MEAN_ENDS[name.split("_")[0]]
        return clipped_line(m, p[f"mean_{name}_int"], p[f"mean_{name}_slp"], ends)

    main, quenched = (
        [roll(f"ulgm_{s}"), roll(f"ulgy_{s}"), line(f"ul_{s}"), line(f"uh_{s}")] for s in ("mseq", "qseq")
    )
    late = sigmoid(t_peak, *(p[f"delta_uqt_{part}"] for part in ("x0", "k", "ylo", "yhi")))
    late = late + p["delta_uqt_slope"] * (m - PIVOT)
    quenched += [roll("uqt") + late, *(line(name) for name in Q[1:])]
    return jnp.stack(main, -1), jnp.stack(quenched, -1)


def deviations(p: Parameters, log10_m0: Float[ArrayLike, "..."]) -> tuple[Float[Array, "... 4"], Float[Array, "... 8"]]:
    """Standard deviations of the same [of mixed units] at halo masses [dex(Msun)] of any shape."""

    def line(name: str) -> Array:
        ends = LEAST_DEVIATION, DEVIATION_ENDS[name.split("_")[0]]
        return clipped_line(log10_m0, p[f"std_{name}_int"], p[f"std_{name}_slp"], ends)

    main, quenched = ([line(f"{name}_{s}") for name in MS] for s in ("mseq", "qseq"))
    return jnp.stack(main, -1), jnp.stack([*quenched, *(line(name) for name in Q)], -1)


def sfh_branches(p: Parameters, place: GalaxyPlace, noise: SfhNoise) -> SfhBranches:
    """Both branches of galaxies at places of any shape, with random numbers of that shape; differentiable in all."""
    (main, quenched), (main_std, quenched_std) = means(p, place.log10_m0, place.t_peak), deviations(p, place.log10_m0)
    main = main + main_std * noise.main_sequence
    main = jnp.concatenate([main, jnp.full_like(main, UNQUENCHED)], -1)
    both = (main, quenched + quenched_std * noise.quenched)
    params = [DiffstarParams(**bounded(DIFFSTAR, dict(zip(NAMES, jnp.moveaxis(u, -1, 0), strict=True)))) for u in both]
    return SfhBranches(main_sequence=params[0], quenched=params[1], quenched_share=quenched_share(p, place))


def sfh_noise(key: PRNGKeyArray, shape: tuple[int, ...] = ()) -> SfhNoise:
    """Random numbers of galaxies, of a shape."""
    numbers = jax.random.normal(key, (*shape, 12))
    return SfhNoise(main_sequence=numbers[..., :4], quenched=numbers[..., 4:])


def drawn_branch(branches: SfhBranches, uniform: Float[ArrayLike, "..."]) -> DiffstarParams:
    """The branch that uniform random numbers [1], of the shape of the galaxies, choose."""
    dead = jnp.asarray(uniform) < branches.quenched_share
    return jax.tree.map(lambda q, ms: jnp.where(dead, q, ms), branches.quenched, branches.main_sequence)


class DiffstarPopulation(Stage):
    """Star formation parameters of a galaxy of the population; all parameters can be trained.

    Args of the constructor:
      parameters: by the names of diffstarpop, all 88.
    """

    def __init__(self, *, parameters: Mapping[str, float]) -> None:
        bounds = published_bounds("diffstarpop")
        if parameters.keys() != bounds.keys():
            odd = sorted(parameters.keys() ^ bounds.keys())
            raise InputError(f"diffstarpop has {len(bounds)} parameters; missing or unknown: {', '.join(odd[:5])}")
        self.parameters = nnx.Dict(
            {name: physical(parameters[name], lo=lo, hi=hi, unit="1") for name, (lo, hi) in bounds.items()}
        )

    def __call__(self, place: GalaxyPlace, noise: SfhNoise) -> SfhBranches:
        """Both branches, at fixed random numbers."""
        return sfh_branches({name: self.parameters[name].bounded for name in self.parameters}, place, noise)

    def former(self, ages: AgeFractions, cosmology: Cosmology, size: int) -> Former:
        """Draws star formation of members at ages in a universe; `size` does not count."""
        del size
        graph, state = nnx.split(self)
        fb = float(cosmology.omega_b / cosmology.omega_m)

        def one(population: "DiffstarPopulation", grown: GrownMember, keys: PRNGKeyArray) -> StarFormation:
            branches, u = population(grown.place, sfh_noise(keys[0])), jax.random.uniform(keys[1])
            p, time = drawn_branch(branches, u), grown.time - ages.ages(grown.time)
            return StarFormation(
                sfr=diffstar_sfr(p, time, grown.log10_mass, baryon_fraction=fb),
                quenched_share=branches.quenched_share,
                quenched=1.0 * (u < branches.quenched_share),
            )

        @jax.jit
        def form(state: nnx.State, grown: GrownMember, keys: PRNGKeyArray) -> StarFormation:
            population = nnx.merge(graph, state)
            return jax.vmap(lambda g, k: one(population, g, k))(grown, keys)

        return lambda grown, keys, redshift: form(state, grown, keys)


@buildable(reads=True)
def diffstar_population(*, calibration: str = CALIBRATIONS[0]) -> DiffstarPopulation:
    """A population with published parameters.

    Args:
      calibration: smdpl_dr1_nomerging, smdpl_dr1, tng, galacticus_in_situ or galacticus_in_plus_ex_situ.

    Raises:
      InputError: there is no such calibration.
    """
    if calibration not in CALIBRATIONS:
        raise InputError(f"calibration of diffstarpop is '{calibration}'; choose one of {', '.join(CALIBRATIONS)}")
    return DiffstarPopulation(parameters=published(f"diffstarpop_{calibration}"))
