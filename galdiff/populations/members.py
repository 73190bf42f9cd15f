"""The haloes of a volume, drawn from a mass function, each with its satellites."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from galdiff.core.record import quantity, record
from galdiff.cosmology import Cosmology
from galdiff.errors import InputError
from galdiff.halo.virial import virial_radius
from galdiff.populations.abundance import log10_subhaloes
from galdiff.populations.mass_function import MassFunction
from galdiff.populations.published import published
from galdiff.populations.volumes import Volume

MASSES = (9.0, 14.5)  # log10 of the smallest halo that may be asked for [Msun]
LARGEST = 16.0  # log10 of any halo
MOST = 20_000_000  # haloes of one catalogue
HALVINGS = 40
CONCENTRATION = 5.0  # of satellites in their host, as in diffsky
N_TABLE, N_REDSHIFTS = 257, 64  # nodes of the table of a mass function
NONE = -35.0  # log10 of a number that is as good as none, also in single precision


@record
class Members:
    """Centrals and satellites of a volume, in the order of their redshifts."""

    log10_m: np.ndarray = quantity("dex(Msun)", "log10 of the mass when seen; of a satellite, before it fell in")
    redshift: np.ndarray = quantity("", "redshift")
    satellite: np.ndarray = quantity("", "1 for a satellite, 0 for a central")
    log10_mhost: np.ndarray = quantity("dex(Msun)", "log10 of the mass of the host; its own for a central")
    host: np.ndarray = quantity("", "number of the central of its halo")


def expected(mass_function: MassFunction, volume: Volume, log10_m_min: float, cosmology: Cosmology) -> float:
    """Mean number of centrals of a volume above a mass [dex(Msun)]."""
    z, weight = volume.slices(cosmology)
    number = _above(mass_function, log10_m_min, z) * weight
    return float(np.trapezoid(number, z) if z.size > 1 else number[0])


def draw_members(
    mass_function: MassFunction,
    volume: Volume,
    cosmology: Cosmology,
    *,
    log10_m_min: float,
    satellites: bool,
    seed: int,
) -> tuple[Members, dict[str, np.ndarray]]:
    """Random haloes.

    Args:
      mass_function: of the centrals; volume: where they are; cosmology: the universe.
      log10_m_min: log10 of the smallest mass of a halo, and of a satellite before it fell in [Msun].
      satellites: whether there are any.
      seed: of the random numbers.

    Returns:
      The haloes, and their places by name, shapes (halo,); satellites follow the NFW profile of their host.

    Raises:
      InputError: a mass that is not allowed, or a volume with no or too many haloes.
    """
    if not MASSES[0] <= log10_m_min <= MASSES[1]:
        raise InputError(f"log10_m_min is {log10_m_min} dex(Msun); give {MASSES[0]:g} to {MASSES[1]:g}")
    rng, log10_m_min = np.random.default_rng(seed), float(log10_m_min)
    mean = expected(mass_function, volume, log10_m_min, cosmology)
    n = int(rng.poisson(mean)) if mean < MOST else MOST + 1
    if not 0 < n <= MOST:
        raise InputError(
            f"the volume holds {mean:.3g} haloes above log10_m_min = {log10_m_min} dex(Msun) on average; change the"
            f" volume or the mass for 1 to {MOST:,}"
        )
    z = _redshifts(rng, mass_function, volume, cosmology, log10_m_min, n)
    above = _tabled(mass_function, log10_m_min, volume.slices(cosmology)[0], z)
    least, beyond = (10 ** np.asarray(above(jnp.full(n, m)), float) for m in (log10_m_min, LARGEST))
    wanted = np.log10(beyond + rng.uniform(size=n) * (least - beyond))
    mass = _solve(above, wanted, np.full(n, log10_m_min), np.full(n, LARGEST))
    number = np.arange(n)
    central = Members(log10_m=mass, redshift=z, satellite=np.zeros(n), log10_mhost=mass, host=number)
    places = volume.positions(rng, n)
    if not satellites:
        return central, places
    found = _with_satellites(rng, central, log10_m_min)
    places = {name: value[found.host] for name, value in places.items()}
    return found, volume.displaced(places, _offsets(rng, found, cosmology), found.redshift, cosmology)


def _above(mass_function: MassFunction, log10_m: float, z: np.ndarray) -> np.ndarray:
    """Number above one mass at redshifts z."""
    return 10.0 ** np.asarray(jax.jit(lambda x: mass_function.log10_cumulative(log10_m, x))(jnp.asarray(z)), float)


def _tabled(mass_function: MassFunction, least: float, z_nodes: np.ndarray, z: np.ndarray) -> Callable:
    """log10 of the number above masses of the shape of the redshifts z, by straight lines in a table of it."""
    m_nodes = np.linspace(least, LARGEST, N_TABLE)
    some = z_nodes[:: max(1, z_nodes.size // N_REDSHIFTS)]
    some = np.append(some, z_nodes[-1:]) if some[-1] < z_nodes[-1] else some
    table = jax.jit(lambda m, z: jnp.maximum(mass_function.log10_cumulative(m, z), NONE))(m_nodes, some[:, None])
    row = np.clip(np.searchsorted(some, z, side="right") - 1, 0, max(some.size - 2, 0))
    next_row = np.minimum(row + 1, some.size - 1)
    share = (z - some[row]) / np.where(next_row > row, some[next_row] - some[row], 1.0)

    def above(m: jax.Array) -> jax.Array:
        x = (m - least) / (m_nodes[1] - m_nodes[0])
        column = jnp.clip(x.astype(int), 0, N_TABLE - 2)
        low, high = ((1 - share) * table[row, c] + share * table[next_row, c] for c in (column, column + 1))
        return low + (high - low) * (x - column)

    return above


def _redshifts(
    rng: np.random.Generator, mass_function: MassFunction, volume: Volume, cosmology: Cosmology, least: float, n: int
) -> np.ndarray:
    z, weight = volume.slices(cosmology)
    if z.size == 1:
        return np.full(n, z[0])
    number = _above(mass_function, least, z) * weight
    share = np.concatenate([[0.0], np.cumsum((number[1:] + number[:-1]) / 2 * np.diff(z))])
    return np.sort(np.interp(rng.uniform(size=n), share / share[-1], z))


def _solve(falling: Callable, wanted: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Where a falling function of one argument has given values, of the shape of all arrays."""

    @jax.jit
    def run(wanted: jax.Array, low: jax.Array, high: jax.Array) -> jax.Array:
        def halve(_: int, ends: tuple) -> tuple:
            middle = (ends[0] + ends[1]) / 2
            above = falling(middle) > wanted
            return jnp.where(above, middle, ends[0]), jnp.where(above, ends[1], middle)

        low, high = jax.lax.fori_loop(0, HALVINGS, halve, (low, high))
        return (low + high) / 2

    return np.asarray(run(*map(jnp.asarray, (wanted, low, high))), float)


def _offsets(rng: np.random.Generator, found: Members, cosmology: Cosmology) -> np.ndarray:
    """Places of satellites from their centrals [Mpc, comoving], shape (halo, 3), zero for centrals."""
    x = np.linspace(0.0, 1.0, N_TABLE)
    inside = np.log1p(CONCENTRATION * x) - CONCENTRATION * x / (1 + CONCENTRATION * x)
    share = np.interp(rng.uniform(size=found.host.size), inside / inside[-1], x)
    edge = jax.jit(lambda m, z: virial_radius(10**m, z, cosmology) * (1 + z) / 1e3)(found.log10_mhost, found.redshift)
    way = rng.normal(size=(found.host.size, 3))
    way /= np.linalg.norm(way, axis=1)[:, None]
    return (found.satellite * share * np.asarray(edge, float))[:, None] * way


def _with_satellites(rng: np.random.Generator, central: Members, least: float) -> Members:
    p = published("subhaloes")
    count = jax.jit(lambda mu, mass: log10_subhaloes(p, mass, mu))
    ends = [10 ** np.asarray(count(mu, central.log10_m), float) for mu in (least - central.log10_m, 0.0)]
    n = rng.poisson(np.maximum(ends[0] - ends[1], 0.0))
    host = np.repeat(central.host, n)
    mass = central.log10_m[host]
    wanted = np.log10(ends[1][host] + rng.uniform(size=host.size) * (ends[0] - ends[1])[host])
    mu = _solve(lambda x: log10_subhaloes(p, mass, x), wanted, least - mass, np.zeros(host.size))
    joined = [
        np.concatenate(pair)
        for pair in (
            (central.log10_m, mass + mu),
            (central.redshift, central.redshift[host]),
            (central.satellite, np.ones(host.size)),
            (central.log10_mhost, mass),
            (central.host, host),
        )
    ]
    order = np.argsort(joined[-1], kind="stable")  # centrals are in the order of their redshifts, and keep it
    return Members(**dict(zip(vars(central), (values[order] for values in joined), strict=True)))
