"""Records that travel between stages of different packages."""

from jaxtyping import Array, Bool, Float

from galdiff.core.record import quantity, record, static


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


@record
class SSPGrid:
    """Spectra of simple stellar populations on a grid of metallicity and age."""

    ssp_wave: Float[Array, "wave"] = quantity("Angstrom", "rest-frame vacuum wavelength, increasing")
    ssp_lg_age_gyr: Float[Array, "age"] = quantity("dex", "log10(age/Gyr), increasing")
    ssp_lgmet: Float[Array, "met"] = quantity("dex", "log10(Z), Z the metal mass fraction, increasing")
    ssp_flux: Float[Array, "met age wave"] = quantity("Lsun/Angstrom/Msun", "luminosity density per Msun formed")
    ssp_fwhm: Float[Array, "wave"] = quantity("Angstrom", "resolution FWHM, rest frame")
    name: str = static("library, isochrones and version", default="")
    imf: str = static("initial mass function", default="")
    medium: str = static("medium of the source's wavelengths: air or vacuum", default="vacuum")


@record
class LightDistribution:
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
    """What the spectrograph records of one unit of each basis template at each velocity node."""

    response: Float[Array, "v rank wave"] = quantity("1", "recorded luminosity density per template coefficient")


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
    """Maps read from a light distribution; NaN where a spaxel is empty."""

    flux: Float[Array, "y x"] = quantity("", "weight of each spaxel: Msun, or Lsun in a band")
    v: Float[Array, "y x"] = quantity("km/s", "mean or Gauss-Hermite velocity")
    sigma: Float[Array, "y x"] = quantity("km/s", "velocity dispersion")
    h3: Float[Array, "y x"] = quantity("", "Gauss-Hermite h3")
    h4: Float[Array, "y x"] = quantity("", "Gauss-Hermite h4")
    age: Float[Array, "y x"] = quantity("Gyr", "mean age")
    metallicity: Float[Array, "y x"] = quantity("", "mean metal mass fraction")
