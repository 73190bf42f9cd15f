"""Ages, metals, dust, motions and lines of one galaxy from its spectrum, and photometry where there is some."""

import dataclasses
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from matplotlib.figure import Figure

from galdiff.core.buildable import buildable
from galdiff.core.pipeline import Pipeline
from galdiff.core.priors import Prior
from galdiff.core.stage import Stage
from galdiff.dust.galaxy import GalaxyDust
from galdiff.errors import InputError
from galdiff.inference.likelihoods.joint import JointLikelihood
from galdiff.inference.likelihoods.model import Likelihood
from galdiff.inference.likelihoods.spectrum import SpectrumLikelihood
from galdiff.inference.posterior import Posterior, make_posterior
from galdiff.inference.result import Result
from galdiff.io.folder import csv_writer
from galdiff.io.spectrum_files import ObservedSpectrum, read_spectrum
from galdiff.light_records import Epoch
from galdiff.observing.spectrum_tables import SpectrumTables, covered, spectrum_tables
from galdiff.observing.tabled_light import TabledLight
from galdiff.photometry.tables import BandTables
from galdiff.plotting.spectrum_fit_figure import FittedSpectrum, plot_spectrum_fit
from galdiff.records import SSPGrid
from galdiff.sfh.metallicity import MetallicityLaw
from galdiff.sfh.model import FormStars, SfhLaw
from galdiff.sfh.panels import panels_of
from galdiff.sfh.weights import Enrich
from galdiff.sps.galaxy_light import GalaxyLight
from galdiff.units import C_KMS, FWHM_PER_SIGMA

ROUND = 256  # pixels
SHOWN = 200  # draws behind figures and derived numbers
SHARES = {"lo95": 0.025, "lo68": 0.16, "median": 0.5, "hi68": 0.84, "hi95": 0.975}


@dataclasses.dataclass(frozen=True)
class GalaxyModel:
    """What a galaxy is made of, beside its gas and what is observed."""

    law: SfhLaw
    metallicity: MetallicityLaw
    library: SSPGrid  # with the continuum of gas
    dust: GalaxyDust
    clouds: GalaxyLight
    arrives: Callable[[float], np.ndarray]  # share of the light on the wavelengths of the library, at a redshift


@buildable(reads=True)
class SpectrumFit:
    """A spectrum of one galaxy, and the pipeline that predicts it.

    Args of the constructor:
      likelihood: of the spectrum.
      unknowns, priors: besides those of photometry: the motions.
      redshift: of the galaxy; None for what the file says.
      unit: of the flux density; medium: air or vacuum; None for what the file says.
      fwhm: of the instrument [Angstrom, observed], where the file does not say it.
      wave_range: pixels that count [Angstrom at rest]; None for all.
      lines: of gas, fluxes free.
      photometry: table of the same galaxy, as of a catalogue, whose first row counts; None for none.
    """

    def __init__(
        self,
        *,
        likelihood: SpectrumLikelihood,
        unknowns: Sequence[str],
        priors: Mapping[str, Prior | None],
        redshift: float | None,
        unit: str | None,
        medium: str | None,
        fwhm: float | None,
        wave_range: tuple[float, float] | None,
        lines: Sequence[str],
        photometry: str | None,
    ) -> None:  # one key of the config each
        self.likelihood, self.unknowns = likelihood, tuple(unknowns)
        self.priors = {name: prior for name, prior in priors.items() if prior is not None}
        self.redshift, self.unit, self.medium, self.fwhm = redshift, unit, medium, fwhm
        self.wave_range, self.lines, self.photometry = wave_range, tuple(lines), photometry
        if fwhm is not None and not 0.0 < fwhm < 1e3:
            raise InputError(f"case.spectrum.fwhm is {fwhm} Angstrom; give the width of the instrument, above 0")
        if wave_range is not None and not (len(wave_range) == 2 and 0 < wave_range[0] < wave_range[1]):
            raise InputError(f"case.spectrum.wave_range is {wave_range}; give two wavelengths [Angstrom] that increase")

    def read(self, path: str | pathlib.Path) -> tuple[ObservedSpectrum, float, np.ndarray]:
        """The spectrum, its redshift [1], and the width of the instrument [km/s], shape (pixel,).

        Raises:
          InputError: what the file does not say and the settings neither.
        """
        seen = read_spectrum(path, unit=self.unit, medium=self.medium)
        redshift = self.redshift if self.redshift is not None else seen.redshift
        if redshift is None or not 0.0 <= redshift < 20.0:
            raise InputError(f"{path}: the redshift is {redshift}; give case.spectrum.redshift, 0 to 20")
        if self.fwhm is not None:
            sigma = np.full(seen.wave.shape, self.fwhm / FWHM_PER_SIGMA) / seen.wave * C_KMS
        elif seen.sigma is not None:
            sigma = seen.sigma
        else:
            raise InputError(f"{path}: says no width of the instrument; give case.spectrum.fwhm [Angstrom]")
        return seen, float(redshift), sigma

    def posterior(
        self,
        path: str | pathlib.Path,
        galaxy: GalaxyModel,
        unknowns: Sequence[str],
        priors: Mapping[str, Prior],
        inputs: Callable[[float], Mapping[str, Any]],
        photometry: tuple[Likelihood, Any] | None,
    ) -> Posterior:
        """The posterior of a galaxy.

        Args:
          path: of the spectrum; galaxy: what it is made of.
          unknowns, priors: by patterns, besides those of the motions.
          inputs: epoch and, with photometry, tables of bands at a redshift.
          photometry: likelihood and data, where there are some.

        Raises:
          InputError: a spectrum, or a choice, that cannot be.
        """
        seen, redshift, sigma = self.read(path)
        rest = seen.wave / (1 + redshift)
        used = seen.used & covered(galaxy.library, seen.wave, redshift)
        if self.wave_range is not None:
            used &= (rest >= self.wave_range[0]) & (rest <= self.wave_range[1])
        if not used.any():
            ends = np.asarray(galaxy.library.ssp_wave)[[0, -1]]
            raise InputError(
                f"{path}: no good pixel between {rest[0]:.0f} and {rest[-1]:.0f} Angstrom at rest is in the library"
                f" ({ends[0]:.0f} to {ends[1]:.0f}) and in case.spectrum.wave_range; look at the redshift {redshift:g}"
            )
        near = slice(int(np.argmax(used)), len(used) - int(np.argmax(used[::-1])))
        wave, flux, error, good, width = padded(
            seen.wave[near], seen.flux[near], seen.error[near], used[near], sigma[near]
        )
        arrives = np.interp(wave / (1 + redshift), np.asarray(galaxy.library.ssp_wave), galaxy.arrives(redshift))
        tables = spectrum_tables(galaxy.library, wave, width, redshift, arrives, self.lines)
        measured = self.likelihood.measured(flux, error, good, wave=wave)
        parts: dict[str, Likelihood] = {"spectrum": self.likelihood}
        data: dict[str, Any] = {"spectrum": measured}
        if photometry is not None:
            parts["photometry"], data["photometry"] = photometry
        given = {"spectrum": tables, **inputs(redshift)}
        return make_posterior(
            spectrum_pipeline(galaxy, with_bands=photometry is not None),
            unknowns=[*unknowns, *self.unknowns],
            likelihood=JointLikelihood(parts=parts),
            data=data,
            inputs=given,
            priors={**self.priors, **priors},
        )


def padded(
    wave: np.ndarray, flux: np.ndarray, error: np.ndarray, used: np.ndarray, sigma: np.ndarray
) -> tuple[np.ndarray, ...]:
    """The same with pixels that do not count at the red end, to a multiple of `ROUND`: one program serves many spectra.

    Args:
      wave, flux, error, used, sigma: of the pixels [Angstrom, any unit twice, 1, km/s], shape (pixel,) each.
    """
    more = -wave.size % ROUND
    redder = wave[-1] * np.exp(np.ptp(np.log(wave)) / (wave.size - 1) * np.arange(1, more + 1))
    ends = (flux, 0.0), (error, 1.0), (used, False), (sigma, sigma[-1])
    return np.r_[wave, redder], *(np.r_[x, np.full(more, end, x.dtype)] for x, end in ends)


def spectrum_pipeline(galaxy: GalaxyModel, *, with_bands: bool) -> Pipeline:
    """From a star formation history to pixels and, with bands, magnitudes, by tables."""
    ages = panels_of(galaxy.library)
    stages: dict[str, Stage] = {
        "stars": FormStars(law=galaxy.law, ages=ages),
        "populations": Enrich(law=galaxy.metallicity, ages=ages, library=galaxy.library),
        "apparent": TabledLight(dust=galaxy.dust, clouds=galaxy.clouds),
    }
    inputs: dict[str, type | str] = {"epoch": Epoch, "spectrum": SpectrumTables}
    return Pipeline(stages=stages, inputs=inputs | ({"tables": BandTables} if with_bands else {}))


def spectrum_figure(name: str, posterior: Posterior, result: Result, pivot: np.ndarray) -> Figure:
    """Data, model by parts, residuals, and the history of star formation; pivot: of bands [Angstrom], shape (band,)."""
    made = derived(posterior, result)
    data, epoch = posterior.data["spectrum"], posterior.inputs["epoch"]
    photometry = posterior.data.get("photometry")
    bands = np.zeros(0) if photometry is None else pivot
    error = np.zeros(0)
    if photometry is not None:
        error = np.asarray(posterior.likelihood.parts["photometry"].errors(photometry))  # type: ignore[attr-defined]
    shown = FittedSpectrum(
        wave=np.asarray(posterior.inputs["spectrum"].pixel),
        flux=np.asarray(data.value),
        error=np.asarray(data.error),
        used=np.asarray(data.used),
        continuum=made["parts"][:, 0],
        lines=made["parts"][:, 1],
        pull=np.median(made["pull"], 0),
        age=made["age"][0],
        mass=made["mass"],
        time=float(epoch.time),
        pivot=bands,
        maggies=np.zeros(0) if photometry is None else np.asarray(photometry.value),
        maggies_error=error,
        maggies_model=made["maggies"],
    )
    return plot_spectrum_fit(shown, f"{name}, z = {float(epoch.redshift):.4g}")


def derived_table(posterior: Posterior, result: Result) -> Callable[[pathlib.Path], None]:
    """Writer of a table of what follows from the draws: fluxes of lines, and ages and metals by mass and by light."""
    made = derived(posterior, result)
    tables = posterior.inputs["spectrum"]
    centre = np.asarray(tables.line_wave)[:, 0] * (1 + float(tables.redshift))
    good = np.asarray(tables.pixel)[np.asarray(posterior.data["spectrum"].used) > 0]
    columns = [
        (f"flux {name}", "1e-20 erg/s/cm2", made["fluxes"][:, i])
        for i, name in enumerate(tables.names)
        if good[0] < centre[i] < good[-1]
    ]
    for by in ("mass", "light"):
        columns += [(f"log10 age by {by}", "dex(Gyr)", made[f"lg_age_{by}"])]
        columns += [(f"log10 Z by {by}", "dex", made[f"lg_z_{by}"])]
    columns += [("chi2 of a pixel", "1", made["chi2"])]
    rows = [[name, unit, *(f"{q:.6g}" for q in np.quantile(x, list(SHARES.values())))] for name, unit, x in columns]
    return csv_writer(["quantity", "unit", *SHARES], rows)


def derived(posterior: Posterior, result: Result) -> dict[str, np.ndarray]:
    """What follows from some draws, axes (draw, ...): fluxes [1e-20 erg/s/cm2], log10 of ages [dex(Gyr)]."""
    numbers = result.numbers.reshape(-1, len(result.each))
    which = np.linspace(0, len(numbers) - 1, min(SHOWN, len(numbers))).astype(int)
    keys = jax.random.split(jax.random.key(0), which.size)
    return dict(jax.device_get(_derived(posterior, jnp.asarray(numbers[which]), keys)))


@jax.jit
def _derived(posterior: Posterior, numbers: Array, keys: Array) -> dict[str, Array]:
    tables, data = posterior.inputs["spectrum"], posterior.data["spectrum"]
    likelihood = posterior.likelihood.parts["spectrum"]  # type: ignore[attr-defined]
    node = tables.flux.mean(-1)

    def one(given: tuple[Array, Array]) -> dict[str, Array]:
        u, key = given
        made = posterior.predicted(u, ("apparent", "stars", "populations"))
        fit = likelihood.linear(made, data)
        populations = made["populations"]
        enrich = posterior.unknowns.model(u, posterior.fixed).stages["populations"]
        lgmet = jnp.asarray(enrich.lgmet)
        weights = {"mass": populations.mass, "light": populations.mass * node}
        means = {}
        for by, w in weights.items():
            w = w / w.sum()
            means[f"lg_age_{by}"] = (w.sum(0) * populations.lg_age).sum()
            means[f"lg_z_{by}"] = (w.sum(1) * lgmet).sum()
        normal = jax.random.normal(key, fit.mean.shape, fit.mean.dtype)
        return means | {
            "parts": likelihood.model(made, data, fit),
            "pull": fit.pull,
            "chi2": (fit.pull**2).sum() / data.used.sum(),
            "fluxes": likelihood.line_fluxes(fit, data, normal),
            "maggies": made["apparent"].maggies,
            "age": made["stars"].age,
            "mass": made["stars"].mass,
        }

    return jax.lax.map(one, (numbers, keys))
