"""Light of dust with the bands of aromatic molecules, whose profiles are those of Draine & Li (2007, ApJ 657, 810)."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from galdiff.core.stage import Stage
from galdiff.core.variables import physical
from galdiff.dust.emission.glow import reaching_infrared, survives, unit_power, with_glow
from galdiff.dust.emission.microwave_background import redshift_of
from galdiff.dust.emission.modified_black_body import casey
from galdiff.light_records import Epoch, Spectrum
from galdiff.units import HC_K_ANGSTROM

# Draine & Li (2007), table 1: wavelength [micron], width over wavelength, cross sections of neutral and ionised
# molecules [1e-20 cm per C], and whether hydrogen carries the band
BANDS = (
    (3.300, 0.012, 394.0, 89.4, 1), (5.270, 0.034, 2.5, 20.0, 0), (5.700, 0.035, 4.0, 32.0, 0),
    (6.220, 0.030, 29.4, 235.0, 0), (6.690, 0.070, 7.35, 59.0, 0), (7.417, 0.126, 20.8, 181.0, 0),
    (7.598, 0.044, 18.1, 163.0, 0), (7.850, 0.053, 21.9, 197.0, 0), (8.330, 0.052, 6.94, 48.0, 1),
    (8.610, 0.039, 27.8, 194.0, 1), (10.68, 0.020, 0.3, 0.3, 1), (11.23, 0.012, 18.9, 17.7, 1),
    (11.33, 0.032, 52.0, 49.0, 1), (11.99, 0.045, 24.2, 20.5, 1), (12.62, 0.042, 35.0, 31.0, 1),
    (12.69, 0.013, 1.3, 1.3, 1), (13.48, 0.040, 8.0, 8.0, 1), (14.19, 0.025, 0.45, 0.45, 0),
    (15.90, 0.020, 0.04, 0.04, 0), (16.45, 0.014, 0.5, 0.5, 0), (17.04, 0.065, 2.22, 2.22, 0),
    (17.375, 0.012, 0.11, 0.11, 0), (17.87, 0.016, 0.067, 0.067, 0), (18.92, 0.100, 0.10, 0.17, 0),
)  # fmt: skip
HYDROGEN = 0.35  # H/C of molecules of some hundred atoms of carbon; between 0.25 and 0.5 there, eq. 4
FLASH = 1000.0  # [K], right after a photon of starlight
COOLING = -6.0  # time spent per temperature, as a power: heat capacity over power radiated


def band_powers(ionised: Float[ArrayLike, ""]) -> Float[Array, "band"]:
    """Powers [1, relative] of `BANDS` while molecules cool after single photons.

    Cross section times the Planck function, averaged over the time spent at each temperature. With 30 per cent of the
    molecules ionised, the bands at 3.3, 6.2, 7.7 and 11.3 micron are as 0.06 : 0.28 : 1 : 0.27, those of nearby
    galaxies as 0.03 to 0.1 : 0.28 : 1 : 0.28 (Smith et al. 2007, ApJ 656, 770; Lai et al. 2020, ApJ 905, 55).

    Args:
      ionised: share of the molecules that is ionised [1].
    """
    wave, _, neutral, charged, hydrogen = np.array(BANDS).T
    temperature = np.geomspace(30.0, FLASH, 200)
    x = HC_K_ANGSTROM / 1e4 / (wave[:, None] * temperature)
    planck = wave[:, None] ** -3 / np.expm1(np.minimum(x, 500.0))
    weight = np.where(hydrogen > 0, HYDROGEN, 1.0) * np.trapezoid(planck * temperature**COOLING, temperature, axis=1)
    weight = weight / (weight * neutral).sum()
    return jnp.asarray(weight * neutral) * (1 - ionised) + jnp.asarray(weight * charged) * ionised


def aromatic_bands(wave: Float[Array, "wave"], ionised: Float[ArrayLike, ""]) -> Float[Array, "wave"]:
    """Shape [1/Angstrom, relative] of the bands at wavelengths [Angstrom], for a share [1] of ionised molecules."""
    centre, width = jnp.asarray(np.array(BANDS)[:, :2].T * [[1e4], [1.0]], wave.dtype)
    ratio = wave[:, None] / centre
    profile = width / ((ratio - 1 / ratio) ** 2 + width**2)  # per frequency, of equal integrals
    return survives(wave) * (profile @ (band_powers(ionised).astype(wave.dtype) * centre)) / wave**2


class AromaticDust(Stage):
    """A share of what dust took comes out in aromatic bands, the rest as of `ModifiedBlackBody`.

    The bands of nearby galaxies take a tenth of the power of dust, at most a fifth (Smith et al. 2007, ApJ 656, 770).

    Args of the constructor:
      share: of the power that comes out in bands [1].
      ionised: share of the molecules that is ionised [1].
      temperature, beta, alpha, background: of the rest, see `ModifiedBlackBody`.
    """

    def __init__(
        self,
        *,
        share: float,
        ionised: float,
        temperature: float,
        beta: float,
        alpha: float,
        background: bool,
    ) -> None:
        self.share = physical(share, lo=0.0, hi=1.0, unit="1")
        self.ionised = physical(ionised, lo=0.0, hi=1.0, unit="1")
        self.temperature = physical(temperature, lo=10.0, hi=150.0, unit="K")
        self.beta = physical(beta, lo=0.5, hi=3.0, unit="1")
        self.alpha = physical(alpha, lo=0.5, hi=5.0, unit="1")
        self.background = background

    def __call__(self, spectrum: Spectrum, epoch: Epoch | None = None) -> Spectrum:
        """The spectrum, to 1000 micron, with the light of dust; the epoch is read with a background alone."""
        wave = reaching_infrared(spectrum.wave)
        redshift = redshift_of(epoch) if self.background else None
        rest = casey(wave, self.temperature.bounded, self.beta.bounded, self.alpha.bounded, redshift)
        bands = aromatic_bands(wave, self.ionised.bounded)
        share = self.share.bounded
        return with_glow(spectrum, wave, share * unit_power(wave, bands) + (1 - share) * unit_power(wave, rest))
