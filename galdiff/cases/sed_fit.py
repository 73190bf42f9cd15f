"""Masses, ages, metals and dust of galaxies from their photometry: what a run of `galdiff infer` is about."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

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
    """Photometry of a catalogue, and the pipeline that predicts it.

    Args of the constructor:
      law, metallicity, library, clouds, dust: of the galaxies.
      nebular: light of their gas, of fixed properties; igm: what takes light on the way; cosmology: of the distances.
      passbands: names of those that are fitted.
      unit: of fluxes in the table, see `galdiff.io.photometry_catalogue.read_photometry`; columns: that have other
        names there.
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
    ) -> None:
        if law.needs_halo:
            raise InputError(f"case.law is {type(law).__name__}, which follows a halo; take sfh=delayed_tau or bins")
        self.library = with_gas(library, nebular)
        self.pipeline = photometry_pipeline(law, metallicity, self.library, dust, clouds)
        self.igm, self.cosmology = igm, cosmology
        self.passbands = load_passbands(passbands)
        self.unit, self.columns = unit, columns

    def posteriors(
        self, path: str | pathlib.Path, unknowns: Sequence[str], likelihood: Likelihood, priors: Mapping[str, Prior]
    ) -> dict[str, Posterior]:
        """One posterior a row of a table, by the id of the galaxy.

        Raises:
          InputError: a table, a row or a choice that cannot be.
        """
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

    def inputs(self, redshifts: Sequence[float] | np.ndarray) -> list[dict[str, Any]]:
        """Records that the pipeline is given for galaxies at some redshifts [1], shape (galaxy,)."""
        tables = tables_over(self.library, self.passbands, [float(z) for z in redshifts], self._arriving)
        epochs = {float(z): epoch_at(redshift=float(z), cosmology=self.cosmology) for z in np.unique(redshifts)}
        return [{"epoch": epochs[float(z)], "tables": t} for z, t in zip(redshifts, tables, strict=True)]

    def figure(self, name: str, posterior: Posterior, result: Result) -> Figure:
        """Data, model and residuals, and the history of star formation with its band."""
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
        wave = jnp.asarray(self.library.ssp_wave, float)
        epoch: Epoch = epoch_at(redshift=redshift, cosmology=self.cosmology)
        return np.asarray(self.igm(Spectrum(wave=wave, lum=jnp.ones_like(wave)), epoch).lum)


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
