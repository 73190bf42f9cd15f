"""Band fluxes of every node of a library, computed once, so that a galaxy's photometry is a small matrix product.

Dust changes the colour inside a band, so each band is parted into sub-bands of equal response; a curve is read at their
centres. With 8 sub-bands the magnitudes of dusty galaxies (A_V up to 2.5 mag) are right to some mmag, with 16 to 1.
"""

import itertools
from collections.abc import Sequence
from typing import Protocol

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from galdiff.core.record import quantity, record, static
from galdiff.errors import InputError
from galdiff.light_records import Epoch, PopulationWeights
from galdiff.photometry.magnitudes import ZERO_POINT, Magnitudes
from galdiff.photometry.passband import Passband, band_weights
from galdiff.records import SSPGrid

N_SUB = 16


class Screens(Protocol):
    """Dust in front of all stars and around the young, as `galdiff.dust.galaxy.GalaxyDust`."""

    def transmissions(self, wave: Float[Array, "wave"]) -> tuple[Float[Array, "wave"], Float[Array, "wave"]]:
        """Shares of the light [1] that pass the screen and the birth clouds at rest wavelengths [Angstrom]."""
        ...


@record
class BandTables:
    """Fluxes of all nodes in all sub-bands of some passbands, at one redshift."""

    flux: Float[Array, "met age sub"] = quantity("Lsun Angstrom/Msun", "mean of f wave^2 over the band, by sub-band")
    centre: Float[Array, "sub"] = quantity("Angstrom", "rest wavelength of each sub-band")
    redshift: Float[Array, ""] = quantity("", "redshift")
    names: tuple[str, ...] = static("passbands", default=())


def sub_bands(band: Passband, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Edges [Angstrom], shape (n + 1,), of sub-bands of equal response, and their mean wavelengths, shape (n,)."""
    fine = np.linspace(*band.ends, 4001)
    response = np.interp(fine, band.wave, band.transmission) / fine
    total = np.concatenate([[0.0], np.cumsum((response[1:] + response[:-1]) / 2 * np.diff(fine))])
    edges = np.interp(np.linspace(0, total[-1], n + 1), total, fine)
    edges[0], edges[-1] = band.ends
    return edges, np.interp((np.arange(n) + 0.5) / n * total[-1], total, fine)


def band_tables(
    library: SSPGrid, passbands: Sequence[Passband], redshift: float = 0.0, n_sub: int = N_SUB
) -> BandTables:
    """Tables for a library at one redshift [1].

    Raises:
      InputError: a passband that the library does not cover at this redshift, or n_sub below 1.
    """
    if n_sub < 1 or redshift < 0:
        raise InputError(f"n_sub is {n_sub}, redshift {redshift}; give 1 or more sub-bands, and 0 or more")
    wave = np.asarray(library.ssp_wave, float) * (1 + redshift)
    columns, centres = [], []
    for band in passbands:
        if band.ends[0] < wave[0] or band.ends[1] > wave[-1]:
            raise InputError(
                f"passband {band.name} runs from {band.ends[0]:.0f} to {band.ends[1]:.0f} Angstrom, but the library"
                f" '{library.name}' at redshift {redshift:g} from {wave[0]:.0f} to {wave[-1]:.0f}; choose another one"
            )
        edges, centre = sub_bands(band, n_sub)
        windows = itertools.pairwise(edges)
        columns += [np.asarray(band_weights(band, jnp.asarray(wave), window), float) for window in windows]
        centres.append(centre)
    flux = np.asarray(library.ssp_flux, float) @ np.stack(columns, -1) / (1 + redshift)
    return BandTables(
        flux=jnp.asarray(flux, float),
        centre=jnp.asarray(np.concatenate(centres) / (1 + redshift), float),
        redshift=jnp.asarray(redshift, float),
        names=tuple(band.name for band in passbands),
    )


def tabled_magnitudes(
    populations: PopulationWeights,
    inside: Float[Array, "age"],
    tables: BandTables,
    epoch: Epoch,
    dust: Screens | None = None,
) -> Magnitudes:
    """Apparent AB magnitudes from tables.

    Args:
      populations: mass formed at each node.
      inside: share of the stars of each age in birth clouds [1].
      tables: of the library that the nodes are of, at the redshift of the epoch.
      epoch: its distance counts.
      dust: none if None.
    """
    flux = tables.flux.reshape(-1, tables.flux.shape[-1]).astype(populations.mass.dtype)
    both = jnp.stack([populations.mass * inside, populations.mass * (1 - inside)]).reshape(2, -1) @ flux
    if dust is None:
        sub = both.sum(0)
    else:
        screen, clouds = dust.transmissions(tables.centre)
        sub = screen * (clouds * both[0] + both[1])
    mean = sub.reshape(len(tables.names), -1).sum(-1)
    mag = -2.5 * jnp.log10(mean) + 5 * jnp.log10(epoch.luminosity_distance) + ZERO_POINT
    return Magnitudes(mag=mag, names=tables.names)
