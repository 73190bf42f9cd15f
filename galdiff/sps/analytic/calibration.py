"""How the scalars of the analytic library are calibrated: damped least squares on measured spectra, with a prior.

Residuals are those of smoothed spectra, colours, mass-to-light ratios and indices (Levenberg 1944; Marquardt 1963).
Only named scalars are fitted; nothing per wavelength is stored.
"""

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from galdiff import units
from galdiff.sps import indices
from galdiff.sps.analytic import coefficients, features, spectra, synthesis, tables
from galdiff.sps.analytic import tracks as tracks_module
from galdiff.sps.analytic.default_library import default_coefficients

C_A_S = units.C_KMS * 1e13  # speed of light [Angstrom/s]
RESOLVING_POWER = 800.0  # of the comparison
MEASURED_FWHM = 2.51  # Angstrom, of the measured spectra
WAVE = np.exp(np.arange(np.log(3556.0), np.log(9440.0), 0.5 / RESOLVING_POWER))  # vacuum Angstrom
LINES = ("Hbeta", "Mgb", "Fe5270", "Fe5335", "NaD", "G4300", "Hdelta_A")
SIGMA = {"g-r": 0.02, "lg_ml": 0.03, "Dn4000": 0.04} | dict.fromkeys(LINES, 0.3)

Bands = Sequence[tuple[np.ndarray, np.ndarray]]  # wavelength [Angstrom] and response of g, r and V


class Measured(NamedTuple):
    """Measured spectra of populations, of FWHM `MEASURED_FWHM`."""

    wave: np.ndarray  # vacuum Angstrom
    ages: np.ndarray  # Gyr
    mets: np.ndarray  # metal mass fraction
    flux: np.ndarray  # (metallicity, age, wave) [Lsun/Angstrom/Msun]


def smoothed_to(wave: np.ndarray, flux: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Bring spectra (..., wave) of FWHM `MEASURED_FWHM` to `RESOLVING_POWER`, at the target wavelengths [Angstrom]."""
    sigma = np.sqrt((target / RESOLVING_POWER) ** 2 - MEASURED_FWHM**2) / 2.3548
    kernel = np.exp(-0.5 * ((wave - target[:, None]) / sigma[:, None]) ** 2) * np.gradient(wave)
    return flux @ (kernel / kernel.sum(-1, keepdims=True)).T


def passband_weights(wave: Float[np.ndarray, "wave"], bands: Bands) -> Float[np.ndarray, "band wave"]:
    """Photon-counting weights on a grid [Angstrom], over the AB zero point in flux per frequency."""
    rows = []
    for band_wave, band_response in bands:
        response = np.interp(wave, band_wave, band_response, left=0.0, right=0.0)
        photons = response * wave * np.gradient(wave)
        rows.append(photons / (response / wave * np.gradient(wave)).sum() / C_A_S)
    return np.array(rows)


class Summary:
    """Colours, mass-to-light ratios and indices of spectra on a grid; differentiable."""

    def __init__(self, wave: Float[np.ndarray, "wave"], bands: Bands) -> None:
        self.wave: Any = wave
        self.bands = passband_weights(wave, bands)

    def __call__(self, flux: Any) -> dict[str, Array]:
        """Quantities by name, shape (...), of flux (..., wave) [Lsun/Angstrom/Msun] of NumPy or JAX."""
        mags = -2.5 * jnp.log10(flux @ self.bands.T)
        found = {"g-r": mags[..., 0] - mags[..., 1], "lg_ml": 0.4 * mags[..., 2]}
        return found | {name: indices.spectral_index(self.wave, flux, name) for name in ("Dn4000", *LINES)}


@dataclasses.dataclass(frozen=True)
class Sample:
    """Populations that are fitted, and what their models need."""

    data: np.ndarray  # (metallicity, age, wave) [Lsun/Angstrom/Msun]
    mets: np.ndarray
    imf: Any
    tables: Any
    weight: np.ndarray  # (metallicity, age)
    summary: Summary | None  # None: the spectra alone


def sample(
    measured: Measured,
    pairs: tuple[Sequence[float], Sequence[float]],
    imf: Any,
    span: tuple[float, float],
    bands: Bands | None,
) -> Sample:
    """The measured populations nearest to some metallicities and ages, at the wavelengths of a span.

    Args:
      measured: spectra.
      pairs: metallicities, and ages [Gyr].
      imf: that of the measured spectra.
      span: [Angstrom].
      bands: passbands of the colours; None where the span is too short for them.
    """
    grids = (measured.mets, measured.ages)
    pick = [[int(np.abs(np.log(grid / x)).argmin()) for x in wanted] for grid, wanted in zip(grids, pairs, strict=True)]
    wave = WAVE[(span[0] <= WAVE) & (span[1] >= WAVE)]
    mets, ages = measured.mets[pick[0]], measured.ages[pick[1]]
    weight = np.where((mets < 0.0035) | (mets > 0.035), 0.25, 1.0)[:, None] * np.where(ages < 0.09, 0.4, 1.0)
    return Sample(
        data=smoothed_to(measured.wave, measured.flux[np.ix_(*pick)], wave),
        mets=mets,
        imf=imf,
        tables=(tables.track_tables(ages, mets), spectra.atmosphere_tables(wave, wave / RESOLVING_POWER)),
        weight=weight,
        summary=None if bands is None else Summary(wave, bands),
    )


def unpack(full: Float[ArrayLike, "coef"]) -> synthesis.Coefficients:
    """All coefficients [each its own unit] from one vector: those of the tracks, then five of each feature."""
    full, n = jnp.asarray(full), len(coefficients.TRACKS)
    track = tracks_module.TrackCoefficients(**dict(zip(coefficients.TRACKS, full[:n], strict=True)))
    laws = spectra.SpectrumCoefficients(laws=full[n:].reshape(-1, 5))
    return dataclasses.replace(default_coefficients(), tracks=track, spectra=laws)


def stored() -> Float[np.ndarray, "coef"]:
    """The coefficients that ship [each its own unit], in the order of `unpack`."""
    laws = [coefficients.LAWS[name] for name in features.NAMES]
    return np.concatenate([list(coefficients.TRACKS.values()), *laws])


def coefficients_text(full: Float[np.ndarray, "coef"]) -> str:
    """The coefficients [each its own unit] as the Python module `coefficients`."""
    n = len(coefficients.TRACKS)
    text = f'"""{coefficients.__doc__}"""\n\nTRACKS = {{\n'
    text += "".join(f'    "{k}": {v:.5g},\n' for k, v in zip(coefficients.TRACKS, full[:n], strict=True))
    text += "}\n\n# feature: ln_strength, theta, theta2, gravity, zeta\nLAWS = {\n"
    for name, row in zip(features.NAMES, full[n:].reshape(-1, 5), strict=True):
        text += f'    "{name}": ({", ".join(f"{v:.4g}" if v % 1 else f"{v:.1f}" for v in row)}),\n'
    return text + "}\n"


class Problem:
    """Data, model and prior of the fit, as one vector of residuals.

    Args of the constructor:
      samples: populations with data.
      prior: centre and width by name, of `tracks` and of `laws`; width 0 means fixed.
    """

    def __init__(self, samples: Sequence[Sample], prior: Mapping[str, Mapping]) -> None:
        self.samples = samples
        track = np.array([prior["tracks"][name] for name in coefficients.TRACKS]).T
        law = np.array([prior["laws"][name] for name in features.NAMES])
        self.centre, self.width = (np.concatenate([track[k], law[:, k].reshape(-1)]) for k in (0, 1))
        self.free = np.flatnonzero(self.width > 0)

    def filled(self, free: Float[ArrayLike, "free"]) -> Float[Array, "coef"]:
        """All coefficients [each its own unit] from the free ones."""
        return jnp.asarray(self.centre).at[self.free].set(free)

    def residuals(self, free: Float[Array, "free"]) -> Float[Array, "residual"]:
        """Misses over their errors [1]: of the prior, of ln flux, and of the summary of each sample."""
        made = unpack(self.filled(free))
        rows = [(free - self.centre[self.free]) / self.width[self.free]]
        for s in self.samples:
            model = synthesis.synthesise(made, jnp.asarray(s.mets), s.tables, s.imf)
            scale = 1 / (0.1 * np.sqrt(model.shape[-1] / 60))
            rows.append(((jnp.log(model) - np.log(s.data)) * scale * s.weight[..., None]).reshape(-1))
            if s.summary is not None:
                ours, theirs = s.summary(model), s.summary(s.data)
                rows += [((ours[k] - theirs[k]) / SIGMA[k] * s.weight).reshape(-1) for k in SIGMA]
        return jnp.concatenate(rows)


def damped_least_squares(
    problem: Problem, free: Float[ArrayLike, "free"], steps: int, report: Callable[[str], object] = lambda text: None
) -> Float[np.ndarray, "coef"]:
    """All coefficients [each its own unit] after some steps from the free ones given; the cost of each step is reported
    as text.
    """
    free, residuals = jnp.asarray(free), jax.jit(problem.residuals)

    @jax.jit
    def jacobian(x: Any) -> Any:
        push = lambda v: jax.jvp(problem.residuals, (x,), (v,))[1]  # noqa: E731
        return jax.lax.map(push, jnp.eye(x.size), batch_size=4)

    damping, r = 0.3, residuals(free)
    report(f"{free.size} coefficients, {r.size} residuals, chi2 {float(r @ r):.1f}")
    for step in range(steps):
        start = time.perf_counter()
        jac = np.asarray(jacobian(free))
        normal, slope = jac @ jac.T, jac @ np.asarray(r)
        for _ in range(6):
            move = np.linalg.solve(normal + damping * np.diag(np.diag(normal)), -slope)
            trial = free + jnp.asarray(move)
            new = residuals(trial)
            if float(new @ new) < float(r @ r):
                free, r, damping = trial, new, max(damping / 4, 1e-4)
                break
            damping *= 4
        report(f"step {step}: chi2 {float(r @ r):.1f} damping {damping:.1e} {time.perf_counter() - start:.1f} s")
    return np.asarray(problem.filled(free))


class SpectraComparison(NamedTuple):
    """Measured and modelled spectra of the same populations."""

    wave: np.ndarray  # vacuum Angstrom
    ages: np.ndarray  # Gyr
    mets: np.ndarray
    data: np.ndarray  # (metallicity, age, wave) [Lsun/Angstrom/Msun]
    model: np.ndarray


def compare(measured: Measured, full: Float[np.ndarray, "coef"], imf: Any) -> SpectraComparison:
    """Both over the whole range of the promise: Z 0.004-0.03, 0.1-13 Gyr, below 7400 [Angstrom]."""
    wave, ages, mets, flux = measured
    mets_in, ages_in = (mets > 0.0039) & (mets < 0.0301), (ages > 0.099) & (ages < 13.01)
    used = WAVE[WAVE < 7400.0]
    data = smoothed_to(wave, flux[np.ix_(mets_in, ages_in)], used)
    ages, mets = ages[ages_in], mets[mets_in]
    made = (tables.track_tables(ages, mets), spectra.atmosphere_tables(used, used / RESOLVING_POWER))
    model = np.asarray(synthesis.synthesise(unpack(full), jnp.asarray(mets), made, imf))
    return SpectraComparison(used, ages, mets, data, model)


def report_lines(found: SpectraComparison, summary: Summary) -> list[str]:
    """Rms and mean differences of each quantity, all together and by metallicity."""
    theirs, ours = summary(found.data), summary(found.model)
    lines = [" ".join(["rms (mean) of analytic - MILES; Z:", *(f"{z:.4g}" for z in found.mets)])]
    for name in theirs:
        gap = np.asarray(ours[name] - theirs[name])
        by_z = " ".join(f"{np.sqrt((row**2).mean()):.3f}" for row in gap)
        lines.append(
            f"{name:9s} {np.sqrt((gap**2).mean()):.4f} ({gap.mean():+.4f})  max {np.abs(gap).max():.3f}  {by_z}"
        )
    shape = np.log(found.model / found.data)
    shape = shape - shape.mean(-1, keepdims=True)
    return [*lines, f"shape of ln flux: rms {shape.std():.4f}, worst population {shape.std(-1).max():.4f}"]
