"""A magnitude or colour of the stars of a baryon history, as an output that a table of one's own is compared with."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from galdiff import units
from galdiff.core.buildable import buildable
from galdiff.core.interpolation import expand_nodes
from galdiff.cosmology import Cosmology, luminosity_distance
from galdiff.errors import InputError
from galdiff.galaxy.births import births
from galdiff.photometry.magnitudes import FRAMES, ZERO_POINT
from galdiff.photometry.read import load_passband
from galdiff.photometry.tables import band_tables, of_bands
from galdiff.records import BaryonHistory, SSPGrid
from galdiff.sps.interpolate import NodeTable, spectrum

FIRST, LATEST = 8.0, 5.0  # redshifts: where a history begins, and the highest at which galaxies are seen
N_TIMES = 40  # of a history, even in ln(1 + z)
NO_DUST = 1.0  # mag, of an error behind dust that there is not
N_STARS = 256  # nodes in the age of the stars


@buildable(reads=True)
class Magnitude:
    """AB magnitude or colour of all stars ever formed, with the metals of the gas at birth, without dust.

    The star formation rate and metallicity of the history are read as particles of it are (`galdiff.galaxy.births`).

    Args of the constructor:
      band: passband, of speclite or a file (`galdiff.photometry.read.load_passband`).
      minus: second passband, whose colour band - minus is then the output; None for the magnitude.
      frame: rest for absolute magnitudes and colours of the rest frame, observed for apparent ones.
      redshift: of all galaxies.
      library: SSP library; cosmology: of the distance.
    """

    unit = "mag"

    def __init__(
        self,
        *,
        band: str,
        minus: str | None,
        frame: str,
        redshift: float,
        library: SSPGrid,
        cosmology: Cosmology,
    ) -> None:
        if frame not in FRAMES:
            raise InputError(f"frame of the magnitude is '{frame}'; choose observed or rest")
        if isinstance(redshift, str) or not 0 <= redshift <= LATEST or (frame == "observed" and redshift == 0):
            lowest = "above 0" if frame == "observed" else "from 0"
            raise InputError(f"redshift of the magnitude is {redshift}; give one number {lowest} to {LATEST:g} for all")
        bands = [load_passband(name) for name in (band, *([] if minus is None else [minus]))]
        rest = frame == "rest"
        tables = band_tables(library, bands, 0.0 if rest else float(redshift), NO_DUST)
        flux = tables.flux @ of_bands(tables.parts)
        ages, mets = (jnp.asarray(x, float) for x in (library.ssp_lg_age_gyr, library.ssp_lgmet))
        self.flux = NodeTable(nodes=expand_nodes(flux, ages, mets, "linear"), lg_age=ages, lgmet=mets, method="linear")
        distance = units.TEN_PC_MPC if rest else float(luminosity_distance(cosmology, redshift))
        self.zero_point = 5 * np.log10(distance) + ZERO_POINT
        self.redshift = float(redshift)

    def redshifts(self, rows: Float[np.ndarray, "z"]) -> tuple[float, ...]:
        """Redshifts [1] that a history needs, falling to that of the galaxies, for those of a table, of shape (z,) [1].

        Raises:
          InputError: rows at other redshifts.
        """
        if len(rows) != 1 or abs(rows[0] - self.redshift) > 1e-6:
            found = ", ".join(f"{z:g}" for z in rows[:5])
            raise InputError(
                f"case.redshift gives {found}, but a magnitude is that of galaxies at redshift {self.redshift:g}; train"
                " on the rows of one redshift, and set both to it"
            )
        return (*(np.geomspace(1 + FIRST, 1 + self.redshift, N_TIMES)[:-1] - 1).tolist(), float(rows[0]))

    def __call__(self, history: BaryonHistory) -> Float[Array, "galaxy t"]:
        """Magnitudes [mag] at the end of histories with axes (galaxy, t); the same at all times."""
        nodes = (jnp.arange(N_STARS) + 0.5) / N_STARS

        def one(history: BaryonHistory) -> Float[Array, "band"]:
            born = births(history, nodes.astype(history.time.dtype))
            each = spectrum(self.flux, jnp.log10(born.age), jnp.log10(born.metallicity)).astype(born.mass.dtype)
            return -2.5 * jnp.log10(born.mass @ each)

        mag = jax.vmap(one)(history)
        value = mag[:, 0] - mag[:, 1] if mag.shape[1] > 1 else mag[:, 0] + self.zero_point
        return jnp.broadcast_to(value[:, None], history.sfr.shape)
