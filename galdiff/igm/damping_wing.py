"""Hydrogen before the end of reionisation: the damping wing of Miralda-Escude (1998, ApJ 501, 15)."""

import dataclasses
import math

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from galdiff.core.variables import physical
from galdiff.igm.between import BetweenGalaxies
from galdiff.igm.inoue14 import Wave, optical_depth
from galdiff.igm.lyman_lines import WAVE
from galdiff.light_records import Epoch, Spectrum
from galdiff.units import C_KMS, MPC_CM

DAMPING = 2.02e-8  # decay rate of the upper level over 4 pi times the frequency of Lyman alpha, after their eq. 2
CROSS_SECTION = 1.343e-7  # of Lyman alpha, times its wavelength and the speed of light [cm3/s]: pi e^2 f wave / m_e c
HYDROGEN = 1.911e-7  # atoms today [1/cm3]: Omega_b h^2 = 0.0224, of which 0.76
HUBBLE = 37.7  # rate of expansion over (1 + z)^1.5 [km/s/Mpc], matter alone with the same Omega_m h^2
# Optical depth of neutral gas at redshift 9 (Gunn & Peterson 1965, ApJ 142, 1633)
GUNN_PETERSON = CROSS_SECTION * HYDROGEN * 10**3 / (HUBBLE * 10**1.5 * 1e5 / MPC_CM)
CLOSEST = 1e-6  # to the resonance, of the wavelength


def wing(x: Float[Array, "*any"]) -> Float[Array, "*any"]:
    """Integral I(x) of x^4.5 / (1 - x)^2 up to a constant, Miralda-Escude (1998), eq. 12; 0 < x < 1 [1], same shape."""
    root = jnp.sqrt(x)
    powers = 9 / 7 * root**7 + 9 / 5 * root**5 + 3 * root**3 + 9 * root
    return root**9 / (1 - x) + powers - 4.5 * jnp.log((1 + root) / (1 - root))


def neutral_depth(
    wave: Wave,
    redshift: Float[Array, ""],
    neutral: Float[ArrayLike, ""],
    end: Float[ArrayLike, ""],
    bubble: Float[ArrayLike, ""],
) -> Wave:
    """Optical depth [1] in Lyman alpha of evenly spread gas that is partly neutral, eqs. 10 to 12.

    Args:
      wave: rest-frame vacuum wavelengths of the source [Angstrom].
      redshift: of the source [1].
      neutral: share of hydrogen that is neutral [1].
      end: redshift at which none is neutral any more [1]; there is no wing for sources after it.
      bubble: proper radius of the ionised region around the source [Mpc].
    """
    stretch = wave / WAVE[0]
    expansion = HUBBLE * (1 + redshift) ** 1.5 / C_KMS
    far = (1 + end) / (1 + redshift) / stretch
    near = jnp.maximum((1 - expansion * bubble) / stretch, far)
    depth = neutral * GUNN_PETERSON * ((1 + redshift) * stretch / 10) ** 1.5
    beside = near < 1 - CLOSEST  # redder than the resonance with any of the gas
    inside = [jnp.where(beside, jnp.maximum(x, CLOSEST), 0.5) for x in (near, far)]
    damped = depth * DAMPING / math.pi * (wing(inside[0]) - wing(inside[1]))
    return jnp.where(beside, damped, jnp.where(far < 1, depth, 0.0))


class DampingWing(BetweenGalaxies):
    """`Inoue14`, and partly neutral gas beyond the end of reionisation.

    Args of the constructor:
      strength: factor on the optical depth of the mean line of sight [1].
      neutral, end, bubble: see `neutral_depth`.
    """

    def __init__(self, *, strength: float, neutral: float, end: float, bubble: float) -> None:
        self.strength = physical(strength, lo=0.0, hi=10.0, unit="1")
        self.neutral = physical(neutral, lo=0.0, hi=1.0, unit="1")
        self.end = physical(end, lo=4.0, hi=15.0, unit="1")
        self.bubble = physical(bubble, lo=0.0, hi=50.0, unit="Mpc")

    def __call__(self, spectrum: Spectrum, epoch: Epoch) -> Spectrum:
        """Spectrum behind the hydrogen."""
        passes, lines = (self.passes(wave, epoch.redshift) for wave in (spectrum.wave, spectrum.line_wave))
        return dataclasses.replace(spectrum, lum=spectrum.lum * passes, line_lum=spectrum.line_lum * lines)

    def passes(self, wave: Wave, redshift: Float[Array, ""]) -> Wave:
        """Share of the light [1] that passes at rest wavelengths [Angstrom] of a source at a redshift [1]."""
        wing_depth = neutral_depth(wave, redshift, self.neutral.bounded, self.end.bounded, self.bubble.bounded)
        return jnp.exp(-self.strength.bounded * optical_depth(wave, redshift) - wing_depth)
