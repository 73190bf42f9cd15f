"""Magnitudes and the pixels of one spectrum of a galaxy from tables, as a stage: dust and motions are free."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from galdiff import units
from galdiff.core.record import quantity, record, static
from galdiff.core.stage import Stage
from galdiff.core.variables import physical
from galdiff.light_records import Epoch, PopulationWeights
from galdiff.observing.spectrum_tables import SpectrumTables
from galdiff.photometry.magnitudes import Magnitudes
from galdiff.photometry.tabled import Clouds
from galdiff.photometry.tables import BandTables, Screens, tabled_magnitudes

LEAST = 1.0  # km/s, of the width of a line that no instrument widens


@record
class SeenLight:
    """What arrives of a galaxy in passbands and in the pixels of a spectrum."""

    maggies: Float[Array, "band"] = quantity("maggies", "flux densities in the passbands (3631 Jy)")
    pixels: Float[Array, "pixel"] = quantity("1e-20 erg/s/cm2/Angstrom", "continuum")
    lines: Float[Array, "pixel line"] = quantity("1/Angstrom", "emission lines of a flux of 1 each")
    names: tuple[str, ...] = static("of the lines", default=())


class TabledLight(Stage):
    """Stars behind dust that move, in passbands and in pixels; gas has lines of any flux.

    Args of the constructor:
      dust: in front of all stars and around the young; None for none.
      clouds: which stars are young.
      v, sigma_v: mean velocity, besides the redshift, and dispersion of the stars along the line of sight [km/s].
      v_gas, sigma_gas: of the gas [km/s]; its velocity counts from that of the stars.
    """

    def __init__(
        self,
        *,
        dust: Screens | None,
        clouds: Clouds,
        v: float = 0.0,
        sigma_v: float = 150.0,
        v_gas: float = 0.0,
        sigma_gas: float = 100.0,
    ) -> None:
        self.dust, self.clouds = dust, clouds
        self.v = physical(v, lo=-2000.0, hi=2000.0, unit="km/s")
        self.sigma_v = physical(sigma_v, lo=1.0, hi=1000.0, unit="km/s")
        self.v_gas = physical(v_gas, lo=-1000.0, hi=1000.0, unit="km/s")
        self.sigma_gas = physical(sigma_gas, lo=1.0, hi=1000.0, unit="km/s")

    def __call__(
        self, populations: PopulationWeights, spectrum: SpectrumTables, epoch: Epoch, tables: BandTables | None = None
    ) -> SeenLight:
        """Fluxes in the bands of the tables, if there are some, and pixels."""
        inside = self.clouds.inside(populations.lg_age)
        magnitudes = (
            Magnitudes(mag=jnp.zeros(0, populations.mass.dtype))
            if tables is None
            else tabled_magnitudes(populations, inside, tables, epoch, self.dust)
        )
        lum = moved(self._behind_dust(populations, inside, spectrum), spectrum, self.v.bounded, self.sigma_v.bounded)
        dimmed = units.FLUX_OF_ONE_LSUN_AT_ONE_MPC / (epoch.luminosity_distance**2 * (1 + epoch.redshift))
        lines = line_shapes(spectrum, epoch.redshift, self.v.bounded + self.v_gas.bounded, self.sigma_gas.bounded)
        return SeenLight(
            maggies=magnitudes.maggies, pixels=lum * spectrum.arrives * dimmed, lines=lines, names=spectrum.names
        )

    def _behind_dust(
        self, populations: PopulationWeights, inside: Float[Array, "age"], tables: SpectrumTables
    ) -> Float[Array, "grid"]:
        """Spectrum of all stars [Lsun/Angstrom] on the wavelengths of the tables."""
        mass = populations.mass
        both = jnp.stack([mass, mass * inside.astype(mass.dtype)]).reshape(2, -1)
        whole, young = both @ tables.flux.reshape(-1, tables.flux.shape[-1]).astype(mass.dtype)
        if self.dust is None:
            return whole
        screen, clouds = self.dust.transmissions(tables.wave)
        return screen * (whole - (1 - clouds) * young)


def moved(
    lum: Float[Array, "grid"], tables: SpectrumTables, v: Float[Array, ""], sigma: Float[Array, ""]
) -> Float[Array, "pixel"]:
    """A spectrum in the pixels of tables, of stars with Gaussian velocities, by Fourier transforms in ln wavelength.

    Args:
      lum: on the wavelengths of the tables [any unit].
      v, sigma: mean and dispersion of the velocities [km/s].
    """
    n = lum.shape[0]
    k = 2 * jnp.pi * jnp.fft.rfftfreq(n).astype(lum.dtype) / tables.step
    shift, width = jnp.log1p(v / units.C_KMS), sigma / units.C_KMS
    kernel = jnp.exp(-0.5 * (k * width) ** 2) * jax.lax.complex(jnp.cos(k * shift), -jnp.sin(k * shift))
    smooth = jnp.fft.irfft(jnp.fft.rfft(lum) * kernel, n)
    four = smooth[tables.left[:, None] + jnp.arange(4)]
    return (four * tables.share).sum(-1)


def line_shapes(
    tables: SpectrumTables, redshift: Float[Array, ""], v: Float[Array, ""], sigma: Float[Array, ""]
) -> Float[Array, "pixel line"]:
    """Emission lines of a flux of 1 each [1/Angstrom], widened by gas of a dispersion and by the instrument.

    Args:
      tables: with the pixels and the lines; redshift: of the galaxy [1].
      v, sigma: mean velocity and dispersion of the gas [km/s].
    """
    centre = tables.line_wave * (1 + redshift) * (1 + v / units.C_KMS)
    width = jnp.sqrt(sigma**2 + tables.line_sigma**2 + LEAST**2) / units.C_KMS * centre
    x = (tables.pixel[:, None, None] - centre) / width
    each = jnp.exp(-0.5 * x**2) / (width * jnp.sqrt(2 * jnp.pi).astype(width.dtype))
    return (each * tables.line_share).sum(-1)
