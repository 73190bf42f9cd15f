"""Tables of the light of a whole galaxy: its spectrum by parts, emission lines, magnitudes."""

import pathlib
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from astropy.table import Table
from jaxtyping import ArrayLike

from galdiff import units
from galdiff.light_records import EmissionLines
from galdiff.observing.galaxy_lines import drawn_lines
from galdiff.observing.galaxy_sed import GalaxySed
from galdiff.photometry.passband import Passband


def spectrum_table(sed: GalaxySed, added: Mapping[str, np.ndarray], sigma_gas: float) -> Table:
    """The spectrum in the frame of the galaxy, by parts; lines with a velocity dispersion [km/s].

    In double precision, for single precision does not hold erg/s. What follows the dust may have wavelengths of its
    own: there the parts are straight lines between theirs.

    Args:
      sed: one galaxy.
      added: what shines besides stars and gas [Lsun/Angstrom], shape (wave,) of its spectrum, each a column of its
        name.
      sigma_gas: velocity dispersion of the lines [km/s].
    """
    spectrum, light, seen = sed.spectrum, sed.starlight, sed.seen
    lines, arriving = (drawn_lines(s.wave, s.line_wave, s.line_lum, sigma_gas) for s in (spectrum, seen))
    wave, lum = (np.asarray(values, np.float64) for values in (spectrum.wave, spectrum.lum))

    def on(values: ArrayLike) -> np.ndarray:
        return np.interp(wave, np.asarray(light.wave), np.asarray(values), left=0.0, right=0.0)

    drawn = np.asarray(lines, np.float64)
    columns = {
        "wave": wave,
        "lum": lum + drawn,
        "lum_lines": drawn,
        "lum_young": on(light.young),
        "lum_old": on(light.old),
        "lum_gas": on(sed.nebular.continuum),
        **{f"lum_{name}": np.asarray(light, np.float64) for name, light in added.items()},
        "lum_seen": np.asarray(seen.lum, np.float64) + np.asarray(arriving),
    }
    units_of = {name: "Angstrom" if name == "wave" else "Lsun/Angstrom" for name in columns}
    table = Table(columns, units=units_of)
    table.meta["comment"] = (
        "rest frame, vacuum; lum is all that leaves, with lum_lines; lum_young, lum_old and lum_gas (continuum of gas)"
        f" are before dust; lum_seen is what arrives of lum; lines have sigma = {sigma_gas:g} km/s"
    )
    return table


def line_table(lines: EmissionLines) -> Table:
    """Emission lines: luminosities in double precision, as single precision does not hold erg/s."""
    lum, bare, flux = (np.asarray(values, np.float64) for values in (lines.lum, lines.bare, lines.flux))
    columns = [list(lines.names), np.asarray(lines.wave), lum * units.LSUN_ERG_S, bare * units.LSUN_ERG_S]
    columns += [flux * units.FLUX_UNIT, np.asarray(lines.ew)]
    names, dtypes = ("line", "wave", "lum", "lum_bare", "flux", "ew_rest"), (str, *[float] * 5)
    of_columns = (None, "Angstrom", "erg/s", "erg/s", "erg/(s cm2)", "Angstrom")
    table = Table(columns, names=names, dtype=dtypes, units=of_columns)
    table.meta["comment"] = "vacuum, rest frame; lum behind dust, lum_bare before it; ew_rest positive in emission"
    return table


def magnitude_table(sed: GalaxySed, bands: Sequence[Passband]) -> Table:
    """Magnitudes and what passbands they are in."""
    columns = [[b.name for b in bands], [b.pivot for b in bands], sed.apparent.mag, sed.absolute.mag]
    table = Table([np.asarray(c) for c in columns], names=("passband", "pivot", "mag_ab", "mag_ab_rest"))
    table["pivot"].unit = "Angstrom"
    return table


def as_ecsv(table: Table) -> Callable[[pathlib.Path], None]:
    """What writes a table to a path."""
    return lambda path: table.write(path, format="ascii.ecsv")
