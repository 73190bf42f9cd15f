"""A galaxy from the history of its baryons: disc, bulge and gas with sizes, ages, metals and motions that follow.

Ages and metallicities are those of the history; sizes follow from the spin of the halo and from the size-mass relation,
velocities from the gravity of halo, discs and bulge. Particles are smooth functions of fixed nodes and of the history,
so gradients flow from every pixel to the numbers of the baryon cycle. The galaxy spins along +z, centred and at rest.
"""

import dataclasses
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from galdiff.core.correction import Correction, Hook, NoCorrection
from galdiff.core.stage import Stage
from galdiff.core.variables import physical, table
from galdiff.galaxy import profiles
from galdiff.galaxy.births import Births, births, check_history, corrected, mass_formed
from galdiff.galaxy.blitz_rosolowsky06 import BlitzRosolowsky06
from galdiff.galaxy.bulge import BulgeShare, bulge_radius, typical_bulge
from galdiff.galaxy.bursts import Bursts, Steady
from galdiff.galaxy.molecular import Midplane, MolecularFraction
from galdiff.galaxy.rotation import Components, Curves, bulge_dispersion, curve_velocity, curves_of
from galdiff.records import BaryonHistory, Galaxy, GasParticles, StarParticles

TYPICAL_SPIN = 0.035  # where the history knows none (Bullock et al. 2001, ApJ 555, 240)
HALF_OVER_SCALE = 1.678347  # half-mass radius of an exponential disc over its scale length
REFERENCE = 2.2  # scale lengths, where an exponential disc turns fastest (Freeman 1970, ApJ 160, 811)
GRADIENT_END = 2.0  # half-mass radii; further out the metallicity of gas is flat (Sanchez et al. 2014, A&A 563, A49)
PC2_PER_KPC2 = 1e6
BULGE_PARTICLES = 0.25  # share of the particles, whatever the mass of the bulge


class GrownGalaxy(Stage):
    """Stars and gas of a halo-grown galaxy. Stars that formed early are in the bulge, late ones in the disc.

    Args of the constructor:
      n_stars, n_gas: numbers of particles; n_gas = 0 for no gas.
      seed: of the scrambling of the nodes.
      size_of_spin: half-mass radius of the disc over spin times R_vir (Mo, Mao & White 1998, MNRAS 295, 319); the
        default gives the 0.015 R_200 of Kravtsov (2013, ApJ 764, L31) at the median spin.
      inside_out: power of R_vir at birth by which older stars lie further in (0: not at all); a round number.
      flattening: h of the vertical sech^2(z/h) over the scale length; a round number for discs of late type.
      sigma_over_v: radial dispersion at one scale length and age 10 Gyr over v_c at 2.2 of them (Bottema 1993, A&A
        275, 16).
      gas_length: scale length of the gas over that of the stars that form now: 0.61 r_25 (Bigiel & Blitz 2012, ApJ
        756, 183) over 0.22 r_25 (Leroy et al. 2008, AJ 136, 2782).
      z_slope: of log10 Z per half-mass radius (Sanchez et al. 2014, A&A 563, A49).
      z_scatter: of log10 Z [dex] at one radius and age, that of gas in discs (Kreckel et al. 2019, ApJ 887, 80).
      bulge: law of the share of the stars that is in the bulge, by default `ByMassAndAge`.
      molecular: law of where gas forms stars, by default that of Blitz & Rosolowsky (2006).
      bursts: law of how star formation flickers about the history, by default not.
      correction: of when stars formed and with which metals: a dict of mass [Msun] and metallicity, one row per star.
        All the mass that ever formed, and its metals, stay what the history says.
    """

    hooks: ClassVar = {
        "correction": Hook(
            drivers=("log10 age/Gyr", "log10 Z", "share of the stars formed before"),
            offset=(0.5, -2.0, 0.5),
            scale=(1.0, 0.5, 0.5),
            n_out=2,
            bound=1.0,
        )
    }

    def __init__(
        self,
        *,
        n_stars: int = 500_000,
        n_gas: int = 20_000,
        seed: int = 0,
        size_of_spin: float = 0.43,
        inside_out: float = 0.3,
        flattening: float = 0.15,
        sigma_over_v: float = 0.29,
        gas_length: float = 2.8,
        z_slope: float = -0.1,
        z_scatter: float = 0.05,
        bulge: BulgeShare | None = None,
        molecular: MolecularFraction | None = None,
        bursts: Bursts | None = None,
        correction: Correction | None = None,
    ) -> None:
        for name, n, least in (("n_stars", n_stars, 8), ("n_gas", n_gas, 0)):
            profiles.check_number(name, n, least)
        n_bulge = round(BULGE_PARTICLES * n_stars)
        self.disc = table(_with_order(n_stars - n_bulge, seed, profiles.disc_variates))
        self.spheroid = table(_with_order(n_bulge, seed + 1, profiles.bulge_variates))
        self.gas = table(profiles.disc_variates(profiles.nodes(n_gas, seed + 2))) if n_gas else None
        self.size_of_spin = physical(size_of_spin, unit="1", lo=0.05, hi=3.0)
        self.inside_out = physical(inside_out, unit="1", lo=-1.0, hi=2.0)
        self.flattening = physical(flattening, unit="1", lo=0.01, hi=1.0)
        self.sigma_over_v = physical(sigma_over_v, unit="1", lo=0.01, hi=1.0)
        self.gas_length = physical(gas_length, unit="1", lo=0.5, hi=10.0)
        self.z_slope = physical(z_slope, unit="dex", lo=-2.0, hi=2.0)
        self.z_scatter = physical(z_scatter, unit="dex", lo=0.0, hi=1.0)
        self.bulge = typical_bulge() if bulge is None else bulge
        self.molecular = BlitzRosolowsky06() if molecular is None else molecular
        self.bursts = Steady() if bursts is None else bursts
        self.correction = NoCorrection() if correction is None else correction
        self.name = f"galaxy grown in a halo, {n_stars} stars, seed {seed}"

    def __call__(self, history: BaryonHistory) -> Galaxy:
        """The galaxy at the end of its history; its `redshift` is left at 0, as that is no array."""
        check_history(history)
        share = self.bulge(history)
        in_disc, in_bulge = self.births_of(history, share)
        scale = self.scale_length(history)
        lengths = scale * jnp.exp(self.inside_out.bounded * in_disc.ln_growth)
        masses = self.components(history, share, jnp.average(lengths, weights=in_disc.mass), scale)
        curves = curves_of(masses)
        disc = self._disc(in_disc, lengths, scale, curves)
        bulge = self._bulge(in_bulge, masses.r_bulge, scale, curves)
        stars = {name: jnp.concatenate([disc[name], bulge[name]]) for name in disc}
        # Gradient and scatter move metals about; they make none.
        metals = history.metallicity("stars")[-1] * mass_formed(history)
        stars["metallicity"] = stars["metallicity"] * metals / jnp.sum(stars["mass"] * stars["metallicity"])
        gas = None if self.gas is None else self._gas(history, masses, scale, curves)
        return Galaxy(stars=StarParticles(**stars), gas=gas, name=self.name)

    def births_of(self, history: BaryonHistory, share: Array) -> tuple[Births, Births]:
        """Stars of the disc and of the bulge [Msun], each (star,).

        Of what forms when the share q of all mass has formed, q^k goes to the disc; k = B / (1 - B) makes the bulge
        hold the share B.
        """
        power = share / (1 - share)

        def joined(nodes: Any, of_bulge: Any) -> Any:
            born = corrected(births(history, nodes), self.correction)
            to_disc = jnp.exp(power * jnp.log(jnp.maximum(born.formed_before, 1e-6)))
            mass = born.mass * jnp.exp(self.bursts(born.age)) * (1 - to_disc if of_bulge else to_disc)
            whole = mass_formed(history) * (share if of_bulge else 1 - share)
            return Births(**{**vars(born), "mass": whole * mass / mass.sum()})

        return joined(self.disc.get_value()[1], False), joined(self.spheroid.get_value()[1], True)

    def scale_length(self, history: BaryonHistory) -> Float[Array, ""]:
        """Scale length of the stars that form now [kpc]."""
        spin = TYPICAL_SPIN if history.spin is None else history.spin
        return self.size_of_spin.bounded * spin * history.r_vir[-1] / HALF_OVER_SCALE

    def components(self, history: BaryonHistory, share: Any, r_stars: Any, r_now: Any) -> Components:
        """What makes the gravity: all that is neither in stars nor in the ISM follows the NFW profile."""
        stars, ism = history.m_star[-1], history.m_ism[-1]
        return Components(
            m_halo=history.m_vir[-1] - stars - ism,
            r_vir=history.r_vir[-1],
            c_nfw=history.c_nfw[-1],
            m_discs=jnp.stack([(1 - share) * stars, ism]),
            r_discs=jnp.stack([r_stars, self.gas_length.bounded * r_now]),
            m_bulge=share * stars,
            r_bulge=bulge_radius(share * stars),
        )

    def _metallicity(self, born: Births, radius: Array, scale: Any, deviate: Any) -> Any:
        log10_shift = self.z_slope.bounded * (radius / (HALF_OVER_SCALE * scale)) + self.z_scatter.bounded * deviate
        return born.metallicity * jnp.exp(jnp.log(10.0) * log10_shift)

    def _disc(self, born: Births, lengths: Any, scale: Any, curves: Curves) -> dict[str, Array]:
        unit_radius, azimuth, unit_height, g = self.disc.get_value()[0]
        radius = lengths * unit_radius
        reference, _ = curve_velocity(curves, REFERENCE * scale[None])
        heated = self.sigma_over_v.bounded * reference * jnp.exp((1 - unit_radius) / 2) * profiles.heating(born.age)
        sigma_r = jnp.sqrt(heated**2 + profiles.GAS_SIGMA**2)  # stars are born with that of their gas
        vel = profiles.disc_orbits(*curve_velocity(curves, radius), sigma_r, unit_radius, g)
        return dict(
            pos=profiles.cylindrical(radius, azimuth, self.flattening.bounded * lengths * unit_height),
            vel=profiles.turned(azimuth, *vel),
            mass=born.mass,
            age=born.age,
            metallicity=self._metallicity(born, radius, scale, g[4]),
        )

    def _bulge(self, born: Births, r_bulge: Any, scale: Any, curves: Curves) -> dict[str, Array]:
        unit_radius, direction, g = self.spheroid.get_value()[0]
        radius = r_bulge * unit_radius
        return dict(
            pos=radius[:, None] * direction,
            vel=bulge_dispersion(curves, radius)[:, None] * g[:3].T,
            mass=born.mass,
            age=born.age,
            metallicity=self._metallicity(born, radius, scale, g[4]),
        )

    def _gas(self, history: BaryonHistory, masses: Components, scale: Any, curves: Curves) -> GasParticles:
        variates, length = self.gas.get_value(), masses.r_discs[1]
        radius = length * variates[0]
        reach = GRADIENT_END * jnp.tanh(radius / (HALF_OVER_SCALE * scale * GRADIENT_END))
        profile = jnp.exp(jnp.log(10.0) * self.z_slope.bounded * reach)
        height = self.flattening.bounded * scale
        gas = profiles.gas_layer(
            variates,
            length,
            profiles.GAS_HEIGHT * height,
            mass=history.m_ism[-1],
            sfr=history.sfr[-1] * jnp.exp(self.bursts(jnp.zeros(()))) / 1e9,
            metallicity=history.metallicity("ism")[-1] * profile / profile.mean(),
            v_c=curve_velocity(curves, radius)[0],
        )
        surface = masses.m_discs / (2 * jnp.pi * PC2_PER_KPC2 * masses.r_discs**2)  # Msun/pc^2, at the centre
        stars, here = (m * jnp.exp(-radius / r) for m, r in zip(surface, masses.r_discs, strict=True))
        plane = Midplane(gas=here, stars=stars, height=1e3 * height, metallicity=gas.metallicity)
        molecular = self.molecular(plane)
        return dataclasses.replace(gas, sfr=gas.sfr * molecular / molecular.mean())


def _with_order(n: int, seed: int, variates: Any) -> tuple[tuple[np.ndarray, ...], np.ndarray]:
    """Variates of particles, and which place in the order of ages each takes."""
    nodes = profiles.nodes(n, seed)
    return variates(nodes), nodes[:, 6]
