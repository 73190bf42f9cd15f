"""Spectra of every node of a library as one instrument sees them, computed once for the pixels of one spectrum.

The nodes lie on wavelengths even in ln, where the motions of stars are one product of Fourier transforms, and go on
over a bridge from the last value to the first, so that nothing rings at the ends.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int
from scipy.interpolate import CubicSpline

from galdiff.core.record import quantity, record, static
from galdiff.errors import InputError
from galdiff.nebular.lines import LINES
from galdiff.records import SSPGrid
from galdiff.units import C_KMS, FWHM_PER_SIGMA

EDGE = 0.012  # of ln wavelength beside the pixels: 3600 km/s for shifts and wings
INSIDE = 0.004  # of ln wavelength that pixels keep from the ends of the library
BRIDGE = 64  # points
LEVELS = 12  # of the variance that the instrument adds, between which is interpolated
# Lines from one upper level, and the weaker over the stronger (Storey & Zeippen 2000, MNRAS 312, 813)
PAIRS = {
    "[OIII]5007": ("[OIII]4959", 1 / 2.98),
    "[NII]6584": ("[NII]6548", 1 / 3.05),
    "[OI]6300": ("[OI]6364", 1 / 3.13),
}
WAVE_OF = dict(LINES)


@record
class SpectrumTables:
    """What predicts the pixels of one spectrum from the mass at each node."""

    flux: Float[Array, "met age grid"] = quantity("Lsun/Angstrom/Msun", "spectra as the instrument records them")
    wave: Float[Array, "grid"] = quantity("Angstrom", "rest wavelength, even in ln")
    step: Float[Array, ""] = quantity("", "of ln wavelength")
    left: Int[Array, "pixel"] = quantity("", "first of four points of the grid that a pixel lies between")
    share: Float[Array, "pixel four"] = quantity("", "of these points in it")
    arrives: Float[Array, "pixel"] = quantity("", "share of the light that arrives")
    pixel: Float[Array, "pixel"] = quantity("Angstrom", "observed vacuum wavelength of the pixels")
    line_wave: Float[Array, "line member"] = quantity("Angstrom", "vacuum wavelength at rest, of the weaker of two too")
    line_share: Float[Array, "line member"] = quantity("", "flux over that of the line, 0 for none")
    line_sigma: Float[Array, "line member"] = quantity("km/s", "of the instrument, at each member")
    redshift: Float[Array, ""] = quantity("", "of the galaxy, which the tables are for")
    names: tuple[str, ...] = static("of the lines", default=())


def spectrum_tables(
    library: SSPGrid,
    wave: Float[np.ndarray, "pixel"],
    sigma: Float[np.ndarray, "pixel"],
    redshift: float,
    arrives: Float[np.ndarray, "pixel"] | float = 1.0,
    lines: tuple[str, ...] = (),
) -> SpectrumTables:
    """Tables for the pixels of a spectrum.

    Args:
      library: of the stars; pixels beyond it, see `covered`, get what is at its end.
      wave: observed vacuum wavelengths of the pixels [Angstrom], increasing.
      sigma: of the instrument there [km/s], the pixel included; where the library is wider it stays as it is.
      redshift: of the galaxy.
      arrives: share of the light [1] that gas on the way leaves.
      lines: names of emission lines of `galdiff.nebular.lines`; those of `PAIRS` bring the weaker one along.

    Raises:
      InputError: a line that is not known.
    """
    ln_pixel = np.log(wave / (1 + redshift))
    step = float(np.ptp(ln_pixel)) / (ln_pixel.size - 1)
    n = _even_length(int(np.ceil((np.ptp(ln_pixel) + 2 * EDGE) / step)) + 1 + BRIDGE)
    ln_grid = ln_pixel[0] - EDGE + step * np.arange(n - BRIDGE)
    own = np.asarray(library.ssp_wave, float)
    inside = np.clip(np.exp(ln_grid), own[0], own[-1])
    nodes = np.asarray(library.ssp_flux, float)
    near = (own > 0.97 * inside[0]) & (own < 1.03 * inside[-1])
    flux = CubicSpline(own[near], nodes[..., near], axis=-1)(inside)
    fwhm = np.interp(inside, own, np.asarray(library.ssp_fwhm, float))
    extra = np.interp(ln_grid, ln_pixel, sigma) ** 2 - (fwhm / FWHM_PER_SIGMA / inside * C_KMS) ** 2
    flux = _with_bridge(flux)
    flux[..., :-BRIDGE] = _widened(flux, np.maximum(extra, 0.0) / C_KMS**2, step)
    flux = _with_bridge(flux[..., :-BRIDGE])
    at = (ln_pixel - ln_grid[0]) / step
    left = np.floor(at).astype(int) - 1
    member_wave, member_share = _members(lines)
    return SpectrumTables(
        flux=jnp.asarray(flux, float),
        wave=jnp.asarray(np.exp(ln_grid[0] + step * np.arange(n)), float),
        step=jnp.asarray(step, float),
        left=jnp.asarray(left),
        share=jnp.asarray(_cubic(at - left - 1), float),
        arrives=jnp.asarray(np.broadcast_to(arrives, wave.shape), float),
        pixel=jnp.asarray(wave, float),
        line_wave=jnp.asarray(member_wave, float),
        line_share=jnp.asarray(member_share, float),
        line_sigma=jnp.asarray(np.interp(member_wave * (1 + redshift), wave, sigma), float),
        redshift=jnp.asarray(redshift, float),
        names=tuple(lines),
    )


def covered(library: SSPGrid, wave: Float[np.ndarray, "pixel"], redshift: float) -> Bool[np.ndarray, "pixel"]:
    """Pixels (observed wavelength [Angstrom]) that a library reaches, with room for the motions of stars."""
    ln_pixel, own = np.log(wave / (1 + redshift)), np.log(np.asarray(library.ssp_wave, float))
    return np.asarray((ln_pixel > own[0] + INSIDE) & (ln_pixel < own[-1] - INSIDE))


def _members(lines: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Wavelengths [Angstrom] and shares of each line and its weaker partner, (line, member)."""
    if unknown := [name for name in lines if name not in WAVE_OF]:
        raise InputError(f"lines: there is no '{unknown[0]}'; choose of {', '.join(WAVE_OF)}")
    partners = [PAIRS.get(name, (name, 0.0)) for name in lines]
    wave = [(WAVE_OF[name], WAVE_OF[partner]) for name, (partner, _) in zip(lines, partners, strict=True)]
    return np.array(wave, float).reshape(-1, 2), np.array([(1.0, ratio) for _, ratio in partners]).reshape(-1, 2)


def _even_length(n: int) -> int:
    """The next length of small factors, which Fourier transforms like."""
    from scipy.fft import next_fast_len

    return int(next_fast_len(n, real=True))


def _with_bridge(flux: np.ndarray) -> np.ndarray:
    """Spectra with a straight line behind, from their last value to their first."""
    way = np.arange(1, BRIDGE + 1) / (BRIDGE + 1)
    return np.concatenate([flux, flux[..., -1:] * (1 - way) + flux[..., :1] * way], -1)


def _widened(flux: np.ndarray, variance: np.ndarray, step: float) -> np.ndarray:
    """Spectra through Gaussians whose variance [ln wavelength^2] changes along them, without the bridge.

    Between spectra of some variances, which Fourier transforms give, is interpolated: smoothing is linear in the
    variance where it changes little.
    """
    levels = np.linspace(variance.min(), variance.max(), LEVELS if np.ptp(variance) > 0 else 1)
    n = flux.shape[-1]
    k = 2 * np.pi * np.fft.rfftfreq(n, step)
    transformed = np.fft.rfft(flux)
    at = np.clip(np.interp(variance, levels, np.arange(levels.size)), 0, max(levels.size - 1, 0))
    made = np.zeros_like(flux[..., : variance.size])
    for i, level in enumerate(levels):
        smooth = np.fft.irfft(transformed * np.exp(-0.5 * k**2 * level), n)[..., : variance.size]
        made += np.clip(1 - np.abs(at - i), 0.0, 1.0) * smooth
    return made


def _cubic(x: np.ndarray) -> np.ndarray:
    """Weights of four even points for a place x in [0, 1] between the middle two (Lagrange), (pixel, 4)."""
    return np.stack(
        [
            -x * (x - 1) * (x - 2) / 6,
            (x + 1) * (x - 1) * (x - 2) / 2,
            -(x + 1) * x * (x - 2) / 2,
            (x + 1) * x * (x - 1) / 6,
        ],
        -1,
    )
