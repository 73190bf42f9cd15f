"""Band fluxes of a library in shells of redshift: a galaxy takes what lies between the two ends of its shell."""

import dataclasses
import functools

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from galdiff.core.record import quantity, record
from galdiff.photometry.parts import BandParts, band_parts, part_columns
from galdiff.photometry.passband import Passband
from galdiff.photometry.tables import refuse_uncovered, some_spectra
from galdiff.records import SSPGrid

PARTED = 0.04  # of ln(1 + z) between redshifts at which bands are parted: breaks of spectra cross them


@record
class Shell:
    """Band fluxes of the nodes of a library at two redshifts, and in the rest frame."""

    near: Float[Array, "node part"] = quantity("Lsun Angstrom/Msun", "at the lower redshift")
    far: Float[Array, "node part"] = quantity("Lsun Angstrom/Msun", "at the higher one")
    rest: Float[Array, "node part"] = quantity("Lsun Angstrom/Msun", "at redshift 0")
    centre: Float[Array, "part"] = quantity("Angstrom", "observed wavelength at which dust is read for each part")
    ends: Float[Array, "2"] = quantity("", "ln(1 + z) of the two redshifts; equal for one redshift")


@dataclasses.dataclass(frozen=True)
class ShellTables:
    """Makes shells of a library and some passbands, each redshift once.

    Attributes:
      library: the stars; passbands: of all magnitudes; z_max: largest redshift; tolerance: largest error
        behind dust [mag]; step: of ln(1 + z) between tables.
    """

    library: SSPGrid
    passbands: tuple[Passband, ...]
    z_max: float
    tolerance: float
    step: float
    _kept: dict = dataclasses.field(default_factory=dict, repr=False)

    def number(self, redshift: np.ndarray) -> np.ndarray:
        """Number of the shell of each redshift [1], of the same shape."""
        return np.floor(np.log1p(redshift) / self.step).astype(int)

    def check(self, redshift: np.ndarray) -> None:
        """Refuse passbands that the library does not cover at all redshifts (galaxy,) [1], and in the rest frame.

        Raises:
          InputError: naming the passband and what is covered.
        """
        shells = [self.number(z) * self.step for z in (redshift.min(), redshift.max())]
        for z in (0.0, float(np.expm1(shells[0])), float(np.expm1(shells[1] + self.step))):
            refuse_uncovered(self.library, self.passbands, z)

    @functools.cached_property
    def parts(self) -> list[BandParts]:
        """Parts of each passband that are right behind dust at all redshifts."""
        number = int(np.ceil(np.log1p(self.z_max) / PARTED)) + 1
        redshifts = np.expm1(np.linspace(0.0, np.log1p(self.z_max), number))
        wave, spectra = np.asarray(self.library.ssp_wave, float), some_spectra(self.library)
        return [band_parts(band, wave, spectra, tuple(redshifts), self.tolerance) for band in self.passbands]

    @property
    def n_parts(self) -> tuple[int, ...]:
        """Number of parts of each passband."""
        return tuple(part.centre.size for part in self.parts)

    def flux(self, redshift: float) -> Float[Array, "node part"]:
        """Band fluxes at one redshift [1]; two of them are kept, and those of the rest frame."""
        if redshift not in self._kept:
            for old in [z for z in self._kept if z != 0.0][:-1]:
                del self._kept[old]
            refuse_uncovered(self.library, self.passbands, redshift)
            wave, flux = (np.asarray(x, float) for x in (self.library.ssp_wave, self.library.ssp_flux))
            both = zip(self.parts, self.passbands, strict=True)
            columns = [part_columns(part, band.per_wave, wave, redshift, flux) for part, band in both]
            self._kept[redshift] = jnp.asarray(np.concatenate(columns, -1).reshape(-1, sum(self.n_parts)), float)
        return self._kept[redshift]

    def shell(self, number: int, only: float | None = None) -> Shell:
        """The shell of a number, or of one redshift alone."""
        ends = [number * self.step, (number + 1) * self.step] if only is None else [np.log1p(only)] * 2
        z = [float(np.expm1(end)) for end in ends] if only is None else [only, only]
        return Shell(
            near=self.flux(z[0]), far=self.flux(z[1]), rest=self.flux(0.0), centre=self.centres, ends=jnp.asarray(ends)
        )

    @property
    def centres(self) -> Float[Array, "part"]:
        """Observed wavelengths of the parts [Angstrom]."""
        return jnp.asarray(np.concatenate([part.centre for part in self.parts]), float)


def chunks_of(numbers: np.ndarray, size: int) -> list[tuple[int, np.ndarray]]:
    """Shell and rows [from 0] of each chunk, at most `size` of one shell; numbers: of the shell of each row, (row,)."""
    found = []
    for number in np.unique(numbers):
        rows = np.flatnonzero(numbers == number)
        found += [(int(number), rows[start : start + size]) for start in range(0, rows.size, size)]
    return found
