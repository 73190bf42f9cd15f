"""Light of the gas that young stars ionise: lines of a photoionisation grid, and a case-B continuum."""

from typing import ClassVar

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from galdiff import units
from galdiff.core.correction import Correction, Hook, NoCorrection
from galdiff.core.stage import Stage
from galdiff.core.variables import physical, table
from galdiff.light_records import IonisingPhotons, NebularLight, PopulationWeights, Starlight
from galdiff.nebular.byler17 import OLDEST, OXYGEN, line_grid, log10_per_photon
from galdiff.nebular.continuum import LOG10_PHOTONS, LYMAN, recombination_light, two_photon_light
from galdiff.nebular.doublets import at_density
from galdiff.nebular.lines import HYDROGEN, LINES, NAMES, NITROGEN
from galdiff.records import SSPGrid

LOG10_Z_SUN = float(np.log10(units.Z_SUN_BYLER17))
HELIUM = 0.1  # helium over hydrogen by number
HOOK = Hook(
    drivers=("log10 Z of the gas over solar", "log10 age of the stars/Gyr", "log10 of the ionisation parameter"),
    offset=(-0.5, -2.5, -2.5),
    scale=(0.5, 0.5, 0.5),
    n_out=len(NAMES),
    bound=1.0,
)


class HIIRegions(Stage):
    """Each population up to 20 Myr ionises gas of its own; lines of Byler et al. (2017), see `galdiff.nebular.byler17`.

    Args of the constructor:
      log10_u: ionisation parameter [dex]; the grid holds -4 to -1.
      escape: share of the ionising light that escapes [1].
      log10_z_gas: metal mass fraction of all gas [dex], None for that of the stars which ionise it.
      n_to_o: nitrogen over oxygen relative to the grid's [dex], None for the grid's; scales the lines of nitrogen.
      log10_density: of electrons [dex(cm^-3)], None for the grid's (2); shares the light of the doublets of [O II] and
        [S II], see `galdiff.nebular.doublets`.
      correction: of the lines that are not of hydrogen, see `HOOK`; those of hydrogen count the photons and stay.
    """

    hooks: ClassVar = {"correction": HOOK}

    def __init__(
        self,
        *,
        log10_u: float,
        escape: float,
        log10_z_gas: float | None,
        n_to_o: float | None,
        log10_density: float | None = None,
        correction: Correction | None = None,
    ) -> None:
        self.log10_u = physical(log10_u, lo=-4.0, hi=-1.0, unit="dex")
        self.escape = physical(escape, lo=0.0, hi=1.0, unit="1")
        self.log10_z_gas = None if log10_z_gas is None else physical(log10_z_gas, lo=-5.0, hi=-1.0, unit="dex")
        self.n_to_o = None if n_to_o is None else physical(n_to_o, lo=-1.5, hi=1.5, unit="dex")
        self.log10_density = (
            None if log10_density is None else physical(log10_density, lo=0.0, hi=5.0, unit="dex(cm^-3)")
        )
        self.grid = table(line_grid(), jnp.result_type(float))
        self.correction = NoCorrection() if correction is None else correction

    def __call__(self, populations: PopulationWeights, ionising: IonisingPhotons, library: SSPGrid) -> NebularLight:
        """Lines and continuum of the whole galaxy, before any dust outside of the gas."""
        log_z, lg_age = self.log_z(jnp.asarray(library.ssp_lgmet)), populations.lg_age
        ionises = lg_age <= OLDEST + 1e-4
        taken = (1 - self.escape.bounded) * populations.mass * ionises
        hydrogen, helium = taken * 10 ** (ionising.log10_rate[0] - LOG10_PHOTONS), helium_zone(ionising.log10_rate)
        by_gas = jnp.stack([hydrogen, hydrogen * helium])
        if self.log10_z_gas is not None:  # one gas for stars of all metals
            by_gas = by_gas.sum(1, keepdims=True)
        wave = jnp.asarray(library.ssp_wave, taken.dtype)
        per_photon = self.lines_per_photon(log_z, lg_age)
        return NebularLight(
            continuum=continuum(wave, temperature(log_z), by_gas.sum(-1)),
            passes=jnp.where(wave < LYMAN, self.escape.bounded, 1.0).astype(taken.dtype),
            line_wave=jnp.asarray([line.wave for line in LINES], taken.dtype),
            line_lum=by_gas[0].reshape(-1) @ per_photon.reshape(-1, len(LINES)),
            line_names=NAMES,
        )

    def log_z(self, lgmet: Float[Array, "met"]) -> Float[Array, "z"]:
        """Metallicity of the gas over solar [dex]: one, or those around stars with log10 Z `lgmet` [dex]."""
        return (lgmet if self.log10_z_gas is None else self.log10_z_gas.bounded[None]) - LOG10_Z_SUN

    def lines_per_photon(self, log_z: Float[Array, "z"], lg_age: Float[Array, "age"]) -> Float[Array, "z age line"]:
        """Luminosity of lines [Lsun per 1e47 photons/s that are taken up]: one table for galaxies of one gas.

        Args:
          log_z: of the gas over solar [dex]; lg_age: of the stars [dex(Gyr)].
        """
        log_u = self.log10_u.bounded
        log10_lum = log10_per_photon(self.grid.get_value(), log_z, lg_age, log_u)
        if self.n_to_o is not None:
            log10_lum = log10_lum + self.n_to_o.bounded * np.asarray(NITROGEN, log10_lum.dtype)
        lum = 10 ** (log10_lum + LOG10_PHOTONS)
        if self.log10_density is not None:
            lum = at_density(lum, self.log10_density.bounded)
        if isinstance(self.correction, NoCorrection):
            return lum
        pairs = jnp.broadcast_arrays(log_z[:, None], lg_age, log_u)
        return jnp.where(np.asarray(HYDROGEN), lum, self.correction(lum, jnp.stack(pairs, -1)))


def temperature(log_z: Float[Array, "z"]) -> Float[Array, "z"]:
    """Electron temperature of H II regions [1e4 K], Shaver et al. (1983, MNRAS 204, 53): falls with oxygen.

    Args:
      log_z: metallicity of the gas over solar [dex], held at -2 and 0.2: 2.1 to 0.61.
    """
    return (9.82 - (OXYGEN + jnp.clip(log_z, -2.0, 0.2))) / 1.49


def helium_zone(log10_rate: Float[Array, "ion met age"]) -> Float[Array, "met age"]:
    """Share of the ionised hydrogen whose helium is He+ [1].

    All of it where stars are hot; else the zone of He+ holds as many recombinations as there are photons for helium.

    Args:
      log10_rate: photons that ionise H I and He I, and more [dex(photon/s/Msun)].
    """
    return -jnp.expm1(-(10 ** (log10_rate[1] - log10_rate[0])) / HELIUM)


def continuum(wave: Float[Array, "wave"], t4: Float[Array, "z"], photons: Float[Array, "2 z"]) -> Float[Array, "wave"]:
    """Continuum [Lsun/Angstrom] of gas.

    Args:
      wave: vacuum wavelength [Angstrom].
      t4: electron temperature [1e4 K].
      photons: taken up by hydrogen, and by that with He+ [1e47 photons/s].
    """
    hydrogen = recombination_light(wave, t4) + two_photon_light(wave, t4)
    return photons[0] @ hydrogen + HELIUM * photons[1] @ recombination_light(wave, t4, helium=True)


class NoGas(Stage):
    """No gas: ionising light leaves the galaxy."""

    def __call__(self, starlight: Starlight) -> NebularLight:
        """Nothing but darkness, and all light passes."""
        none = jnp.zeros(0, starlight.young.dtype)
        dark = jnp.zeros_like(starlight.young)
        return NebularLight(continuum=dark, passes=dark + 1, line_wave=none, line_lum=none)
