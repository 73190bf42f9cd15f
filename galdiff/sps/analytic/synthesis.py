"""Simple stellar populations: representative stars times their spectra."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from galdiff.core.record import quantity, record
from galdiff.imf import Imf
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


def _shares(x: Array, nodes: np.ndarray) -> Array:
    """Linear-interpolation weights of points on nodes, last axis; held at the ends."""
    index = jnp.interp(x, jnp.asarray(nodes, x.dtype), jnp.arange(nodes.size, dtype=x.dtype))
    return jnp.maximum(1 - jnp.abs(index[..., None] - jnp.arange(nodes.size, dtype=x.dtype)), 0.0)


def node_luminosity(points: StarPoints) -> Float[Array, "met age node"]:
    """Bolometric luminosity [Lsun/Msun formed] by kind of star: LOG_T_NODES x LOG_G_NODES, flattened."""
    light = points.number * 10**points.log_l
    hot = _shares(points.log_t, LOG_T_NODES) * light[..., None]
    table = jnp.einsum("zapt,zapg->zatg", hot, _shares(points.log_g, LOG_G_NODES))
    return table.reshape(*table.shape[:2], -1)


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
    light = node_luminosity(star_points(c.tracks, tracks, imf))

    def one(args: Any) -> Any:
        zeta, weights = args
        return weights @ star_spectra(c.spectra, atmospheres, zeta)

    return jax.lax.map(one, (jnp.log10(metallicities / Z_SUN_TRACKS), light))
