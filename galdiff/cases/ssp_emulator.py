"""A network learns an SSP library: spectra at ages that it never saw, beside interpolation between those it saw."""

import hashlib
import json
import pathlib
import typing
from collections.abc import Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array
from scipy.interpolate import PchipInterpolator, interp1d

from galdiff.errors import InputError
from galdiff.io.atomic import atomic_path
from galdiff.plotting.emulator_figure import plot_emulated_spectra, plot_errors
from galdiff.records import SSPGrid
from galdiff.sps.emulator import Emulator, component_coefficients, is_empty, refuse_other, spectra, with_components
from galdiff.sps.interpolate import node_table, spectrum
from galdiff.train.case import Case
from galdiff.train.data import Batch, InMemory
from galdiff.train.loop import Outcome

FLOOR = 1e-8  # of the maximum of a spectrum; what is fainter counts as this
GOALS = {"median": 0.005, "percentile_99": 0.03}  # relative errors at ages that were held out


@typing.final
class SSPEmulation(Case):
    """Teach an `Emulator` a library, but for some ages.

    Args of the constructor:
      library: what is emulated, as `galdiff.sps.interpolate.spectrum` serves it between its nodes.
      refine: intervals that each interval of (met, age) nodes is cut into; [1, 1] for the nodes themselves.
      hold: every how many ages one is held out, at all metallicities; first: the first of them, counted from 0; never
        the youngest or the oldest.
      batch_size: spectra of a batch; seed: of the order of the batches.
    """

    def __init__(
        self,
        *,
        library: SSPGrid,
        refine: Sequence[int] = (2, 4),
        hold: int = 4,
        first: int = 2,
        batch_size: int | None = 1024,
        seed: int = 0,
    ) -> None:
        if len(refine) != 2 or min(refine) < 1:
            raise InputError(f"case.refine is {list(refine)}; give two whole numbers of at least 1, for [met, age]")
        self.library, self.batch_size, self.seed = library, batch_size, seed
        self.lgmet = _refined(np.asarray(library.ssp_lgmet, float), refine[0])
        self.lg_age = _refined(np.asarray(library.ssp_lg_age_gyr, float), refine[1])
        if hold < 2 or not 1 <= first < len(self.lg_age) - 1:
            raise InputError(
                f"case.hold is {hold} and case.first is {first}; give hold >= 2, so that some ages are left, and first"
                f" from 1 to {len(self.lg_age) - 2}, an inner age"
            )
        self.held = np.arange(first, len(self.lg_age) - 1, hold)
        self.seen = np.setdiff1d(np.arange(len(self.lg_age)), self.held)
        self.ln_flux = _ln_flux(library, self.lg_age, self.lgmet)
        content = np.ascontiguousarray(library.ssp_flux).tobytes()
        self.data = {
            **{"library": library.name, "imf": library.imf, "medium": library.medium},
            "ssp_flux": hashlib.sha256(content).hexdigest()[:32],
        }

    def prepare(self, model: nnx.Module) -> Emulator:
        """The model with the components of the spectra that it may see, unless it came with some."""
        if not isinstance(model, Emulator):
            raise InputError(f"model is a {type(model).__name__}; this case trains a galdiff.sps.emulator.Emulator")
        refuse_other(model, self.library)
        if is_empty(model):
            model = with_components(model, self.library, self._rows(self.seen))
        self.source = InMemory(self._samples(model, self.seen), batch_size=self.batch_size, seed=self.seed)
        self.validation = InMemory(self._samples(model, self.held))
        return model

    def _places(self, ages: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        lgmet, lg_age = np.meshgrid(self.lgmet, self.lg_age[ages], indexing="ij")
        return lg_age.ravel(), lgmet.ravel()

    def _rows(self, ages: np.ndarray) -> np.ndarray:
        return self.ln_flux[:, ages].reshape(-1, self.ln_flux.shape[-1])

    def _samples(self, model: Emulator, ages: np.ndarray) -> dict[str, np.ndarray]:
        lg_age, lgmet = self._places(ages)
        wanted = component_coefficients(model, self._rows(ages)).astype(model.net.dtype)
        return {"lg_age": lg_age, "lgmet": lgmet, "coefficients": wanted}

    def loss(self, model: nnx.Module, batch: Batch, key: Array) -> tuple[Array, Mapping[str, Array]]:
        """Mean square of ln(flux) [percent^2], a scalar, over pixels and spectra; the components are orthogonal."""
        assert isinstance(model, Emulator)
        x = batch.samples
        miss = model.coefficients(x["lg_age"], x["lgmet"]) - x["coefficients"]
        size = jnp.mean(model.basis[...] ** 2, -1)  # variance of ln(flux) per unit of a coefficient
        square = 1e4 * jnp.sum(batch.weight * (miss**2 @ size)) / jnp.sum(batch.weight)
        return square, {"rms_percent": jnp.sqrt(square)}

    def show(self, outcomes: Mapping[str, Outcome], folder: pathlib.Path) -> dict[str, Any]:
        """Spectra and errors at ages held out, of the network and of interpolation between the ages that it saw."""
        model = list(outcomes.values())[-1].model
        assert isinstance(model, Emulator)
        truth = self._rows(self.held)
        said = {"network": np.log(spectra(model, *self._places(self.held))), **self._interpolated()}
        errors = {name: np.abs(np.expm1(y - truth)) for name, y in said.items()}
        nodes = np.log(spectra(model, *self._places(self.seen)))
        numbers = {name: error_percentiles(e) for name, e in errors.items()}
        result: dict[str, Any] = {
            "held_out_ages": len(self.held),
            "held_out": numbers,
            "seen": error_percentiles(np.abs(np.expm1(nodes - self._rows(self.seen)))),
            "goals": {name: bool(numbers["network"][name] < most) for name, most in GOALS.items()},
            "by_age": self._by_age(errors),
        }
        wave = np.asarray(self.library.ssp_wave, float)
        shape = (len(self.lgmet), len(self.held), wave.size)
        true, emulated = (np.exp(x).reshape(shape) for x in (truth, said["network"]))
        figures = {
            "spectra.png": plot_emulated_spectra(
                wave, true, emulated, self.lg_age[self.held], self.lgmet, self.library.name
            ),
            "errors.png": plot_errors(wave, errors, 10 ** self.lg_age[self.held], self.library.name),
        }
        for name, figure in figures.items():
            with atomic_path(folder / name, True) as path:
                figure.savefig(path, format="png")
        with atomic_path(folder / "result.json", True) as path:
            path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
        return {key: value for key, value in result.items() if key != "by_age"}

    def _interpolated(self) -> dict[str, np.ndarray]:
        """ln(flux) at the ages held out, interpolated in log age between the ages seen."""
        x, y, at = self.lg_age[self.seen], self.ln_flux[:, self.seen], self.lg_age[self.held]
        made = {"linear": interp1d(x, y, axis=1)(at), "cubic": PchipInterpolator(x, y, axis=1)(at)}
        return {name: values.reshape(-1, values.shape[-1]) for name, values in made.items()}

    def _by_age(self, errors: Mapping[str, np.ndarray]) -> list[dict[str, float]]:
        """Age [Gyr] and fraction of pixels beyond the goal of 3 % for each age held out."""
        above = {
            k: (e > GOALS["percentile_99"]).mean(-1).reshape(len(self.lgmet), -1).mean(0) for k, e in errors.items()
        }
        rows = [{name: round(float(x[i]), 5) for name, x in above.items()} for i in range(len(self.held))]
        ages = 10 ** self.lg_age[self.held]
        return [{"age_gyr": round(float(age), 5), **row} for age, row in zip(ages, rows, strict=True)]


def error_percentiles(errors: np.ndarray) -> dict[str, float]:
    """Percentiles of relative errors [1] of any shape, and the fraction above 3 %."""
    median, most, rare = (float(x) for x in np.percentile(errors, [50, 99, 99.9]))
    above = float((errors > GOALS["percentile_99"]).mean())
    return {"median": median, "percentile_99": most, "percentile_99.9": rare, "above_3_percent": above}


def _refined(nodes: np.ndarray, parts: int) -> np.ndarray:
    places = np.arange((len(nodes) - 1) * parts + 1) / parts
    return np.interp(places, np.arange(len(nodes)), nodes)


def _ln_flux(library: SSPGrid, lg_age: np.ndarray, lgmet: np.ndarray) -> np.ndarray:
    """ln(flux) of a library on (met, age, wave); one metallicity at a time."""
    table = node_table(library)
    made = np.empty((len(lgmet), len(lg_age), len(np.asarray(library.ssp_wave))), np.float32)
    for i, z in enumerate(lgmet):
        flux = np.asarray(spectrum(table, lg_age, np.full(len(lg_age), z)), float)
        made[i] = np.log(np.maximum(flux, FLOOR * flux.max(-1, keepdims=True)))
    return made
