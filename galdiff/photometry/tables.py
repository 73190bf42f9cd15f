"""Band fluxes of every node of a library, computed once, so that a galaxy's photometry is a small matrix product.

Each band is parted by wavelengths at which dust is read (`parts`), until the light of the library behind dust of up to
A_V = 3 mag comes out right to the tolerance.
"""

from collections.abc import Sequence
from typing import Protocol

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from galdiff.core.record import quantity, record, static
from galdiff.errors import InputError
from galdiff.light_records import Epoch, PopulationWeights
from galdiff.photometry.magnitudes import ZERO_POINT, Magnitudes
from galdiff.photometry.parts import band_parts, part_columns
from galdiff.photometry.passband import Passband, line_weights
from galdiff.records import SSPGrid

TOLERANCE = 5e-4  # mag
N_SPECTRA = 40  # of a library that bands are parted for


class Screens(Protocol):
    """Dust in front of all stars and around the young, as `galdiff.dust.galaxy.GalaxyDust`."""

    def transmissions(self, wave: Float[Array, "wave"]) -> tuple[Float[Array, "wave"], Float[Array, "wave"]]:
        """Shares of the light [1] that pass the screen and the birth clouds at rest wavelengths [Angstrom]."""
        ...


class PartedBands(Protocol):
    """Tables of passbands in parts."""

    @property
    def centre(self) -> Float[Array, "part"]:
        """Rest wavelength at which dust is read for each part [Angstrom]."""
        ...

    @property
    def names(self) -> tuple[str, ...]:
        """Of the passbands."""
        ...

    @property
    def parts(self) -> tuple[int, ...]:
        """Number of parts of each passband."""
        ...


@record
class BandTables:
    """Fluxes of all nodes in the parts of some passbands, at one redshift."""

    flux: Float[Array, "met age part"] = quantity("Lsun Angstrom/Msun", "mean of f wave^2 over the band, by part")
    centre: Float[Array, "part"] = quantity("Angstrom", "rest wavelength at which dust is read for each part")
    redshift: Float[Array, ""] = quantity("", "redshift")
    names: tuple[str, ...] = static("passbands", default=())
    parts: tuple[int, ...] = static("number of parts of each passband", default=())


def of_bands(parts: Sequence[int]) -> Float[np.ndarray, "part band"]:
    """1 where a part is one of a band, else 0 [1], of numbers of parts."""
    return np.repeat(np.eye(len(parts)), parts, axis=0)


def refuse_uncovered(library: SSPGrid, passbands: Sequence[Passband], redshift: float) -> None:
    """Raise InputError for a passband that a library does not cover at a redshift [1]."""
    lo, hi = (float(np.asarray(library.ssp_wave)[end]) * (1 + redshift) for end in (0, -1))
    for band in passbands:
        if band.ends[0] < lo or band.ends[1] > hi:
            raise InputError(
                f"passband {band.name} runs from {band.ends[0]:.0f} to {band.ends[1]:.0f} Angstrom, but the library"
                f" '{library.name}' at redshift {redshift:g} from {lo:.0f} to {hi:.0f}; choose another one"
            )


def some_spectra(library: SSPGrid) -> Float[np.ndarray, "row wave"]:
    """Spectra of a library at some of its nodes (row, wave), each with a mean of 1 [1], for `band_parts`."""
    flux = np.asarray(library.ssp_flux, float).reshape(-1, len(library.ssp_wave))
    flux = flux[:: max(len(flux) // N_SPECTRA, 1)]
    return np.asarray(flux / flux.mean(1, keepdims=True))


def band_tables(
    library: SSPGrid, passbands: Sequence[Passband], redshift: float = 0.0, tolerance: float = TOLERANCE
) -> BandTables:
    """Tables for a library at one redshift [1]; tolerance: largest error behind dust [mag], see `band_parts`.

    Raises:
      InputError: a passband that the library does not cover at this redshift, or a tolerance that is not positive.
    """
    if tolerance <= 0 or redshift < 0:
        raise InputError(f"tolerance is {tolerance} mag, redshift {redshift}; give one above 0, and 0 or more")
    refuse_uncovered(library, passbands, redshift)
    wave, flux = np.asarray(library.ssp_wave, float), np.asarray(library.ssp_flux, float)
    spectra = some_spectra(library)
    parts = [band_parts(band, wave, spectra, (redshift,), tolerance) for band in passbands]
    columns = [part_columns(p, b.per_wave, wave, redshift, flux) for p, b in zip(parts, passbands, strict=True)]
    return BandTables(
        flux=jnp.asarray(np.concatenate(columns, -1), float),
        centre=jnp.asarray(np.concatenate([p.centre for p in parts]) / (1 + redshift), float),
        redshift=jnp.asarray(redshift, float),
        names=tuple(band.name for band in passbands),
        parts=tuple(p.centre.size for p in parts),
    )


def line_means(
    passbands: Sequence[Passband], wave: Float[Array, "line"], lum: Float[Array, "line"], redshift: Float[ArrayLike, ""]
) -> Float[Array, "band"]:
    """What narrow lines add to the mean of f wave^2 of each band [Lsun Angstrom], exactly at any redshift.

    Args:
      passbands: of the tables; wave: of the lines, at rest [Angstrom].
      lum: their luminosities behind dust [Lsun]; redshift: of the source [1].
    """
    return jnp.stack([lum @ line_weights(band, wave * (1 + redshift)) for band in passbands])


def tabled_magnitudes(
    populations: PopulationWeights,
    inside: Float[Array, "age"],
    tables: BandTables,
    epoch: Epoch,
    dust: Screens | None = None,
    lines: Float[ArrayLike, "band"] = 0.0,
) -> Magnitudes:
    """Apparent AB magnitudes from tables.

    Args:
      populations: mass formed at each node.
      inside: share of the stars of each age in birth clouds [1].
      tables: of the library that the nodes are of, at the redshift of the epoch.
      epoch: its distance counts.
      dust: none if None.
      lines: what emission lines add to the mean of f wave^2 of each band [Lsun Angstrom], see `line_means`.
    """
    flux = tables.flux.reshape(-1, tables.flux.shape[-1]).astype(populations.mass.dtype)
    young = populations.mass * inside.astype(populations.mass.dtype)
    return behind_dust(
        populations.mass.reshape(-1) @ flux, young.reshape(-1) @ flux, tables, epoch, dust=dust, lines=lines
    )


def behind_dust(
    part: Float[Array, "part"],
    young: Float[Array, "part"],
    tables: PartedBands,
    epoch: Epoch,
    dust: Screens | None,
    lines: Float[ArrayLike, "band"],
) -> Magnitudes:
    """Apparent AB magnitudes from the light of the parts of bands.

    Args:
      part: means of f wave^2 of all stars, by part [Lsun Angstrom]; young: of those inside birth clouds.
      tables: what the parts are of; epoch, dust, lines: as for `tabled_magnitudes`.
    """
    if dust is not None:
        screen, clouds = dust.transmissions(tables.centre)
        part = screen * (part - (1 - clouds) * young)
    mean = part @ of_bands(tables.parts).astype(part.dtype) + lines
    mag = -2.5 * jnp.log10(mean) + 5 * jnp.log10(epoch.luminosity_distance) + ZERO_POINT
    return Magnitudes(mag=mag, names=tables.names)
