"""Light of stars by age in shells of redshift: a galaxy takes what lies between the two ends of its shell."""

import dataclasses
import functools

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from galdiff.core.record import quantity, record
from galdiff.cosmology import Cosmology, age
from galdiff.imf.shape import Imf
from galdiff.photometry.parts import BandParts, band_parts, part_columns
from galdiff.photometry.passband import Passband
from galdiff.photometry.tables import refuse_uncovered, some_spectra
from galdiff.populations.formed import FormedStars
from galdiff.populations.point_tables import PointTables, point_tables, rows_of
from galdiff.records import SSPGrid
from galdiff.sfh.fractions import AgeFractions

PARTED = 0.04  # of ln(1 + z) between redshifts at which bands are parted: breaks of spectra cross them


@record
class ShellLight:
    """Light of the stars of a galaxy before dust."""

    left: Float[Array, ""] = quantity("Msun", "mass of stars and remnants")
    recent: Float[Array, ""] = quantity("Msun/yr", "star formation rate, mean over 100 Myr")
    seen: Float[Array, "2 part"] = quantity("Lsun Angstrom", "of young and old stars in the parts of bands")
    rest: Float[Array, "2 part"] = quantity("Lsun Angstrom", "the same in the rest frame")
    lines: Float[Array, "line"] = quantity("Lsun", "luminosity of the lines of gas")


@record
class Shell:
    """Light of stars by age and metallicity at two redshifts, observed and in the rest frame."""

    near: PointTables = quantity("", "at the lower redshift: parts of bands as observed, then in the rest frame")
    far: PointTables = quantity("", "at the higher one")
    lines: Float[Array, "2 row line"] = quantity("Lsun/Msun", "of lines at both, by metallicity and young age")
    centre: Float[Array, "part"] = quantity("Angstrom", "observed wavelength at which dust is read for each part")
    ends: Float[Array, "2"] = quantity("", "ln(1 + z) of the two redshifts; equal for one redshift")

    def at(self, stars: FormedStars, redshift: Float[Array, ""]) -> ShellLight:
        """Light of the stars of a galaxy at a redshift [1] between the two."""
        width = self.ends[1] - self.ends[0]
        there = (jnp.log1p(redshift) - self.ends[0]) / jnp.where(width > 0, width, 1.0)
        mass, formed = stars.mass.reshape(-1), stars.history.mass
        young = stars.mass[:, : self.lines.shape[1] // stars.mass.shape[0]].reshape(-1)

        def between(near: Array, far: Array) -> Array:
            return (1 - there) * near + there * far

        flux = between(mass @ self.near.flux, mass @ self.far.flux).reshape(2, 2, -1)
        return ShellLight(
            left=between(formed @ self.near.left, formed @ self.far.left),
            recent=between(formed @ self.near.recent, formed @ self.far.recent),
            seen=flux[:, 0],
            rest=flux[:, 1],
            lines=between(young @ self.lines[0], young @ self.lines[1]),
        )


@dataclasses.dataclass(frozen=True)
class ShellTables:
    """Makes shells of a library and some passbands, each redshift once.

    Attributes:
      library: the stars; passbands: of all magnitudes; z_max: largest redshift; tolerance: largest error
        behind dust [mag]; step: of ln(1 + z) between tables.
      ages: at which histories are read; imf: of the stars; cosmology: the universe.
      lines: luminosity of lines per mass formed [Lsun/Msun], shape (node, line).
    """

    library: SSPGrid
    passbands: tuple[Passband, ...]
    z_max: float
    tolerance: float
    step: float
    ages: AgeFractions
    imf: Imf
    cosmology: Cosmology
    lines: Float[np.ndarray, "node line"]
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

    def bands(self, redshift: float) -> Float[np.ndarray, "met age part"]:
        """Band fluxes of the nodes at one redshift [Lsun Angstrom/Msun]."""
        refuse_uncovered(self.library, self.passbands, redshift)
        wave, flux = (np.asarray(x, float) for x in (self.library.ssp_wave, self.library.ssp_flux))
        both = zip(self.parts, self.passbands, strict=True)
        return np.concatenate([part_columns(p, band.per_wave, wave, redshift, flux) for p, band in both], -1)

    @functools.cached_property
    def rest(self) -> Float[np.ndarray, "met age part"]:
        """The same in the rest frame [Lsun Angstrom/Msun]."""
        return self.bands(0.0)

    @functools.cached_property
    def n_young(self) -> int:
        """Number of points in age [1] that hold stars with lines, at the highest redshift."""
        number = self.number(np.asarray(self.z_max))
        _, shares = self._shares(float(np.expm1((number + 1) * self.step)))
        lit = self.lines.reshape(*self.rest.shape[:2], -1).any((0, 2))
        return 1 + int(np.flatnonzero(np.append(True, (shares @ lit)[1:] > 0))[-1])

    def _shares(self, redshift: float) -> tuple[float, np.ndarray]:
        time = float(age(self.cosmology, redshift))
        return time, self.ages.on_library(np.asarray(self.library.ssp_lg_age_gyr), time)

    def tables(self, redshift: float) -> tuple[PointTables, Float[Array, "row line"]]:
        """Light by age and metallicity at one redshift [1], and that of lines [Lsun/Msun]; of two they are kept."""
        if redshift not in self._kept:
            for old in list(self._kept)[:-1]:
                del self._kept[old]
            lg_age = np.asarray(self.library.ssp_lg_age_gyr)
            time, shares = self._shares(redshift)
            both = np.concatenate([self.bands(redshift), self.rest], -1)
            lines = rows_of(shares[: self.n_young], self.lines.reshape(*self.rest.shape[:2], -1))
            made = point_tables(self.ages, time, lg_age, both, self.imf)
            self._kept[redshift] = made, jnp.asarray(lines, float)
        return self._kept[redshift]

    def shell(self, number: int, only: float | None = None) -> Shell:
        """The shell of a number, or of one redshift alone."""
        ends = [number * self.step, (number + 1) * self.step] if only is None else [np.log1p(only)] * 2
        z = [float(np.expm1(end)) for end in ends] if only is None else [only, only]
        (near, near_lines), (far, far_lines) = (self.tables(redshift) for redshift in z)
        lines = jnp.stack([near_lines, far_lines])
        return Shell(near=near, far=far, lines=lines, centre=self.centres, ends=jnp.asarray(ends))

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
