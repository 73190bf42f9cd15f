"""Noise of a cube: an exact variance for each spaxel and pixel, and one draw from it.

Noise belongs to data, never to the model inside a likelihood.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from galdiff.errors import InputError

Cube = Float[Array, "y x wave"]
MODES = ("photon", "background", "galcraft", "rubix")
REFERENCES = ("brightest", "median")
PER = ("pixel", "angstrom")


def variance(
    flux: Cube,
    wave: Float[Array, "wave"],
    *,
    mode: str,
    snr: Float[ArrayLike, ""],
    wave_ref: float | None = None,
    reference: str | Float[ArrayLike, ""] = "brightest",
    per: str = "pixel",
    background: float = 0.0,
) -> Cube:
    """Variance that gives a target signal-to-noise ratio.

    Args:
      flux: noiseless cube, any flux density unit.
      wave: pixel centres [Angstrom].
      mode: "photon": sigma = F_ref/SNR sqrt(F/F_ref); "background": sigma = F_ref/SNR everywhere;
        "galcraft": photon noise with the SNR at the brightest voxel; "rubix": `relative_variance`.
      snr: signal-to-noise ratio at the reference [1].
      wave_ref: wavelength of the reference [Angstrom], the middle of the range where None (photon and background).
      reference: spaxel of the reference: "brightest", "median" (of those with light), or its flux itself, for example
        that at the half-light radius (photon and background).
      per: the ratio holds per "pixel" or per "angstrom" (of the mean pixel width).
      background: light of sky and detector, which is there where the galaxy is not, over that of the reference; the
        ratio at the reference stays (photon), or is that without it (galcraft and rubix).

    Returns:
      Variance, in the squared unit of flux.

    Raises:
      InputError: unknown mode, reference or per.
    """
    _check_choice("noise mode", mode, MODES)
    _check_choice("noise per", per, PER)
    if isinstance(reference, str):
        _check_choice("noise reference", reference, REFERENCES)
        reference = reference_flux(flux, wave, wave_ref, reference)
    f_ref = jnp.asarray(reference)
    if per == "angstrom":
        snr = snr * jnp.sqrt((wave[-1] - wave[0]) / (wave.shape[0] - 1))
    level = f_ref / jnp.asarray(snr) ** 2
    if mode == "rubix":
        return relative_variance(flux, snr) + background * level * f_ref
    if mode == "galcraft":
        return jnp.maximum(flux, 0.0) * flux.max() / jnp.asarray(snr) ** 2 + background * level * f_ref
    if mode == "background":
        return level * f_ref * jnp.ones_like(flux)
    return level * (jnp.maximum(flux, 0.0) + background * f_ref) / (1 + background)


def reference_flux(
    flux: Cube, wave: Float[Array, "wave"], wave_ref: float | None = None, spaxel: str = "brightest"
) -> Float[Array, ""]:
    """Flux density at a wavelength (linear between pixels) in the brightest, or median lit, spaxel [unit of flux]."""
    at = 0.5 * (wave[0] + wave[-1]) if wave_ref is None else jnp.asarray(wave_ref, wave.dtype)
    i = jnp.clip(jnp.searchsorted(wave, at) - 1, 0, wave.shape[0] - 2)
    u = jnp.clip((at - wave[i]) / (wave[i + 1] - wave[i]), 0.0, 1.0)
    image = (1 - u) * flux[..., i] + u * flux[..., i + 1]
    return image.max() if spaxel == "brightest" else _median_lit(image)


def relative_variance(flux: Cube, snr: Float[ArrayLike, ""]) -> Cube:
    """Same S/N at all wavelengths of a spaxel, as RUBIX 0.0.5 and SimSpin 2.10 draw it; for parity with them.

    The variance is in [unit of flux squared].
    sigma = flux sqrt(median F_s) / (SNR sqrt(F_s)), F_s a spaxel's sum over wavelength, median of those with light.
    """
    total = flux.sum(-1, keepdims=True)
    lit = total > 0.0
    relative2 = _median_lit(total) / jnp.where(lit, total, 1.0) / jnp.asarray(snr) ** 2
    return jnp.where(lit, flux**2 * relative2, 0.0)


def detector_variance(
    flux: Cube,
    *,
    sensitivity: Float[ArrayLike, "*wave"],
    exposure_s: float,
    sky: Float[ArrayLike, "*wave"] = 0.0,
    dark: float = 0.0,
    read: float = 0.0,
    n_exposures: int = 1,
) -> Cube:
    """Photon, sky, dark and read-out noise of a CCD; the electron counts of the textbook CCD equation.

    Args:
      flux: noiseless cube, any flux density unit.
      sensitivity: electrons per second and unit of flux, per spaxel and pixel.
      exposure_s: total exposure time [s].
      sky: sky, in the unit of flux.
      dark: dark current [electron/s] per spaxel and pixel.
      read: read-out noise [electron] per spaxel, pixel and exposure.
      n_exposures: number of read-outs.

    Returns:
      Variance in the squared unit of flux: ((signal + sky + dark) / t + n read^2 / t^2) / sensitivity^2, with signal,
      sky and dark in electron/s.
    """
    sensitivity = jnp.asarray(sensitivity)
    rate = sensitivity * (jnp.maximum(flux, 0.0) + jnp.asarray(sky)) + dark
    return (rate / exposure_s + n_exposures * (read / exposure_s) ** 2) / sensitivity**2


def add_noise(key: Array, flux: Cube, variance: Cube, roots: tuple[Array, Array] | None = None) -> Cube:
    """Add one Gaussian draw of the given variance [unit of flux squared], same shape.

    Args:
      key: a `jax.random.key`.
      flux: noiseless cube.
      variance: of each voxel.
      roots: square roots of the correlations along y and x, see `galdiff.ifu.covariance`; None for independent spaxels.
    """
    positive = variance > 0.0
    sigma = jnp.where(positive, jnp.sqrt(jnp.where(positive, variance, 1.0)), 0.0)
    draw = jax.random.normal(key, flux.shape, flux.dtype)
    if roots is not None:
        y, x = (root.astype(flux.dtype) for root in roots)
        draw = jnp.einsum("ay,bx,yxk->abk", y, x, draw, precision="highest")
    return flux + sigma * draw


def _median_lit(image: Float[Array, "..."]) -> Float[Array, ""]:
    """Median of the positive values; 0 where there are none."""
    median = jnp.nanmedian(jnp.where(image > 0.0, image, jnp.nan))
    return jnp.where(jnp.isnan(median), 0.0, median)


def _check_choice(what: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise InputError(f"{what} is '{value}'; choose one of {', '.join(allowed)}")
