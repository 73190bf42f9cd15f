"""Dust in front of the stars of a whole galaxy: one screen for all, another around the young."""

from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float

from galdiff.core.correction import Correction, Hook, NoCorrection
from galdiff.core.stage import Stage
from galdiff.core.variables import physical
from galdiff.dust.curve import Curve
from galdiff.light_records import NebularLight, Spectrum, Starlight

HOOK = Hook(drivers=("ln wavelength/5500 Angstrom",), offset=(0.0,), scale=(1.0,), n_out=1, bound=0.5)


class GalaxyDust(Stage):
    """Charlot & Fall (2000, ApJ 539, 718) with any curves; a share of the light may be unobscured (Lower et al. 2022).

    Args of the constructor:
      curve: A(wave)/A(V) of the screen; birth_curve: of birth clouds, the same if None.
      a_v: attenuation of the screen, a_v_birth: that of birth clouds besides [mag].
      unobscured: share of the light that sees no dust [1] (Lower et al. 2022, ApJ 931, 14).
      tilt: exponent of (wave / 5500 Angstrom) by which the screen is steeper than its curve, to be fitted [1]; None
        for none.
      correction: of the attenuation of the screen [mag] along the wavelength, see `HOOK`.
    """

    hooks: ClassVar = {"correction": HOOK}

    def __init__(
        self,
        *,
        curve: Curve,
        birth_curve: Curve | None = None,
        a_v: float = 0.3,
        a_v_birth: float = 0.6,
        unobscured: float = 1e-3,
        tilt: float | None = None,
        correction: Correction | None = None,
    ) -> None:
        self.curve = curve
        self.tilt = None if tilt is None else physical(tilt, lo=-1.5, hi=1.0, unit="1")
        self.birth_curve = curve if birth_curve is None else birth_curve
        self.a_v = physical(a_v, lo=0.0, hi=10.0, unit="mag")
        self.a_v_birth = physical(a_v_birth, lo=0.0, hi=20.0, unit="mag")
        self.unobscured = physical(unobscured, lo=0.0, hi=1.0, unit="1")
        self.correction = NoCorrection() if correction is None else correction

    def __call__(self, starlight: Starlight, nebular: NebularLight | None = None) -> Spectrum:
        """What leaves the galaxy; ionised gas is inside the birth clouds."""
        bare, young = through_gas(starlight, nebular)
        screen, clouds = self.transmissions(bare.wave)
        screen_line, clouds_line = self.transmissions(bare.line_wave)
        lum = screen * (bare.lum - young + clouds * young)
        line_lum = screen_line * clouds_line * bare.line_lum
        return Spectrum(
            wave=bare.wave,
            lum=lum,
            line_wave=bare.line_wave,
            line_lum=line_lum,
            dust_power=jnp.trapezoid(bare.lum - lum, bare.wave) + (bare.line_lum - line_lum).sum(),
        )

    def transmissions(self, wave: Float[Array, "wave"]) -> tuple[Float[Array, "wave"], Float[Array, "wave"]]:
        """Shares of the light [1] that the screen and the birth clouds let through at rest wavelengths [Angstrom]."""
        a = self.a_v.bounded * self.curve(wave)
        a = a if self.tilt is None else a * (wave / 5500.0) ** self.tilt.bounded
        a = self.correction(a[:, None], jnp.log(wave / 5500.0)[:, None])[:, 0]
        free = self.unobscured.bounded
        birth = self.a_v_birth.bounded * self.birth_curve(wave)
        return free + (1 - free) * 10 ** (-0.4 * a), 10 ** (-0.4 * birth)


class NoGalaxyDust(Stage):
    """No dust: all light leaves."""

    def __call__(self, starlight: Starlight, nebular: NebularLight | None = None) -> Spectrum:
        """The sum of young, old and gas."""
        return through_gas(starlight, nebular)[0]


def through_gas(starlight: Starlight, nebular: NebularLight | None) -> tuple[Spectrum, Float[Array, "wave"]]:
    """What reaches the dust, and the part [Lsun/Angstrom] of its continuum that is made inside birth clouds."""
    if nebular is None:
        return Spectrum(wave=starlight.wave, lum=starlight.young + starlight.old), starlight.young
    young = starlight.young * nebular.passes + nebular.continuum
    lum = young + starlight.old * nebular.passes
    lines = {"line_wave": nebular.line_wave, "line_lum": nebular.line_lum}
    return Spectrum(wave=starlight.wave, lum=lum, **lines), young
