"""Spectra: their covariance, masks, outliers, and what multiplies or adds to them linearly, taken out by integration.

The continuum is multiplied by 1 + sum_k a_k P_k of Legendre polynomials along the wavelength, as calibrations differ,
and lines of any flux are added. Both are linear, so their coefficients are integrated over their normal priors in
closed form (as for the systematics of Bridle et al. 2002, MNRAS 335, 1193): the unknowns stay those of physics. With
wide wings the integral is that of the normal density about the best coefficients, found by iterated weights.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, final

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from galdiff.core.record import quantity, record
from galdiff.errors import InputError
from galdiff.inference.likelihoods.model import Likelihood
from galdiff.inference.losses import Censored, Gaussian, Noise

ITERATIONS = 10  # of the weights of outliers


@record
class MeasuredSpectrum:
    """A spectrum with its noise, as `SpectrumLikelihood.measured` makes it."""

    value: Float[Array, "pixel"] = quantity("1e-20 erg/s/cm2/Angstrom", "flux density; 0 where it does not count")
    error: Float[Array, "pixel"] = quantity("1e-20 erg/s/cm2/Angstrom", "standard deviation, with the floor")
    used: Float[Array, "pixel"] = quantity("", "1 where it counts, 0 where it does not")
    typical: Float[Array, ""] = quantity("1e-20 erg/s/cm2/Angstrom", "median of what counts")
    place: Float[Array, "pixel"] = quantity("", "along the wavelength, from -1 to 1")
    whitening: Float[Array, "pixel pixel"] | None = quantity(
        "1e20 s cm2 Angstrom/erg", "lower root of the inverse covariance, where errors are correlated", default=None
    )


@record
class Linear:
    """Linear part of a fit, given the rest: a normal density."""

    mean: Float[Array, "term"] = quantity("", "most probable coefficients, in widths of their priors")
    root: Float[Array, "term term"] = quantity("", "Cholesky factor of their inverse covariance")
    pull: Float[Array, "pixel"] = quantity("", "what remains of the data, in errors")


@final
class SpectrumLikelihood(Likelihood):
    """Flux densities in pixels, of `galdiff.observing.tabled_light.SeenLight`; data are `MeasuredSpectrum`.

    Args of the constructor:
      noise: `Gaussian`, or `StudentT` for outliers.
      floor: error besides those given, as a share of the flux [1].
      order: of the polynomial that multiplies the continuum; 0 for none.
      calibration: width of the prior of each of its coefficients [1].
      scale: width of the prior of a factor of the whole spectrum, less 1 [1], as light is lost beside a fibre; 0 for
        none, and then the mass of the galaxy is that of the light in the spectrum.
      line_width: width of the prior of the fluxes of lines, as an equivalent width in the median flux [Angstrom].
    """

    wanted: ClassVar = ("apparent",)

    def __init__(
        self, *, noise: Noise, floor: float, order: int, calibration: float, scale: float, line_width: float
    ) -> None:
        if isinstance(noise, Censored):
            raise InputError("noise of a spectrum is Censored, but pixels have no limits; choose Gaussian or StudentT")
        if not 0.0 <= floor < 1.0:
            raise InputError(f"floor is {floor}; give a share of the flux from 0 up to, but not, 1")
        if order < 0 or order != int(order) or order > 40:
            raise InputError(f"order is {order}; give a whole number from 0 (no polynomial) to 40")
        for name, value in (("calibration", calibration), ("line_width", line_width)):
            if not 0.0 < value < 1e6:
                raise InputError(
                    f"{name} is {value}; give a width of the prior above 0 (calibration 0.1, line_width 1e3)"
                )
        if not 0.0 <= scale < 1e6:
            raise InputError(f"scale is {scale}; give a width of the prior of 0 (none) or more")
        self.noise, self.floor, self.order = noise, float(floor), int(order)
        self.calibration, self.scale, self.line_width = float(calibration), float(scale), float(line_width)

    def measured(
        self,
        value: Float[ArrayLike, "pixel"],
        error: Float[ArrayLike, "pixel"] | None = None,
        used: Float[ArrayLike, "pixel"] | None = None,
        covariance: Float[ArrayLike, "pixel pixel"] | None = None,
        wave: Float[ArrayLike, "pixel"] | None = None,
    ) -> MeasuredSpectrum:
        """Data of this likelihood: the floor is added here.

        Args:
          value: flux density; error: its standard deviation [1e-20 erg/s/cm2/Angstrom]; NaN is missing.
          used: 0 for pixels that do not count; all if None.
          covariance: instead of errors, [(1e-20 erg/s/cm2/Angstrom)^2].
          wave: of the pixels [Angstrom], increasing; even if None.

        Raises:
          InputError: shapes that differ, an error of zero or below, a covariance that is none.
        """
        value = np.asarray(value, float)
        if (error is None) == (covariance is None):
            raise InputError("give the error of a spectrum or its covariance, one of the two")
        matrix = None if covariance is None else np.asarray(covariance, float)
        error = np.sqrt(np.diag(matrix)) if matrix is not None else np.asarray(error, float)
        mask = np.ones(value.shape) if used is None else np.asarray(used, float)
        if value.ndim != 1 or error.shape != value.shape or mask.shape != value.shape:
            raise InputError(
                f"a spectrum has shape {value.shape}, its errors {error.shape}, its mask {mask.shape}; give (pixel,) of"
                " all"
            )
        good = (mask > 0) & np.isfinite(value) & np.isfinite(error)
        if (wrong := good & (error <= 0)).any():
            i = int(np.argmax(wrong))
            raise InputError(f"pixel {i} is {value[i]:g} +- {error[i]:g}; give an error above 0, or mask the pixel")
        floor = self.floor * np.abs(np.where(good, value, 0.0))
        x = np.arange(value.size, dtype=float) if wave is None else np.log(np.asarray(wave, float))
        return MeasuredSpectrum(
            value=jnp.asarray(np.where(good, value, 0.0), float),
            error=jnp.asarray(np.hypot(np.where(good, error, 1.0), floor), float),
            used=jnp.asarray(good, float),
            typical=jnp.asarray(np.median(np.abs(value[good])) if good.any() else 1.0, float),
            place=jnp.asarray(2 * (x - x[0]) / max(float(np.ptp(x)), 1e-30) - 1, float),
            whitening=None if matrix is None else jnp.asarray(_whitening(matrix, floor, good), float),
        )

    def linear(self, predicted: Mapping[str, Any], data: MeasuredSpectrum) -> Linear:
        """Coefficients of scale, polynomial and lines, in this order, at given unknowns."""
        design = self._design(predicted, data)
        rest = self._white(data.value - predicted["apparent"].pixels, data)
        eye = jnp.eye(design.shape[1], dtype=design.dtype)
        if not design.shape[1]:
            return Linear(mean=jnp.zeros(0, design.dtype), root=eye, pull=rest)

        def solved(weight: Array) -> tuple[Array, Array]:
            weighted = design * weight[:, None]
            root = jnp.linalg.cholesky(design.T @ weighted + eye)
            return jax.scipy.linalg.cho_solve((root, True), weighted.T @ rest), root

        weight = jnp.ones_like(rest)
        for _ in range(0 if isinstance(self.noise, Gaussian) else ITERATIONS):
            weight = self.noise.weight(rest - design @ solved(weight)[0])
        mean, root = solved(weight)
        return Linear(mean=mean, root=root, pull=rest - design @ mean)

    def log_density(self, predicted: Mapping[str, Any], data: MeasuredSpectrum) -> Float[Array, ""]:
        """ln of the density of the pixels that count, over all coefficients [ln of 1 / units of the data]."""
        fit = self.linear(predicted, data)
        each = self.noise(0.0, fit.pull, 1.0)
        if data.whitening is None:
            widths = -jnp.log(data.error)
        else:
            widths = jnp.log(jnp.where(data.used > 0, jnp.diagonal(data.whitening), 1.0))
        inside = jnp.where(data.used > 0, each + widths, 0.0).sum()
        return inside - 0.5 * fit.mean @ fit.mean - jnp.log(jnp.diagonal(fit.root)).sum()

    def residuals(self, predicted: Mapping[str, Any], data: MeasuredSpectrum) -> Float[Array, "datum"]:
        """What remains of pixels and the coefficients [1]; left out is how wide these are."""
        fit = self.linear(predicted, data)
        each = self.noise.residual(0.0, fit.pull, 1.0)
        return jnp.concatenate([jnp.where(data.used > 0, each, 0.0), fit.mean])

    def model(self, predicted: Mapping[str, Any], data: MeasuredSpectrum, fit: Linear) -> Float[Array, "part pixel"]:
        """Continuum as calibrated and lines [1e-20 erg/s/cm2/Angstrom], of coefficients."""
        continuum, n = predicted["apparent"].pixels, self.n_smooth
        factor = 1 + self._smooth(data) @ fit.mean[:n]
        return jnp.stack([continuum * factor, predicted["apparent"].lines @ self._fluxes(fit.mean[n:], data)])

    def line_fluxes(self, fit: Linear, data: MeasuredSpectrum, normal: Float[Array, "term"]) -> Float[Array, "line"]:
        """A draw of the fluxes of the lines [1e-20 erg/s/cm2], from standard normal numbers [1], one for each term."""
        drawn = fit.mean + jax.scipy.linalg.solve_triangular(fit.root.T, normal, lower=False)
        return self._fluxes(drawn[self.n_smooth :], data)

    @property
    def n_smooth(self) -> int:
        """Number of coefficients [1] before those of the lines."""
        return self.order + (self.scale > 0)

    def check(self, data: MeasuredSpectrum) -> None:
        """Some pixels have to count, and correlated ones need normal noise."""
        if not isinstance(data, MeasuredSpectrum):
            raise InputError("data of a spectrum are those of SpectrumLikelihood.measured; these are others")
        if self.size(data) <= self.n_smooth + 2:
            raise InputError(
                f"{self.size(data)} pixels count, too few for {self.n_smooth} coefficients of a polynomial; look at the"
                " mask and the wavelengths, or lower likelihood.order"
            )
        if data.whitening is not None and not isinstance(self.noise, Gaussian):
            raise InputError("errors that are correlated need noise=gaussian; or give independent errors")

    def size(self, data: MeasuredSpectrum) -> int:
        """Pixels that count."""
        return int(np.asarray(data.used).sum())

    def _fluxes(self, coefficients: Array, data: MeasuredSpectrum) -> Array:
        return coefficients * self.line_width * data.typical

    def _smooth(self, data: MeasuredSpectrum) -> Float[Array, "pixel term"]:
        """Scale and polynomials, each times the width of its prior."""
        x = data.place
        before, now, columns = jnp.ones_like(x), x, []
        for k in range(1, self.order + 1):
            columns.append(now * self.calibration)
            before, now = now, ((2 * k + 1) * x * now - k * before) / (k + 1)
        columns = ([jnp.full_like(x, self.scale)] if self.scale > 0 else []) + columns
        return jnp.stack(columns, -1) if columns else jnp.zeros((x.size, 0), x.dtype)

    def _design(self, predicted: Mapping[str, Any], data: MeasuredSpectrum) -> Float[Array, "pixel term"]:
        seen = predicted["apparent"]
        smooth = seen.pixels[:, None] * self._smooth(data)
        return self._white(jnp.concatenate([smooth, seen.lines * (self.line_width * data.typical)], -1), data)

    def _white(self, x: Array, data: MeasuredSpectrum) -> Array:
        """In errors, independent; nothing where a pixel does not count."""
        if data.whitening is not None:
            return data.whitening @ x
        scale = data.used / data.error
        return x * (scale if x.ndim == 1 else scale[:, None])


def _whitening(covariance: np.ndarray, floor: np.ndarray, good: np.ndarray) -> np.ndarray:
    """L^-1 of a covariance L L^T of what counts, with a floor; zero in all other rows and columns."""
    n = good.size
    if covariance.shape != (n, n) or not np.allclose(covariance, covariance.T):
        raise InputError(f"the covariance has shape {covariance.shape}; give a symmetric one of {n} pixels")
    which = np.flatnonzero(good)
    try:
        root = np.linalg.cholesky(covariance[np.ix_(which, which)] + np.diag(floor[which] ** 2))
    except np.linalg.LinAlgError as error:
        raise InputError("the covariance has directions without noise; add to its diagonal, or raise floor") from error
    made = np.zeros((n, n))
    made[np.ix_(which, which)] = np.linalg.inv(root)
    return made
