"""Magnitudes of a galaxy from tables of band fluxes, as a stage: microseconds instead of milliseconds."""

from collections.abc import Callable, Sequence
from typing import Protocol

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from galdiff.core.stage import Stage
from galdiff.errors import InputError
from galdiff.light_records import Epoch, PopulationWeights
from galdiff.photometry.magnitudes import Magnitudes
from galdiff.photometry.parts import band_parts, part_columns
from galdiff.photometry.passband import Passband
from galdiff.photometry.tables import (
    TOLERANCE,
    BandTables,
    Screens,
    refuse_uncovered,
    some_spectra,
    tabled_magnitudes,
)
from galdiff.records import SSPGrid


class Clouds(Protocol):
    """Birth clouds, as `galdiff.sps.galaxy_light.GalaxyLight`."""

    def inside(self, lg_age: Float[Array, "age"]) -> Float[Array, "age"]:
        """Share of the stars [1] that are in birth clouds at log10 ages [dex(Gyr)]."""
        ...


class TabledPhotometry(Stage):
    """Apparent AB magnitudes of stars behind dust.

    Args of the constructor:
      dust: in front of all stars and around the young; None for none.
      clouds: which stars are young.
    """

    def __init__(self, *, dust: Screens | None, clouds: Clouds) -> None:
        self.dust = dust
        self.clouds = clouds

    def __call__(self, populations: PopulationWeights, tables: BandTables, epoch: Epoch) -> Magnitudes:
        """Magnitudes in the bands of the tables, which are of the redshift of the epoch."""
        inside = self.clouds.inside(populations.lg_age)
        return tabled_magnitudes(populations, inside, tables, epoch, self.dust)


def tables_over(
    library: SSPGrid,
    passbands: Sequence[Passband],
    redshifts: Sequence[float],
    between: Callable[[float], Float[ArrayLike, "*wave"]] = lambda redshift: 1.0,
    tolerance: float = TOLERANCE,
) -> list[BandTables]:
    """Tables as of `galdiff.photometry.tables.band_tables` at many redshifts, with the same parts: a row of shapes.

    Args:
      library: of the stars; passbands: to table.
      redshifts: of the galaxies [1]; parts are cut to be right at the lowest, middle and highest.
      between: share of the light [1] at the wavelengths of the library that arrives from a redshift; all by default.
      tolerance: largest error behind dust [mag].

    Raises:
      InputError: no passband, one that the library does not cover at one of the redshifts, or a redshift below 0.
    """
    if not passbands or not len(redshifts) or min(redshifts) < 0:
        raise InputError(
            f"there are {len(passbands)} passbands and {len(redshifts)} redshifts; give some, of 0 or more"
        )
    some = np.unique(np.quantile(redshifts, [0.0, 0.5, 1.0]))
    for redshift in some:
        refuse_uncovered(library, passbands, float(redshift))
    wave, flux, spectra = (
        np.asarray(library.ssp_wave, float),
        np.asarray(library.ssp_flux, float),
        some_spectra(library),
    )
    parts = [band_parts(band, wave, spectra, tuple(some), tolerance) for band in passbands]
    made: dict[float, BandTables] = {}
    for redshift in np.unique(redshifts):
        seen = flux * np.asarray(between(float(redshift)))
        columns = [part_columns(p, b.per_wave, wave, redshift, seen) for p, b in zip(parts, passbands, strict=True)]
        made[float(redshift)] = BandTables(
            flux=jnp.asarray(np.concatenate(columns, -1), float),
            centre=jnp.asarray(np.concatenate([p.centre for p in parts]) / (1 + redshift), float),
            redshift=jnp.asarray(redshift, float),
            names=tuple(band.name for band in passbands),
            parts=tuple(p.centre.size for p in parts),
        )
    return [made[float(redshift)] for redshift in redshifts]
