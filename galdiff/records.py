"""Records that travel between stages of different packages."""

import typing

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Bool, Float

from galdiff.core.cumulative import gross
from galdiff.core.hermite import backward_slopes, hermite
from galdiff.core.record import quantity, record, static
from galdiff.cosmology import Cosmology
from galdiff.errors import InputError

LEDGERS = ("outside", "nucleosynthesis", "supernovae", "radiation", "lost")  # of histories that do not say theirs


@record
class StarParticles:
    """Stars of one galaxy in physical, peculiar coordinates; any frame, usually centred."""

    pos: Float[Array, "star 3"] = quantity("kpc", "position")
    vel: Float[Array, "star 3"] = quantity("km/s", "peculiar velocity")
    mass: Float[Array, "star"] = quantity("Msun", "mass formed (initial mass); SSPs are per Msun formed")
    age: Float[Array, "star"] = quantity("Gyr", "age at the time of the snapshot")
    metallicity: Float[Array, "star"] = quantity("", "metal mass fraction Z")
    mass_now: Float[Array, "star"] | None = quantity("Msun", "current mass, where known", default=None)
    a_v: Float[Array, "star"] | None = quantity("mag", "attenuation of each star, where known", default=None)
    smoothing: Float[Array, "star"] | None = quantity("kpc", "Gaussian smoothing length, where known", default=None)


@record
class GasParticles:
    """Gas particles or cells of one galaxy, in the frame of its stars."""

    pos: Float[Array, "gas 3"] = quantity("kpc", "position")
    vel: Float[Array, "gas 3"] = quantity("km/s", "peculiar velocity")
    mass: Float[Array, "gas"] = quantity("Msun", "mass")
    metallicity: Float[Array, "gas"] = quantity("", "metal mass fraction Z")
    temperature: Float[Array, "gas"] | None = quantity("K", "temperature, where known", default=None)
    sfr: Float[Array, "gas"] | None = quantity("Msun/yr", "star formation rate, where known", default=None)
    smoothing: Float[Array, "gas"] | None = quantity("kpc", "smoothing length or cell size, where known", default=None)
    oxygen: Float[Array, "gas"] | None = quantity("", "oxygen mass fraction, where known", default=None)
    hydrogen: Float[Array, "gas"] | None = quantity("", "hydrogen mass fraction, where known", default=None)


@record
class Galaxy:
    """Stars and gas of one galaxy at one time, as read from a snapshot or built."""

    stars: StarParticles = quantity("", "stars")
    gas: GasParticles | None = quantity("", "gas, where there is any", default=None)
    redshift: float = static("redshift of the snapshot", default=0.0)
    name: str = static("what this is and where it comes from", default="")


@record
class SkyStars:
    """Stars in the sky frame: x to the East, y to the North, z away from the observer."""

    x: Float[Array, "star"] = quantity("kpc", "offset to the East")
    y: Float[Array, "star"] = quantity("kpc", "offset to the North")
    z: Float[Array, "star"] = quantity("kpc", "depth, growing away from the observer")
    v_los: Float[Array, "star"] = quantity("km/s", "line-of-sight velocity, positive when receding")
    mass: Float[Array, "star"] = quantity("Msun", "mass formed")
    age: Float[Array, "star"] = quantity("Gyr", "age")
    metallicity: Float[Array, "star"] = quantity("", "metal mass fraction Z")
    a_v: Float[Array, "star"] | None = quantity("mag", "attenuation in front of each star", default=None)
    smoothing: Float[Array, "star"] | None = quantity("kpc", "Gaussian smoothing length", default=None)


@record
class SkyGas:
    """Gas in the sky frame."""

    x: Float[Array, "gas"] = quantity("kpc", "offset to the East")
    y: Float[Array, "gas"] = quantity("kpc", "offset to the North")
    z: Float[Array, "gas"] = quantity("kpc", "depth, growing away from the observer")
    v_los: Float[Array, "gas"] = quantity("km/s", "line-of-sight velocity, positive when receding")
    mass: Float[Array, "gas"] = quantity("Msun", "mass")
    metallicity: Float[Array, "gas"] = quantity("", "metal mass fraction Z")
    temperature: Float[Array, "gas"] | None = quantity("K", "temperature", default=None)
    sfr: Float[Array, "gas"] | None = quantity("Msun/yr", "star formation rate", default=None)
    oxygen: Float[Array, "gas"] | None = quantity("", "oxygen mass fraction", default=None)
    hydrogen: Float[Array, "gas"] | None = quantity("", "hydrogen mass fraction", default=None)
    smoothing: Float[Array, "gas"] | None = quantity("kpc", "Gaussian smoothing length", default=None)


@record
class SSPGrid:
    """Spectra of simple stellar populations on a grid of metallicity and age."""

    ssp_wave: Float[Array, "wave"] = quantity("Angstrom", "rest-frame vacuum wavelength, increasing")
    ssp_lg_age_gyr: Float[Array, "age"] = quantity("dex", "log10(age/Gyr), increasing")
    ssp_lgmet: Float[Array, "met"] = quantity("dex", "log10(Z), Z the metal mass fraction, increasing")
    ssp_flux: Float[Array, "met age wave"] = quantity("Lsun/Angstrom/Msun", "luminosity density per Msun formed")
    ssp_fwhm: Float[Array, "wave"] = quantity("Angstrom", "resolution FWHM, rest frame")
    line_wave: Float[Array, "line"] | None = quantity("Angstrom", "vacuum, of the library's own lines", default=None)
    line_lum_per_msun: Float[Array, "met age line"] | None = quantity(
        "Lsun/Msun", "luminosity of these lines per Msun formed", default=None
    )
    alpha_fe: Float[Array, "alpha"] | None = quantity(
        "dex", "[alpha/Fe] of the stars that the library holds besides, where it does, increasing", default=None
    )
    alpha_response: Float[Array, "alpha met age wave"] | None = quantity(
        "", "ln of their spectra over ssp_flux", default=None
    )
    line_names: tuple[str, ...] = static("names of these lines, where known", default=())
    name: str = static("library, isochrones and version", default="")
    imf: str = static("initial mass function", default="")
    medium: str = static("medium of the source's wavelengths: air or vacuum", default="vacuum")


@record
class MassDistribution:
    """Mass formed in bins of sky position, velocity, population node and attenuation node."""

    mass: Float[Array, "y x v node av"] = quantity("Msun", "mass formed; B-spline weights along v")
    v_nodes: Float[Array, "v"] = quantity("km/s", "line-of-sight velocity of the nodes, uniform")
    lost: Float[Array, ""] = quantity("Msun", "mass outside the rendered field")
    clipped: Float[Array, ""] = quantity("Msun", "mass beyond the range of velocity or attenuation, kept at its edge")


@record
class Placement:
    """Where a galaxy sits: what its distance makes of kpc, Lsun and Angstrom."""

    redshift: Float[Array, ""] = quantity("", "systemic redshift")
    luminosity_distance: Float[Array, ""] = quantity("Mpc", "luminosity distance")
    kpc_per_arcsec: Float[Array, ""] = quantity("kpc/arcsec", "physical size of one arcsec")
    pointing: Float[Array, "2"] = quantity("arcsec", "centre of the field (East, North) seen from the galaxy's centre")


@record
class Bank:
    """What the spectrograph records of one unit of each template at each velocity node, (v, rank, wave), or mode of
    velocity, (channel, wave)."""

    response: Float[Array, "... wave"] = quantity("1", "recorded luminosity density per template coefficient")
    lines: Float[Array, "line v pixel"] | None = quantity("1/Angstrom", "of emission lines, near them", default=None)


@record
class SpectralCube:
    """Spectra of all spaxels as coefficients of basis templates, before redshift and spectrograph."""

    coef: Float[Array, "y x v rank"] = quantity("Lsun/Angstrom", "coefficient of each template at each velocity node")


@record
class ObservedCube:
    """What the spectrograph records; x grows to the East, y to the North."""

    flux: Float[Array, "y x wave"] = quantity("1e-20 erg/s/cm2/Angstrom", "flux density per spaxel")
    variance: Float[Array, "y x wave"] = quantity("(1e-20 erg/s/cm2/Angstrom)^2", "variance of flux")
    wave: Float[Array, "wave"] = quantity("Angstrom", "pixel centres in the instrument's medium")
    inside: Bool[Array, "y x"] = quantity("", "spaxels inside the aperture")
    medium: str = static("medium of wave: air or vacuum", default="vacuum")
    spaxel_arcsec: float = static("spaxel size along x [arcsec]", default=1.0)
    spaxel_y_arcsec: float | None = static("spaxel size along y [arcsec]; None for square ones", default=None)

    @property
    def spaxel_size(self) -> tuple[float, float]:
        """Size of a spaxel along x and y [arcsec]."""
        return self.spaxel_arcsec, self.spaxel_arcsec if self.spaxel_y_arcsec is None else self.spaxel_y_arcsec


@record
class KinematicMaps:
    """Maps read from a mass distribution; NaN where a spaxel is empty."""

    flux: Float[Array, "y x"] = quantity("", "weight of each spaxel: Msun, or Lsun in a band")
    v: Float[Array, "y x"] = quantity("km/s", "mean or Gauss-Hermite velocity")
    sigma: Float[Array, "y x"] = quantity("km/s", "velocity dispersion")
    h3: Float[Array, "y x"] = quantity("", "Gauss-Hermite h3")
    h4: Float[Array, "y x"] = quantity("", "Gauss-Hermite h4")
    age: Float[Array, "y x"] = quantity("Gyr", "mean age")
    metallicity: Float[Array, "y x"] = quantity("", "mean metal mass fraction")


@record
class HaloHistory:
    """Growth of one dark-matter halo on its own nodes in time; many halos carry a leading axis.

    Between nodes "smooth" reads ln m_vir as a Hermite cubic in ln t whose slope at the nodes is the accretion rate, so
    that the rate is its derivative everywhere; "backward" reads log10 of each quantity as a Hermite cubic in t with
    backward differences for slopes (the rule of Pandya et al. 2026).
    """

    time: Float[Array, "node"] = quantity("Gyr", "cosmic time, increasing")
    m_vir: Float[Array, "node"] = quantity("Msun", "virial mass")
    mdot_vir: Float[Array, "node"] = quantity("Msun/Gyr", "rate at which the virial mass grows")
    r_vir: Float[Array, "node"] = quantity("kpc", "virial radius, proper")
    v_vir: Float[Array, "node"] = quantity("km/s", "circular velocity at the virial radius")
    c_nfw: Float[Array, "node"] = quantity("", "concentration of the NFW profile")
    t_start: Float[Array, ""] = quantity("Gyr", "cosmic time at which its gas is first followed")
    cosmology: Cosmology = quantity("", "the universe it grew in")
    spin: Float[Array, ""] | None = quantity("", "spin parameter (Bullock et al. 2001), where known", default=None)
    interpolation: str = static("between the nodes: smooth or backward", default="smooth")

    def log10_mass(self, time: Float[ArrayLike, "..."]) -> Float[Array, "..."]:
        """log10 of the virial mass [dex(Msun)] at cosmic times [Gyr] of any shape."""
        return self._ln_mass(time)[0] / jnp.log(10.0)

    def accretion_rate(self, time: Float[ArrayLike, "..."]) -> Float[Array, "..."]:
        """Derivative of the virial mass [Msun/Gyr] at cosmic times [Gyr] of any shape."""
        ln_m, slope = self._ln_mass(time)
        return jnp.exp(ln_m) * slope

    def _ln_mass(self, time: Float[ArrayLike, "..."]) -> tuple[Array, Array]:
        """ln of the mass and its derivative per Gyr, by the rule that the history names."""
        time, ln_m = jnp.asarray(time), jnp.log(self.m_vir)
        if self.interpolation == "backward":
            return hermite(time, self.time, ln_m, backward_slopes(ln_m, self.time))
        value, slope = hermite(jnp.log(time), jnp.log(self.time), ln_m, self.mdot_vir * self.time / self.m_vir)
        return value, slope / time


class HaloGrowth(typing.Protocol):
    """What star formation asks of a halo: `HaloHistory`, or a formula."""

    def log10_mass(self, time: Float[ArrayLike, "..."]) -> Float[Array, "..."]:
        """log10 of the mass [dex(Msun)] at cosmic times [Gyr] of any shape."""

    def accretion_rate(self, time: Float[ArrayLike, "..."]) -> Float[Array, "..."]:
        """Derivative of the mass [Msun/Gyr] at cosmic times [Gyr] of any shape."""


@record
class Diagnostics:
    """What a baryon cycle derives on the way to its flows; None where a model does not know it."""

    sfr: Float[Array, "t"] = quantity("Msun/Gyr", "stars formed, before dying ones return their share")
    t_dep: Float[Array, "t"] = quantity("Gyr", "depletion time of the ISM: mass over star formation")
    eta_mass: Float[Array, "t"] = quantity("", "mass loading: wind over star formation")
    z_inflow: Float[Array, "t"] = quantity("", "metal mass fraction of the inflow")
    eta_energy: Float[Array, "t"] | None = quantity("", "wind energy over that of supernovae", default=None)
    eta_metal: Float[Array, "t"] | None = quantity("", "share of the new metals that the wind takes", default=None)
    t_cool: Float[Array, "t"] | None = quantity("Gyr", "cooling time of the CGM", default=None)
    t_ff: Float[Array, "t"] | None = quantity("Gyr", "free-fall time where the circular velocity peaks", default=None)
    t_dyn: Float[Array, "t"] | None = quantity("Gyr", "dynamical time r_vir / v_vir", default=None)
    temperature: Float[Array, "t"] | None = quantity("K", "temperature of the CGM", default=None)
    f_uv: Float[Array, "t"] | None = quantity("", "share of the gas that the UV background lets in", default=None)
    f_prevent: Float[Array, "t"] | None = quantity("", "share that preventative feedback lets in", default=None)


@record
class BaryonHistory:
    """Masses, metals, energies and flows of one galaxy at the asked times; many galaxies carry a leading axis.

    Keys are quantity (mass, metals, energy), then reservoir or flow. Reservoirs outside the galaxy are ledgers that
    start at zero: what was taken is negative there. The sum over all never changes.
    """

    time: Float[Array, "t"] = quantity("Gyr", "cosmic time, increasing")
    redshift: Float[Array, "t"] = quantity("", "redshift")
    m_vir: Float[Array, "t"] = quantity("Msun", "virial mass of the halo")
    r_vir: Float[Array, "t"] = quantity("kpc", "virial radius, proper")
    v_vir: Float[Array, "t"] = quantity("km/s", "circular velocity at the virial radius")
    c_nfw: Float[Array, "t"] = quantity("", "concentration of the halo")
    contents: dict[str, dict[str, Float[Array, "t"]]] = quantity(
        "Msun; energy Msun (km/s)^2", "contents[quantity][reservoir]"
    )
    flows: dict[str, dict[str, Float[Array, "t"]]] = quantity(
        "Msun/Gyr; energy Msun (km/s)^2/Gyr", "flows[quantity][flow], from the function that the solver integrates"
    )
    diagnostics: Diagnostics = quantity("", "what the flows follow from")
    error: Float[Array, ""] = quantity("dex", "estimated error of the masses, log10")
    solved: Bool[Array, ""] = quantity("", "whether it is finite, positive and its error within the asked tolerance")
    spin: Float[Array, ""] | None = quantity("", "spin parameter of the halo, where known", default=None)
    ledgers: tuple[str, ...] = static("reservoirs outside the galaxy, which only count", default=LEDGERS)

    @property
    def m_star(self) -> Float[Array, "t"]:
        """Stellar mass that survives [Msun], remnants included: net of what dying stars returned."""
        return self.contents["mass"]["stars"]

    @property
    def m_formed(self) -> Float[Array, "t"]:
        """Stellar mass ever formed [Msun]: growth of `m_star` over the share that stays locked, by the trapezoid."""
        return gross(self.m_star, self.flows["mass"]["star_formation"], self.sfr)

    @property
    def m_ism(self) -> Float[Array, "t"]:
        """Mass of the interstellar medium [Msun]."""
        return self.contents["mass"]["ism"]

    @property
    def sfr(self) -> Float[Array, "t"]:
        """Stars formed [Msun/Gyr], before dying ones return their share."""
        return self.diagnostics.sfr

    def metallicity(self, reservoir: str) -> Float[Array, "t"]:
        """Metal mass fraction [1] of a reservoir.

        Raises:
          InputError: no such reservoir.
        """
        if reservoir not in self.contents["mass"]:
            raise InputError(f"there is no reservoir '{reservoir}'; choose one of {', '.join(self.contents['mass'])}")
        return self.contents["metals"][reservoir] / self.contents["mass"][reservoir]
