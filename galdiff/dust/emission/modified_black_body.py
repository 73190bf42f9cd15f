"""Light of dust as a modified black body with a power law of hotter grains: Casey (2012, MNRAS 425, 3094)."""

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from galdiff.core.planck import black_body
from galdiff.core.stage import Stage
from galdiff.core.variables import physical
from galdiff.dust.emission.glow import reaching_infrared, survives, with_glow
from galdiff.dust.emission.microwave_background import contrast, redshift_of, warmed
from galdiff.light_records import Epoch, Spectrum

OPAQUE = 2e6  # [Angstrom]: the dust of a galaxy is taken as optically thick below 200 micron, section 2
MATCH = (26.68, 6.246, 1.905e-4, 7.243e-5)  # table 1: where black body and power law meet


def casey(
    wave: Float[Array, "wave"],
    temperature: Float[ArrayLike, ""],
    beta: Float[ArrayLike, ""],
    alpha: Float[ArrayLike, ""],
    redshift: Float[ArrayLike, ""] | None = None,
) -> Float[Array, "wave"]:
    """Spectrum of dust, Casey (2012), eq. 3 and table 1, with the power law ended at 2 micron.

    Args:
      wave: wavelength [Angstrom].
      temperature: of most of the dust [K]; beta: exponent of its emissivity [1].
      alpha: exponent of the flux per frequency of hotter grains [1].
      redshift: of the microwave background that warms the dust and that it is seen against [1]; none if None.

    Returns:
      Shape per wavelength [1/Angstrom], about of unit power, of the shape of wave.
    """
    if redshift is not None:
        temperature = warmed(temperature, beta, redshift)

    def grey(wave: Float[Array, "*wave"]) -> Float[Array, "*wave"]:
        return -jnp.expm1(-((OPAQUE / wave) ** beta)) * black_body(wave, temperature)

    b1, b2, b3, b4 = MATCH
    hotter = jnp.asarray(alpha)
    meet = 0.75e4 / ((b1 + b2 * hotter) ** -2 + (b3 + b4 * hotter) * temperature)  # micron in the paper
    x = wave / meet
    most = grey(wave) if redshift is None else grey(wave) * contrast(wave, temperature, redshift)
    return most + survives(wave) * grey(meet) * x ** (hotter - 2) * jnp.exp(-(x**2))


class ModifiedBlackBody(Stage):
    """All that dust took comes out in the infrared, most of it at one temperature.

    Args of the constructor:
      temperature: of most of the dust [K]; with `background`, at redshift 0.
      beta: exponent of its emissivity [1].
      alpha: exponent of the flux per frequency between 5 and 50 micron [1]; smaller is hotter.
      background: whether the microwave background warms the dust and is subtracted, see `microwave_background`.
    """

    def __init__(self, *, temperature: float, beta: float, alpha: float, background: bool) -> None:
        self.temperature = physical(temperature, lo=10.0, hi=150.0, unit="K")
        self.beta = physical(beta, lo=0.5, hi=3.0, unit="1")
        self.alpha = physical(alpha, lo=0.5, hi=5.0, unit="1")
        self.background = background

    def __call__(self, spectrum: Spectrum, epoch: Epoch | None = None) -> Spectrum:
        """The spectrum, to 1000 micron, with the light of dust; the epoch is read with a background alone."""
        wave = reaching_infrared(spectrum.wave)
        redshift = redshift_of(epoch) if self.background else None
        shape = casey(wave, self.temperature.bounded, self.beta.bounded, self.alpha.bounded, redshift)
        return with_glow(spectrum, wave, shape)
