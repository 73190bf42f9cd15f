"""Galaxies whose stars are not those of the library that they are fitted with, and the correction that mends it.

The truth is made with one library, the fit uses another. Some galaxies are calibrators: their ages and metallicities
are known from elsewhere, and a correction of the library's spectra is learned from their cubes. Others are then fitted.
"""

import dataclasses
import functools
import pathlib
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, ArrayLike, Float

from galdiff.cases.mismatch_report import SNR_MIN, report
from galdiff.cosmology import Cosmology
from galdiff.errors import InputError
from galdiff.galaxy.disc import Disc
from galdiff.ifu.direct import DirectSpectrograph
from galdiff.ifu.instrument import Instrument, output_wave_vacuum
from galdiff.ifu.noise import add_noise, variance
from galdiff.ifu.placement import place
from galdiff.ifu.plan import Plan, Precision, make_plan
from galdiff.ifu.stages import Deposit, Spectrograph
from galdiff.ifu.uncompressed import LibraryTemplates, NodeSpectra, node_spectra
from galdiff.inference.populations import (
    INSET,
    Motion,
    Populations,
    disc_maps,
    fastest,
    mass_to_light,
    node_light,
    pulls,
    stars_of_populations,
)
from galdiff.records import SSPGrid
from galdiff.sps.grid import cut_populations, cut_wave
from galdiff.sps.spectral_correction import CorrectedSpectra
from galdiff.train.case import Case
from galdiff.train.data import Batch, InMemory
from galdiff.train.loop import Outcome
from galdiff.units import C_KMS

ROOM = 60.0  # Angstrom of a library that are kept beyond the fastest stars
ROOM_DEX = 0.3  # of age and metallicity, beyond the galaxies
VIEW = ("inclination", "position_angle")


@typing.final
class TemplateMismatch(Case):
    """Learn what a library's spectra lack from cubes of known galaxies; measure what that does to others.

    Args of the constructor:
      truth: library that nature uses; library: that of the fits.
      instrument: the spectrograph; redshift: of all galaxies; cosmology: of their distance.
      galaxies: ranges [lowest, highest] that fields of `galdiff.galaxy.disc.Disc`, inclination and position_angle
        [deg] are drawn from; without scatter, bulge and dust.
      calibrators, held_out: numbers of galaxies.
      known_to: errors of the ages and metallicities of calibrators, one for each galaxy [dex].
      exact_steps: for so many steps what is known counts as exact. A mismatch that all galaxies share would else pass
        for an error of all of them, which is unlikely, but not by much of a slope.
      snr: signal to noise per pixel in the brightest spaxel; batch_size: cubes of a batch.
      rank: basis templates of the fits; fit_steps: steps of a fit.
      seed: of galaxies and noise.
    """

    def __init__(
        self,
        *,
        truth: SSPGrid,
        library: SSPGrid,
        instrument: Instrument,
        galaxies: Mapping[str, Sequence[float]],
        redshift: float = 0.03,
        cosmology: Cosmology | None = None,
        calibrators: int = 20,
        held_out: int = 5,
        known_to: Sequence[float] = (0.03, 0.03),
        snr: float = 50.0,
        batch_size: int = 5,
        exact_steps: int = 60,
        rank: int = 48,
        fit_steps: int = 600,
        seed: int = 0,
    ) -> None:
        if calibrators < 1 or held_out < 1 or len(known_to) != 2 or min(known_to) < 0 or not snr > 0:
            raise InputError(
                f"calibrators is {calibrators}, held_out {held_out}, known_to {list(known_to)}, snr {snr}; give at"
                " least one galaxy of both kinds, two errors [dex] and a positive snr"
            )
        self.instrument, self.redshift, self.rank, self.fit_steps = instrument, float(redshift), rank, fit_steps
        dtype = jnp.result_type(float)
        self.placement = place(Cosmology() if cosmology is None else cosmology, jnp.asarray(redshift, dtype))
        rng = np.random.default_rng(seed)
        drawn = [self._draw(galaxies, rng) for _ in range(calibrators + held_out)]
        ages, mets, mass = (np.stack([d[i] for d in drawn]) for i in range(3))
        self.motion = Motion(*(np.stack([getattr(d[3], name) for d in drawn]).astype(dtype) for name in Motion._fields))
        self.v_max = fastest(self.motion)
        shift = rng.normal(size=(2, len(drawn), 1, 1)) * np.reshape(known_to, (2, 1, 1, 1))
        box = [(float(x.min()) - INSET, float(x.max()) + INSET) for x in (ages, mets)]
        self.truth, self.library = self._cut(truth, box), self._cut(library, box)
        self.plan = self.plan_of(self.library, rank=1)
        self.fitted = np.arange(calibrators, len(drawn))
        self.known, self.flux, self.variance, self.clean = self._observe(ages, mets, mass, snr, seed)
        self.snr = np.median(pulls(self.clean, self.variance), -1)
        if not (self.snr[self.fitted] > SNR_MIN).any((1, 2)).all():
            raise InputError(f"snr is {snr}: a galaxy held out has no spaxel above S/N {SNR_MIN:g}; raise it")
        labels = dataclasses.replace(self.known, log10_age=ages + shift[0], log10_z=mets + shift[1])
        self.templates, self.deposit = LibraryTemplates(plan=self.plan), Deposit(bins=self.plan.bins)
        self.spectrograph = Spectrograph(plan=self.plan)
        sigma = np.broadcast_to(np.asarray(known_to, float), (len(drawn), 2))
        everything = {"labels": labels, "motion": self.motion, "flux": self.flux, "variance": self.variance}
        everything |= {"known_to": sigma}
        pick = lambda which: jax.tree.map(lambda x: np.asarray(x, dtype)[which], everything)  # noqa: E731
        self.source = ExactFirst(pick(np.arange(calibrators)), exact_steps, batch_size=batch_size, seed=seed)
        self.validation = InMemory(pick(self.fitted))

    def _draw(self, galaxies: Mapping[str, Sequence[float]], rng: np.random.Generator) -> Any:
        """Maps of one galaxy."""
        number = {name: float(rng.uniform(ends[0], ends[1])) for name, ends in galaxies.items()}
        view = [number.pop(name, default) for name, default in zip(VIEW, (50.0, 90.0), strict=True)]
        return disc_maps(Disc(**number), self.instrument, float(self.placement.kpc_per_arcsec), *view)

    def _cut(self, library: SSPGrid, box: Sequence[tuple[float, float]]) -> SSPGrid:
        """The part of a library that these galaxies need, and room for the errors of fits."""
        doppler = np.exp(self.v_max / C_KMS)
        lo, hi = output_wave_vacuum(self.instrument)[[0, -1]] / (1 + self.redshift)
        ends = [np.asarray(x, float)[[0, -1]] for x in (library.ssp_lg_age_gyr, library.ssp_lgmet)]
        wide = [
            (min(a, max(a - ROOM_DEX, first)), max(b, min(b + ROOM_DEX, last)))
            for (a, b), (first, last) in zip(box, ends, strict=True)
        ]
        return cut_populations(cut_wave(library, lo / doppler - ROOM, hi * doppler + ROOM), *wide)

    def plan_of(self, library: SSPGrid, *, rank: int | None = None) -> Plan:
        """The observation with a library."""
        precision = Precision(rank=rank or self.rank, kernel="nearest", v_max_kms=self.v_max)
        return make_plan(library, self.instrument, self.redshift, precision)

    def _observe(self, ages: np.ndarray, mets: np.ndarray, mass: np.ndarray, snr: float, seed: int) -> Any:
        """Populations, noisy cubes, their variance and cubes without noise, by the exact engine."""
        plan = self.plan_of(self.truth, rank=1)
        engine, ratio = DirectSpectrograph(plan=plan), mass_to_light(plan)

        @jax.jit
        def look(age: Any, z: Any, mass: np.ndarray, motion: Any, key: Array) -> tuple:
            p = Populations(log10_age=age, log10_z=z, log10_light=jnp.log10(mass / ratio(age, z)))
            flux = engine(stars_of_populations(p, motion, plan, self.placement), self.placement).flux
            var = variance(flux, jnp.asarray(plan.wave, flux.dtype), mode="photon", snr=snr)
            return p, add_noise(key, flux, var), var, flux

        keys = jax.random.split(jax.random.key(seed), len(ages))
        given = [jnp.asarray(x, jnp.result_type(float)) for x in (ages, mets, mass)]
        made = [
            look(*(x[i] for x in given), Motion(self.motion.v[i], self.motion.sigma[i]), keys[i])
            for i in range(len(ages))
        ]
        return jax.tree.map(lambda *x: np.stack(x), *made)

    def prepare(self, model: nnx.Module) -> CorrectedSpectra:
        """The model, which must correct spectra."""
        if not isinstance(model, CorrectedSpectra):
            raise InputError(
                f"model is a {type(model).__name__};"
                " this case trains a galdiff.sps.spectral_correction.CorrectedSpectra"
            )
        return model

    def loss(self, model: nnx.Module, batch: Batch, key: Array) -> tuple[Array, Mapping[str, Array]]:
        """Half of chi2 per pixel [1], a scalar, of cubes of known populations; samples are galaxies.

        What is known of a galaxy's age and metallicity has errors; chi2 is that at their most likely values.
        """
        del key
        assert isinstance(model, CorrectedSpectra)
        library = model(self.library)
        bank, light = self.templates(library, self.placement), node_light(self.plan, node_spectra(library, self.plan))

        def miss(error: Float[Array, "2"], sample: Any) -> Float[Array, "pixel"]:
            known = sample["labels"]
            p = dataclasses.replace(known, log10_age=known.log10_age - error[0], log10_z=known.log10_z - error[1])
            stars = stars_of_populations(p, sample["motion"], self.plan, self.placement, light)
            cube = self.spectrograph(NodeSpectra()(self.deposit(stars, self.placement)), bank, self.placement)
            return pulls(cube.flux - sample["flux"], sample["variance"]).ravel()

        @jax.checkpoint
        def chi2(sample: Any) -> Float[Array, ""]:
            return linear_profile(lambda error: miss(error, sample), sample["known_to"]) / sample["flux"].size

        mean = jnp.sum(batch.weight * jax.lax.map(chi2, batch.samples)) / jnp.sum(batch.weight)
        return mean / 2, {"chi2": mean}

    def show(self, outcomes: Mapping[str, Outcome], folder: pathlib.Path) -> dict[str, Any]:
        """Fits of the galaxies held out, with the library as it is and corrected."""
        return report(self, list(outcomes.values())[-1].model, folder)


class ExactFirst(InMemory):
    """Samples whose `known_to` is 0 for the first steps."""

    def __init__(self, samples: dict[str, Any], steps: int, *, batch_size: int, seed: int) -> None:
        super().__init__(samples, batch_size=batch_size, seed=seed)
        self.steps = steps

    def batch(self, step: int) -> Batch:
        """The batch of a step."""
        samples, weight = super().batch(step)
        return Batch({**samples, "known_to": samples["known_to"] * (step >= self.steps)}, weight)


def linear_profile(miss: Callable[[Array], Array], sigma: Float[ArrayLike, "n"]) -> Float[Array, ""]:
    """Smallest miss^2 + (x / sigma)^2 [1] over x, for misses that are linear in x near 0.

    Args:
      miss: from x (n,) to misses in units of their errors (pixel,).
      sigma: of x, (n,); 0 where x is known.
    """
    sigma = jnp.asarray(sigma, float)
    at, along = jax.linearize(miss, jnp.zeros_like(sigma))
    slopes = jax.vmap(along)(jnp.diag(sigma))  # per sigma
    dot = functools.partial(jnp.matmul, precision="highest")
    pull = dot(slopes, at)
    return dot(at, at) - dot(pull, jnp.linalg.solve(dot(slopes, slopes.T) + jnp.eye(len(sigma)), pull))
