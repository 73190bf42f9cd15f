"""The fine logarithmic wavelength axis on which a Doppler shift is a translation.

A spectrum is resampled once, by the cubic spline through its native samples, to x = ln(wave) in steps of `step`.
There it is multiplied by wave * step, so that a sum over samples is an integral over wavelength. It is also
sharpened by a Gaussian of SHARPENING samples, T - s^2/2 T''; every line-spread kernel is widened by the same amount.
Kernels are then never narrower than the sampling, point sums of them are integrals to 1e-5, and no special case is
left for a line-spread function that vanishes.
"""

import dataclasses
import math

import numpy as np
from scipy.interpolate import CubicSpline

from galdiff import units

SHARPENING = 0.7  # [samples]; the error of a point sum is exp(-2 pi^2 s^2), that of the sharpening O(s^4)


@dataclasses.dataclass(frozen=True)
class FineGrid:
    """Uniform grid in ln(wave), tied to the velocity nodes: their spacing is a whole number of samples."""

    log_start: float  # ln(wave/Angstrom) of sample 0, rest frame, vacuum
    n: int
    step_kms: float  # c times the step in ln(wave) [km/s]
    stride: int  # samples per velocity node

    @property
    def step(self) -> float:
        """Step in ln(wave)."""
        return self.step_kms / units.C_KMS

    @property
    def wave(self) -> np.ndarray:
        """Wavelengths of the samples [Angstrom], shape (wave,)."""
        return np.exp(self.log_start + self.step * np.arange(self.n))


def fine_grid(lo: float, hi: float, h_v: float, finest_kms: float) -> FineGrid:
    """Grid that covers [lo, hi] Angstrom with a step of at most finest_kms that divides h_v [km/s]."""
    stride = max(1, math.ceil(h_v / finest_kms - 1e-9))
    step_kms = h_v / stride
    n = math.ceil(math.log(hi / lo) / (step_kms / units.C_KMS)) + 1
    return FineGrid(log_start=math.log(lo), n=n, step_kms=step_kms, stride=stride)


def resample(wave: np.ndarray, lum: np.ndarray, grid: FineGrid, *, sharpen: bool = True) -> np.ndarray:
    """Spectra on the fine grid, as luminosity per sample.

    Args:
      wave: native wavelengths [Angstrom], shape (wave,), covering the grid.
      lum: spectra [Lsun/Angstrom], shape (row, wave).
      grid: where to put them.
      sharpen: whether to apply the sharpening that the kernels of the spectrograph undo.

    Returns:
      lum * wave * step (sharpened) [Lsun], shape (row, grid.n), float64.
    """
    fine = grid.wave.clip(wave[0], wave[-1])
    spline = CubicSpline(wave, lum, axis=-1)
    value = spline(fine)
    if sharpen:
        # d2T/dx2 with x = ln(wave): wave^2 T'' + wave T'
        curvature = fine**2 * spline(fine, 2) + fine * spline(fine, 1)
        value = value - 0.5 * (SHARPENING * grid.step) ** 2 * curvature
    return value * (fine * grid.step)
