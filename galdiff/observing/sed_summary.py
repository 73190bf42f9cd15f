"""What one wants to know of a galaxy's light in numbers: masses, rates, ages, breaks and slopes."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from galdiff.imf import Imf
from galdiff.light_records import Spectrum, StellarHistory
from galdiff.observing.galaxy_sed import GalaxySed
from galdiff.sfh.panels import AgePanels
from galdiff.sfh.remaining import mean_sfr, remaining_mass
from galdiff.sps.indices import break_index, uv_slope

INDEX_RANGES = {"dn4000": (3840.0, 4110.0), "uv_slope": (1268.0, 2580.0)}  # Angstrom that a spectrum has to cover


def sed_summary(sed: GalaxySed, imf: Imf, ages: AgePanels) -> dict[str, float]:
    """Numbers of one galaxy by name, with the unit where it is not 1 or in the name.

    Args:
      sed: the galaxy; imf: of its stars; ages: at which its history was read.

    Returns:
      log10_mass_formed, log10_mass (stars and remnants) [dex(Msun)]; sfr_10myr, sfr_100myr [Msun/yr]; mean_age_gyr;
      log10_dust_power [dex(Lsun)], where dust takes some; dn4000 and uv_slope of what leaves the galaxy, at the
      resolution of the library, where the spectrum covers them.
    """
    made = jax.device_get(jax.jit(_numbers, static_argnums=3)(sed.stars, sed.spectrum, imf, ages))
    wave = np.asarray(sed.spectrum.wave)
    dust = float(sed.attenuated.dust_power)
    made |= {"log10_dust_power": np.log10(dust)} if dust > 0 else {}
    missing = {name for name, (lo, hi) in INDEX_RANGES.items() if wave[0] > lo or wave[-1] < hi}
    return {name: float(value) for name, value in made.items() if name not in missing}


def _numbers(stars: StellarHistory, spectrum: Spectrum, imf: Imf, ages: AgePanels) -> dict[str, Array]:
    left = remaining_mass(stars, imf)
    return {
        "log10_mass_formed": jnp.log10(left.formed),
        "log10_mass": jnp.log10(left.remaining),
        "sfr_10myr": mean_sfr(stars, ages, 0.01),
        "sfr_100myr": mean_sfr(stars, ages, 0.1),
        "mean_age_gyr": stars.mass @ stars.age / left.formed,
        "dn4000": break_index(spectrum.wave, spectrum.lum, "Dn4000"),
        "uv_slope": uv_slope(spectrum.wave, spectrum.lum),
    }
