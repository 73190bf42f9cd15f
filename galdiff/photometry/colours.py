"""Band fluxes of a library in a few colours, for galaxies whose metals are alike at all ages.

The parts of bands go with each other, so that few numbers give all of them; and where the mass at the nodes is a
product of one share for each age and one for each metallicity, ages are summed first, in one small product of matrices.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from galdiff.core.record import quantity, record, static
from galdiff.errors import InputError
from galdiff.light_records import Epoch
from galdiff.photometry.magnitudes import Magnitudes
from galdiff.photometry.parts import dust_probes
from galdiff.photometry.tables import BandTables, Screens, behind_dust, of_bands

TOLERANCE = 4e-4  # mag


@record
class ColourTables:
    """Fluxes of all nodes in some colours, and what these are in the parts of passbands, at one redshift."""

    flux: Float[Array, "age met colour"] = quantity("Lsun Angstrom/Msun", "of the colours")
    colour: Float[Array, "colour part"] = quantity("", "of each in the parts")
    centre: Float[Array, "part"] = quantity("Angstrom", "rest wavelength at which dust is read for each part")
    redshift: Float[Array, ""] = quantity("", "redshift")
    names: tuple[str, ...] = static("passbands", default=())
    parts: tuple[int, ...] = static("number of parts of each passband", default=())


def colour_tables(tables: BandTables, tolerance: float = TOLERANCE) -> ColourTables:
    """The fewest colours that do; as many as parts where no fewer do; not traced.

    Args:
      tables: of all parts.
      tolerance: largest error of any node in any band [mag], bare and behind `dust_probes`.

    Raises:
      InputError: a tolerance that is not positive.
    """
    if tolerance <= 0:
        raise InputError(f"tolerance is {tolerance} mag; give one above 0, as {TOLERANCE}")
    flux = np.asarray(tables.flux, float)
    nodes = flux.reshape(-1, flux.shape[-1])
    scale = np.abs(nodes).mean(1, keepdims=True)
    column = np.exp(np.log(np.abs(nodes / scale) + 1e-12).mean(0))
    u, s, v = np.linalg.svd(nodes / scale / column, full_matrices=False)
    screens = np.concatenate([np.ones((1, flux.shape[-1])), dust_probes(np.asarray(tables.centre, float))])
    seen = np.einsum("dp,pb->pdb", screens, of_bands(tables.parts)).reshape(flux.shape[-1], -1)
    exact = nodes @ seen
    left, right = scale * u * s, v * column
    for n in range(1, s.size + 1):
        if np.abs((left[:, :n] @ right[:n]) @ seen / exact - 1).max() * 1.0857 < tolerance:
            break
    return ColourTables(
        flux=jnp.asarray(left[:, :n].reshape(*flux.shape[:2], n).swapaxes(0, 1), float),
        colour=jnp.asarray(right[:n], float),
        centre=tables.centre,
        redshift=tables.redshift,
        names=tables.names,
        parts=tables.parts,
    )


def coloured_magnitudes(
    ages: Float[Array, "age"],
    mets: Float[Array, "met"],
    inside: Float[Array, "young"],
    tables: ColourTables,
    epoch: Epoch,
    dust: Screens | None = None,
    lines: Float[ArrayLike, "band"] = 0.0,
) -> Magnitudes:
    """Apparent AB magnitudes of a galaxy whose stars have the same metals at all ages, as `tabled_magnitudes`.

    Args:
      ages: mass formed at each age of the library [Msun]; mets: shares of its metallicities [1].
      inside: share of the stars in birth clouds [1], of the youngest ages, which may be fewer than all: none beyond.
      tables: of the library, at the redshift of the epoch; epoch: its distance counts.
      dust: none if None; lines: what emission lines add to each band [Lsun Angstrom].
    """
    flux, colour = tables.flux.astype(ages.dtype), tables.colour.astype(ages.dtype)

    def parts(mass: Float[Array, "some"]) -> Float[Array, "part"]:
        of_ages = flux[: mass.size]
        return mets @ (mass @ of_ages.reshape(mass.size, -1)).reshape(of_ages.shape[1:]) @ colour

    whole = parts(ages)
    young = jnp.zeros_like(whole) if dust is None else parts(ages[: inside.size] * inside.astype(ages.dtype))
    return behind_dust(whole, young, tables, epoch, dust, lines)
