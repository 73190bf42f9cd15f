"""Masses, ages, metals and dust of galaxies from photometry and spectra: what a run of `galdiff infer` is about."""

import functools
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from galdiff.cases.spectrum_fit import GalaxyModel, SpectrumFit, derived_table, spectrum_figure
from galdiff.core.buildable import buildable
from galdiff.core.pipeline import Pipeline
from galdiff.core.priors import Prior
from galdiff.core.stage import Stage
from galdiff.cosmology import Cosmology
from galdiff.dust.galaxy import GalaxyDust
from galdiff.errors import InputError
from galdiff.igm.between import BetweenGalaxies
from galdiff.inference.likelihoods.model import Likelihood, measured
from galdiff.inference.posterior import Posterior, check_posterior, make_posterior
from galdiff.inference.result import Result
from galdiff.io.photometry_catalogue import read_photometry
from galdiff.io.spectrum_files import is_spectrum
from galdiff.light_records import Epoch, Spectrum
from galdiff.observing.gas_in_library import with_gas
from galdiff.photometry.read import load_passbands
from galdiff.photometry.tabled import TabledPhotometry, tables_over
from galdiff.photometry.tables import BandTables
from galdiff.plotting.sed_fit_figure import FittedSed, plot_fit
from galdiff.records import SSPGrid
from galdiff.sfh.epoch import epoch_at
from galdiff.sfh.metallicity import MetallicityLaw
from galdiff.sfh.model import FormStars, SfhLaw
from galdiff.sfh.panels import panels_of
from galdiff.sfh.weights import Enrich
from galdiff.sps.galaxy_light import GalaxyLight

SHOWN = 300  # draws behind the bands of a figure


@buildable(reads=True)
class SedFit:
    """Photometry of a catalogue or a spectrum, and the pipeline that predicts it.

    Args of the constructor:
      law, metallicity, library, clouds, dust: of the galaxies.
      nebular: light of their gas, of fixed properties; igm: what takes light on the way; cosmology: of the distances.
      passbands: names of those that are fitted.
      unit: of fluxes in the table, see `galdiff.io.photometry_catalogue.read_photometry`; columns: that have other
        names there.
      spectrum: how one is taken; None for photometry alone.
    """

    def __init__(
        self,
        *,
        law: SfhLaw,
        metallicity: MetallicityLaw,
        library: SSPGrid,
        clouds: GalaxyLight,
        dust: GalaxyDust,
        nebular: Stage,
        igm: BetweenGalaxies,
        cosmology: Cosmology,
        passbands: Sequence[str],
        unit: str,
        columns: Mapping[str, str] | None,
        spectrum: SpectrumFit | None = None,
    ) -> None:
        if law.needs_halo:
            raise InputError(f"case.law is {type(law).__name__}, which follows a halo; take sfh=delayed_tau or bins")
        self.law, self.metallicity, self.dust, self.clouds = law, metallicity, dust, clouds
        self.bare, self.nebular, self.spectrum = library, nebular, spectrum
        self.igm, self.cosmology = igm, cosmology
        self.passbands = load_passbands(passbands)
        self.unit, self.columns = unit, columns

    @functools.cached_property
    def library(self) -> SSPGrid:
        """With the light of gas."""
        return with_gas(self.bare, self.nebular)

    @functools.cached_property
    def pipeline(self) -> Pipeline:
        """From a star formation history to magnitudes."""
        return photometry_pipeline(self.law, self.metallicity, self.library, self.dust, self.clouds)

    def posteriors(
        self, path: str | pathlib.Path, unknowns: Sequence[str], likelihood: Likelihood, priors: Mapping[str, Prior]
    ) -> dict[str, Posterior]:
        """One posterior a row of a table, by the id of the galaxy, or that of a spectrum, by the name of its file.

        Raises:
          InputError: a table, a row or a choice that cannot be.
        """
        if is_spectrum(path):
            return {pathlib.Path(path).stem: self._of_spectrum(path, unknowns, likelihood, priors)}
        names = [band.name for band in self.passbands]
        table = read_photometry(path, names, self.unit, self.columns)
        inputs = self.inputs(table.redshift)
        made: dict[str, Posterior] = {}
        first: Posterior | None = None
        for name, given, flux, error in zip(table.ids, inputs, table.flux, table.error, strict=True):
            if name in made:
                raise InputError(f"{path}: id {name} is there twice; give each galaxy one of its own")
            try:
                data = measured(flux, error)
                if first is None:
                    first = make_posterior(
                        self.pipeline,
                        unknowns=unknowns,
                        likelihood=likelihood,
                        data=data,
                        inputs=given,
                        priors=priors,
                    )
                made[name] = Posterior(
                    inputs=given, data=data, fixed=first.fixed, unknowns=first.unknowns, likelihood=likelihood
                )
                check_posterior(made[name])
            except InputError as error_of_row:
                raise InputError(f"{path}: galaxy {name}: {error_of_row}") from error_of_row
        return made

    def _of_spectrum(
        self, path: str | pathlib.Path, unknowns: Sequence[str], likelihood: Likelihood, priors: Mapping[str, Prior]
    ) -> Posterior:
        if self.spectrum is None:
            raise InputError(
                f"{path}: is a spectrum, but case.spectrum is null; say how it is taken, or give a catalogue"
            )
        photometry = None
        if self.spectrum.photometry is not None:
            names = [band.name for band in self.passbands]
            table = read_photometry(self.spectrum.photometry, names, self.unit, self.columns)
            photometry = likelihood, measured(table.flux[0], table.error[0])

        def given(redshift: float) -> dict[str, Any]:
            if photometry is None:
                return {"epoch": epoch_at(redshift=redshift, cosmology=self.cosmology)}
            return self.inputs([redshift])[0]

        galaxy = GalaxyModel(
            law=self.law,
            metallicity=self.metallicity,
            library=with_gas(self.bare, self.nebular, lines=False),
            dust=self.dust,
            clouds=self.clouds,
            arrives=self._arriving,
        )
        return self.spectrum.posterior(path, galaxy, unknowns, priors, given, photometry)

    def files(self, name: str, posterior: Posterior, result: Result) -> dict[str, Callable[[pathlib.Path], Any]]:
        """Writers by file name, besides those of draws: the picture of a galaxy, and what follows from a spectrum."""
        made = {f"{name}_fit.png": self.figure(name, posterior, result).savefig}
        return made | ({f"{name}_derived.csv": derived_table(posterior, result)} if _has_spectrum(posterior) else {})

    def inputs(self, redshifts: Sequence[float] | np.ndarray) -> list[dict[str, Any]]:
        """Records that the pipeline is given for galaxies at some redshifts [1], shape (galaxy,)."""
        tables = tables_over(self.library, self.passbands, [float(z) for z in redshifts], self._arriving)
        epochs = {float(z): epoch_at(redshift=float(z), cosmology=self.cosmology) for z in np.unique(redshifts)}
        return [{"epoch": epochs[float(z)], "tables": t} for z, t in zip(redshifts, tables, strict=True)]

    def figure(self, name: str, posterior: Posterior, result: Result) -> Figure:
        """Data, model and residuals, and the history of star formation with its band."""
        if _has_spectrum(posterior):
            return spectrum_figure(name, posterior, result, np.array([band.pivot for band in self.passbands]))
        numbers = result.numbers.reshape(-1, len(result.each))
        some = jnp.asarray(numbers[np.linspace(0, len(numbers) - 1, min(SHOWN, len(numbers))).astype(int)])
        maggies, age, mass = jax.device_get(_seen(posterior, some))
        data, epoch = posterior.data, posterior.inputs["epoch"]
        errors = np.asarray(posterior.likelihood.errors(data))  # type: ignore[attr-defined]
        shown = FittedSed(
            pivot=np.array([band.pivot for band in self.passbands]),
            flux=np.asarray(data.value),
            error=errors,
            limit=np.where(np.asarray(data.used) > 0, np.asarray(data.limit), np.nan),
            model=maggies,
            age=age[0],
            mass=mass,
            time=float(epoch.time),
        )
        return plot_fit(shown, f"{name}, z = {float(epoch.redshift):.4g}")

    def _arriving(self, redshift: float) -> np.ndarray:
        wave = jnp.asarray(self.bare.ssp_wave, float)
        epoch: Epoch = epoch_at(redshift=redshift, cosmology=self.cosmology)
        return np.asarray(self.igm(Spectrum(wave=wave, lum=jnp.ones_like(wave)), epoch).lum)


def _has_spectrum(posterior: Posterior) -> bool:
    return "spectrum" in posterior.inputs


@jax.jit
def _seen(posterior: Posterior, numbers: Any) -> tuple[Any, Any, Any]:
    """Fluxes [maggies] (draw, band), and ages [Gyr] and mass formed [Msun] (draw, point)."""

    def one(u: Any) -> tuple[Any, Any, Any]:
        made = posterior.predicted(u, ("apparent", "stars"))
        return made["apparent"].maggies, made["stars"].age, made["stars"].mass

    return jax.lax.map(one, numbers)


def photometry_pipeline(
    law: SfhLaw, metallicity: MetallicityLaw, library: SSPGrid, dust: GalaxyDust, clouds: GalaxyLight
) -> Pipeline:
    """From a star formation history to apparent magnitudes by tables, with the inputs `epoch` and `tables`."""
    ages = panels_of(library)
    stages: dict[str, Stage] = {
        "stars": FormStars(law=law, ages=ages),
        "populations": Enrich(law=metallicity, ages=ages, library=library),
        "apparent": TabledPhotometry(dust=dust, clouds=clouds),
    }
    return Pipeline(stages=stages, inputs={"epoch": Epoch, "tables": BandTables})
