"""Records of whole galaxies: when they are seen, their stars by age, and light; emission lines in cubes."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from galdiff.core.record import quantity, record, static


def _none() -> Float[Array, "line"]:
    return jnp.zeros(0)


def _zero() -> Float[Array, ""]:
    return jnp.zeros(())


@record
class Epoch:
    """When and where from a galaxy is seen."""

    time: Float[Array, ""] = quantity("Gyr", "cosmic time")
    redshift: Float[Array, ""] = quantity("", "redshift")
    luminosity_distance: Float[Array, ""] = quantity("Mpc", "luminosity distance")


@record
class StellarHistory:
    """Stars of a whole galaxy at one time, as points in age that each stand for some mass formed, young to old."""

    age: Float[Array, "point"] = quantity("Gyr", "age")
    mass: Float[Array, "point"] = quantity("Msun", "mass formed; the sum is all that ever formed")
    time: Float[Array, ""] = quantity("Gyr", "cosmic time at which the ages are counted")


@record
class PopulationWeights:
    """Mass formed per node of an SSP library, of a whole galaxy."""

    mass: Float[Array, "met age"] = quantity("Msun", "mass formed")
    lg_age: Float[Array, "age"] = quantity("dex(Gyr)", "log10 of the age of the nodes")


@record
class Starlight:
    """Light of the stars of a whole galaxy in its rest frame, before any dust."""

    wave: Float[Array, "wave"] = quantity("Angstrom", "vacuum wavelength, increasing")
    young: Float[Array, "wave"] = quantity("Lsun/Angstrom", "luminosity density of stars in their birth clouds")
    old: Float[Array, "wave"] = quantity("Lsun/Angstrom", "luminosity density of all others")


@record
class IonisingPhotons:
    """Ionising photons of each population of an SSP library."""

    log10_rate: Float[Array, "ion met age"] = quantity(
        "dex(photon/s/Msun)", "log10 of the photons that ionise H I, He I and He II, per Msun formed"
    )


@record
class NebularLight:
    """Light of the ionised gas of a whole galaxy in its rest frame, before any dust outside of it."""

    continuum: Float[Array, "wave"] = quantity("Lsun/Angstrom", "luminosity density, on the wavelengths of the stars")
    passes: Float[Array, "wave"] = quantity("", "share of the stars' light that the gas lets through")
    line_wave: Float[Array, "line"] = quantity("Angstrom", "vacuum wavelength of the lines")
    line_lum: Float[Array, "line"] = quantity("Lsun", "luminosity of the lines")
    line_names: tuple[str, ...] = static("lines by name", default=())


@record
class Spectrum:
    """Light of a whole galaxy in its rest frame."""

    wave: Float[Array, "wave"] = quantity("Angstrom", "vacuum wavelength, increasing")
    lum: Float[Array, "wave"] = quantity("Lsun/Angstrom", "luminosity density without the lines of gas")
    line_wave: Float[Array, "line"] = quantity("Angstrom", "vacuum wavelength of the lines", default_factory=_none)
    line_lum: Float[Array, "line"] = quantity("Lsun", "luminosity of the lines", default_factory=_none)
    dust_power: Float[Array, ""] = quantity("Lsun", "power that dust took, all wavelengths", default_factory=_zero)


@record
class EmissionLines:
    """Lines of ionised gas as they are measured, behind all dust."""

    wave: Float[Array, "line"] = quantity("Angstrom", "vacuum wavelength at rest")
    lum: Float[Array, "line"] = quantity("Lsun", "luminosity that leaves the galaxy")
    bare: Float[Array, "line"] = quantity("Lsun", "luminosity before any dust")
    flux: Float[Array, "line"] = quantity("1e-20 erg/s/cm2", "observed flux")
    ew: Float[Array, "line"] = quantity("Angstrom", "equivalent width at rest, positive in emission")
    names: tuple[str, ...] = static("lines by name", default=())


@record
class LineTable:
    """Emission lines of the gas that stars of one age and metallicity ionise, per mass of these stars."""

    lum: Float[Array, "met age line"] = quantity("Lsun/Msun", "luminosity per Msun formed, before dust outside the gas")
    lg_age: Float[Array, "age"] = quantity("dex(Gyr)", "log10 of the age of the stars, increasing; one: whatever age")
    lgmet: Float[Array, "met"] = quantity("dex", "log10 of the metal mass fraction of the gas, increasing")


@record
class LineLight:
    """Emission lines of all spaxels at each velocity node, before redshift and spectrograph."""

    lum: Float[Array, "y x v line"] = quantity("Lsun", "luminosity that leaves the galaxy; B-spline weights along v")


@record
class LineMaps:
    """Maps of emission lines as they are seen; the names of the lines are those of the plan."""

    flux: Float[Array, "y x line"] = quantity("1e-20 erg/s/cm2", "flux of each line")
    v: Float[Array, "y x"] = quantity("km/s", "mean velocity of the light of all lines; NaN in the dark")
    sigma: Float[Array, "y x"] = quantity("km/s", "its dispersion; NaN in the dark")
