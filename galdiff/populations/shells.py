"""Band fluxes of a library in shells of redshift: a galaxy takes what lies between the two ends of its shell."""

import dataclasses

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from galdiff.core.record import quantity, record
from galdiff.errors import InputError
from galdiff.photometry.passband import Passband
from galdiff.photometry.tables import band_tables, sub_bands
from galdiff.records import SSPGrid


@record
class Shell:
    """Band fluxes of the nodes of a library at two redshifts, and in the rest frame."""

    near: Float[Array, "node sub"] = quantity("Lsun Angstrom/Msun", "at the lower redshift")
    far: Float[Array, "node sub"] = quantity("Lsun Angstrom/Msun", "at the higher one")
    rest: Float[Array, "node sub"] = quantity("Lsun Angstrom/Msun", "at redshift 0")
    centre: Float[Array, "sub"] = quantity("Angstrom", "observed wavelength of each sub-band")
    ends: Float[Array, "2"] = quantity("", "ln(1 + z) of the two redshifts; equal for one redshift")


@dataclasses.dataclass(frozen=True)
class ShellTables:
    """Makes shells of a library and some passbands, each redshift once.

    Attributes:
      library: the stars; passbands: of all magnitudes; n_sub: sub-bands for dust; step: of ln(1 + z) between tables.
    """

    library: SSPGrid
    passbands: tuple[Passband, ...]
    n_sub: int
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
        first, last = (float(np.asarray(self.library.ssp_wave)[end]) for end in (0, -1))
        shells = [self.number(z) * self.step for z in (redshift.min(), redshift.max())]
        ends = 0.0, float(np.expm1(shells[0])), float(np.expm1(shells[1] + self.step))
        for band in self.passbands:
            for z in ends:
                if band.ends[0] < first * (1 + z) or band.ends[1] > last * (1 + z):
                    raise InputError(
                        f"passband {band.name} runs from {band.ends[0]:.0f} to {band.ends[1]:.0f} Angstrom, but the"
                        f" library '{self.library.name}' at redshift {z:.3g} from {first * (1 + z):.0f} to"
                        f" {last * (1 + z):.0f}; choose other redshifts, another survey or library"
                    )

    def flux(self, redshift: float) -> Float[Array, "node sub"]:
        """Band fluxes at one redshift [1]; two of them are kept, and those of the rest frame."""
        if redshift not in self._kept:
            for old in [z for z in self._kept if z != 0.0][:-1]:
                del self._kept[old]
            flux = band_tables(self.library, self.passbands, redshift, self.n_sub).flux
            self._kept[redshift] = flux.reshape(-1, flux.shape[-1])
        return self._kept[redshift]

    def shell(self, number: int, only: float | None = None) -> Shell:
        """The shell of a number, or of one redshift alone."""
        ends = [number * self.step, (number + 1) * self.step] if only is None else [np.log1p(only)] * 2
        z = [float(np.expm1(end)) for end in ends] if only is None else [only, only]
        return Shell(
            near=self.flux(z[0]), far=self.flux(z[1]), rest=self.flux(0.0), centre=self.centres, ends=jnp.asarray(ends)
        )

    @property
    def centres(self) -> Float[Array, "sub"]:
        """Observed wavelengths of the sub-bands [Angstrom]."""
        return jnp.asarray(np.concatenate([sub_bands(band, self.n_sub)[1] for band in self.passbands]), float)


def chunks_of(numbers: np.ndarray, size: int) -> list[tuple[int, np.ndarray]]:
    """Rows of each chunk, at most `size` of one shell, from the numbers of the shells (row,): pairs (shell, rows)."""
    found = []
    for number in np.unique(numbers):
        rows = np.flatnonzero(numbers == number)
        found += [(int(number), rows[start : start + size]) for start in range(0, rows.size, size)]
    return found
