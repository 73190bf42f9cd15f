"""Simple stellar populations: representative stars times their spectra."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from galdiff.core.record import quantity, record
from galdiff.imf import Imf
from galdiff.sps.analytic import hot_stars
from galdiff.sps.analytic.spectra import (
    LOG_G_NODES,
    LOG_T_NODES,
    AtmosphereTables,
    SpectrumCoefficients,
    star_spectra,
)
from galdiff.sps.analytic.tables import TrackTables
from galdiff.sps.analytic.tracks import StarPoints, TrackCoefficients, star_points
from galdiff.units import Z_SUN_TRACKS


@record
class Coefficients:
    """All calibrated scalars of the analytic library."""

    tracks: TrackCoefficients = quantity("", "evolution of stars")
    spectra: SpectrumCoefficients = quantity("", "spectra of stars")
    hot: hot_stars.HotStarCoefficients = quantity("", "stars above 8 Msun, and the light below the Lyman edge")


def _shares(x: Array, nodes: np.ndarray) -> Array:
    """Linear-interpolation weights of points on nodes, last axis; held at the ends."""
    index = jnp.interp(x, jnp.asarray(nodes, x.dtype), jnp.arange(nodes.size, dtype=x.dtype))
    return jnp.maximum(1 - jnp.abs(index[..., None] - jnp.arange(nodes.size, dtype=x.dtype)), 0.0)


def node_luminosity(points: StarPoints, gain: Float[Array, "met age point"]) -> Float[Array, "met age node"]:
    """Bolometric luminosity [Lsun/Msun formed] by kind of star: LOG_T_NODES x LOG_G_NODES, flattened; that of each star
    times a gain.
    """
    light = points.number * 10**points.log_l * gain
    hot = _shares(points.log_t, LOG_T_NODES) * light[..., None]
    table = jnp.einsum("zapt,zapg->zatg", hot, _shares(points.log_g, LOG_G_NODES))
    return table.reshape(*table.shape[:2], -1)


def hot_light(
    c: hot_stars.HotStarCoefficients, points: StarPoints, zeta: Float[Array, "met"]
) -> tuple[Float[Array, "met age hot 3"], Float[Array, "met age point"]]:
    """Luminosity [Lsun/Msun formed] of the black bodies of HOT_NODES in each range below the Lyman edge.

    Args:
      c: calibrated scalars.
      points: the stars.
      zeta: log10(Z / 0.02).

    Returns:
      That luminosity, and the gain of the light above the edge of each star: what is kept back below comes out there.
    """
    node = _shares(points.log_t, hot_stars.HOT_NODES)
    factor = hot_stars.continuum_factors(c, points.log_t, points.log_g, zeta[:, None, None])
    share = node @ jnp.asarray(hot_stars.black_body_shares(hot_stars.HOT_NODES), node.dtype)
    gain = 1 + jnp.sum((1 - factor) * share[..., :3], -1) / share[..., 3]
    light = points.number * 10**points.log_l
    return jnp.einsum("zapt,zapi->zati", node, factor * light[..., None]), gain


def synthesise(
    c: Coefficients, metallicities: Float[Array, "met"], tables: tuple[TrackTables, AtmosphereTables], imf: Imf
) -> Float[Array, "met age wave"]:
    """Spectra [Lsun/Angstrom per Msun formed] of the populations that the tables are about.

    Args:
      c: calibrated scalars.
      metallicities: metal mass fractions, those of the tables.
      tables: from `track_tables` and `atmosphere_tables`.
      imf: mass function.
    """
    tracks, atmospheres = tables
    zeta = jnp.log10(metallicities / Z_SUN_TRACKS)
    points = star_points(c.tracks, c.hot, tracks, imf)
    hot, gain = hot_light(c.hot, points, zeta)
    short = jnp.einsum("zati,ts,is->zas", hot, atmospheres.black_body, atmospheres.in_range) + hot_stars.DARKEST

    def one(args: Any) -> Any:
        zeta, weights = args
        return weights @ star_spectra(c.spectra, c.hot, atmospheres, zeta)

    return jnp.concatenate([short, jax.lax.map(one, (zeta, node_luminosity(points, gain)))], -1)
