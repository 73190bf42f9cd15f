"""Maps of light, velocity and stellar populations, straight from the mass distribution.

A population node carries a weight (mass or light), and products of the weight with age and metallicity; a map is a
sum over nodes. For the linear interpolation of the SSP grid there is one node per grid point, numbered
i_met * n_age + i_age; the cubic one appends blocks d/dage, d/dmet and d2/(dage dmet) (per dex), which `NodeTables`
carry too, so that the interpolated products are as accurate as the interpolated spectra.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from galdiff.core.record import quantity, record, static
from galdiff.core.stage import Stage
from galdiff.core.variables import table
from galdiff.errors import InputError
from galdiff.kinematics.gauss_hermite import SIGMA_MIN, fit_gauss_hermite
from galdiff.kinematics.moments import blank, losvd, moments
from galdiff.records import KinematicMaps, MassDistribution

ON_FLOOR = 1e-4  # relative distance from the smallest dispersion below which a fit has found none
AVERAGES = ("linear", "log")


@record
class NodeTables:
    """What one unit of mass in a node adds to the sums behind the maps."""

    weight: Float[Array, "node av"] = quantity("", "weight per mass formed: 1, or Lsun/Msun in a band")
    age: Float[Array, "node av"] = quantity("Gyr", "weight times age, or times log10(age/Gyr)")
    metallicity: Float[Array, "node av"] = quantity("", "weight times Z, or times log10 Z")
    average: str = static("linear: mean of age and Z; log: 10^(mean of the logs)", default="linear")


def node_tables(
    lg_age: Float[ArrayLike, "age"],
    lgmet: Float[ArrayLike, "met"],
    *,
    interpolation: str = "linear",
    weight: Float[ArrayLike, "node av"] | None = None,
    average: str = "linear",
) -> NodeTables:
    """Tables for maps weighted by mass (default) or by the light of a band.

    The mean of log age and log Z is exact when weighted by mass. The mean of age in Gyr is that of the chord between
    nodes for linear interpolation: too old by at most (ln 10 step)^2 / 8, 0.7 % for nodes 0.1 dex apart. With a light
    weight, products of weight and age are interpolated, which errs by less than a quarter of the product of
    their changes from node to node.

    Args:
      lg_age: log10(age/Gyr) of the grid [dex].
      lgmet: log10 Z of the grid [dex].
      interpolation: of the mass distribution: linear or cubic.
      weight: weight per mass of each node, as the distribution has them (4 blocks for the cubic), and of each
        attenuation node: the band luminosity of the node's spectrum [Lsun/Msun]. None for mass; this needs a
        distribution without attenuation nodes.
      average: linear for means of age [Gyr] and Z, log for 10 to the mean of their logs.

    Raises:
      InputError: unknown interpolation or average, or weights that do not fit the grid.
    """
    if average not in AVERAGES:
        raise InputError(f"average is '{average}'; choose one of {', '.join(AVERAGES)}")
    if interpolation not in ("linear", "cubic"):
        raise InputError(f"interpolation is '{interpolation}'; choose linear or cubic")
    ages, mets = (np.asarray(x, float) for x in (lg_age, lgmet))
    blocks, n_grid = 4 if interpolation == "cubic" else 1, ages.size * mets.size
    ones = np.zeros((blocks * n_grid, 1))
    ones[:n_grid] = 1.0
    weight = jnp.asarray(ones if weight is None else weight)
    weight = weight if weight.ndim == 2 else weight[:, None]
    if weight.shape[0] != blocks * n_grid:
        raise InputError(
            f"weight has {weight.shape[0]} nodes; {interpolation} interpolation in {mets.size} metallicities and"
            f" {ages.size} ages needs {blocks * n_grid}"
        )
    age_nodes = _function_nodes(ages[None, :] + 0 * mets[:, None], average, blocks, axis=1)
    met_nodes = _function_nodes(mets[:, None] + 0 * ages[None, :], average, blocks, axis=2)
    return NodeTables(
        weight=weight,
        age=multiply_nodes(weight, age_nodes, blocks),
        metallicity=multiply_nodes(weight, met_nodes, blocks),
        average=average,
    )


def multiply_nodes(a: Float[ArrayLike, "node av"], b: Float[ArrayLike, "node av"], blocks: int) -> Array:
    """Product of two tables in node form [unit of a times unit of b], shape of both.

    The values, and for 4 blocks the product rule for the slopes.
    """
    a, b = jnp.asarray(a), jnp.asarray(b)
    if blocks == 1:
        return a * b
    (a0, a1, a2, a12), (b0, b1, b2, b12) = (jnp.split(x, 4) for x in (a, b))
    cross = a12 * b0 + a1 * b2 + a2 * b1 + a0 * b12
    return jnp.concatenate([a0 * b0, a1 * b0 + a0 * b1, a2 * b0 + a0 * b2, cross])


def _function_nodes(logs: np.ndarray, average: str, blocks: int, axis: int) -> np.ndarray:
    """Values and slopes per dex of x = log10 q ("log") or q itself ("linear"); axis 1 is age, 2 metallicity."""
    value, slope = (logs, np.ones_like(logs)) if average == "log" else (10.0**logs, np.log(10.0) * 10.0**logs)
    parts = [value] + [slope if block == axis else 0 * value for block in range(1, blocks)]
    return np.concatenate([part.reshape(-1, 1) for part in parts])


def population_maps(
    mass_distribution: MassDistribution, tables: NodeTables
) -> tuple[Float[Array, "y x"], Float[Array, "y x"], Float[Array, "y x"]]:
    """Weight [Msun or Lsun], mean age [Gyr] and metallicity [mass fraction] of each spaxel; NaN where empty."""
    nodes = jnp.sum(mass_distribution.mass, 2)  # (y, x, node, av)
    sums = [
        jnp.einsum("yxnq,nq->yx", nodes, x.astype(nodes.dtype), precision="highest")
        for x in (tables.weight, tables.age, tables.metallicity)
    ]
    filled = sums[0] > 0
    age, met = (x / jnp.where(filled, sums[0], 1) for x in sums[1:])
    if tables.average == "log":
        age, met = 10.0**age, 10.0**met
    return sums[0], blank(age, filled), blank(met, filled)


def above_floor(fit: tuple[Array, ...], v_nodes: Float[Array, "v"]) -> tuple[Array, ...]:
    """V, sigma [km/s], h3 and h4 [1], each of shape (y, x), of `fit_gauss_hermite` at nodes [km/s]; NaN where the
    dispersion is on its floor of half a node, which is no fit.
    """
    floor = SIGMA_MIN * (v_nodes[1] - v_nodes[0])
    return tuple(blank(values, fit[2] > floor * (1 + ON_FLOOR)) for values in fit[1:])


@functools.partial(jax.jit, static_argnames="gauss_hermite")
def kinematic_maps(
    mass_distribution: MassDistribution, tables: NodeTables, *, gauss_hermite: bool = True
) -> KinematicMaps:
    """Maps of a mass distribution; differentiable in it, NaN in empty spaxels.

    Args:
      mass_distribution: mass in bins.
      tables: weights of the nodes, from `node_tables`.
      gauss_hermite: V, sigma, h3 and h4 of a Gauss-Hermite fit, as pPXF reports them, NaN where the dispersion
        is on its floor of half a node; else V and sigma are moments
        and h3 and h4 are NaN.

    Raises:
      InputError: the tables do not fit the distribution.
    """
    if tables.weight.shape != mass_distribution.mass.shape[3:]:
        raise InputError(
            f"node tables have shape {tables.weight.shape} (node, av) and the mass distribution"
            f" {mass_distribution.mass.shape[3:]}; make them from the same SSP grid,"
            " interpolation and attenuation nodes"
        )
    flux, age, metallicity = population_maps(mass_distribution, tables)
    profile = losvd(mass_distribution, tables.weight.astype(mass_distribution.mass.dtype))
    if gauss_hermite:
        fit = fit_gauss_hermite(profile, mass_distribution.v_nodes)
        v, sigma, h3, h4 = above_floor(fit, mass_distribution.v_nodes)
    else:
        _, v, sigma = moments(profile, mass_distribution.v_nodes)
        h3 = h4 = jnp.full_like(v, jnp.nan)
    return KinematicMaps(flux=flux, v=v, sigma=sigma, h3=h3, h4=h4, age=age, metallicity=metallicity)


class MapMaker(Stage):
    """Make maps with fixed node tables; settings as in `kinematic_maps`."""

    def __init__(self, *, tables: NodeTables, gauss_hermite: bool = True) -> None:
        self.weight, self.age, self.metallicity = (table(x) for x in (tables.weight, tables.age, tables.metallicity))
        self.average = tables.average
        self.gauss_hermite = gauss_hermite

    def __call__(self, mass_distribution: MassDistribution) -> KinematicMaps:
        tables = NodeTables(
            weight=self.weight[...], age=self.age[...], metallicity=self.metallicity[...], average=self.average
        )
        return kinematic_maps(mass_distribution, tables, gauss_hermite=self.gauss_hermite)
