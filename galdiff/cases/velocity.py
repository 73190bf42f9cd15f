"""Streaming motions in a disc, found in its data cube by a correction on top of an axisymmetric model.

The truth is a rotating disc with the streaming of a bar. The fit sees its cube, with noise, and knows where the stars
are and what they are; it does not know of a bar. It renders the same kind of cube, pixel by pixel.
"""

import pathlib
import typing
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from galdiff.cases.velocity_report import report
from galdiff.core.correction import Correction
from galdiff.cosmology import Cosmology
from galdiff.errors import InputError
from galdiff.galaxy.streaming import InPlane, StreamingDisc, VelocityResidual, bar_streaming
from galdiff.ifu.direct import DirectSpectrograph
from galdiff.ifu.instrument import Instrument
from galdiff.ifu.noise import add_noise, variance
from galdiff.ifu.per_star import PerStar
from galdiff.ifu.placement import place
from galdiff.ifu.plan import Precision, make_plan
from galdiff.ifu.stages import Spectrograph, Templates
from galdiff.records import Galaxy, ObservedCube, SSPGrid, StarParticles
from galdiff.train.case import Case
from galdiff.train.data import Batch, InMemory
from galdiff.train.loop import Outcome


@typing.final
class HiddenBar(Correction):
    """The streaming of a bar; arguments as in `bar_streaming`."""

    def __init__(self, *, v_r: float, v_phi: float, radius: float, angle: float) -> None:
        if not radius > 0:
            raise InputError(f"radius is {radius} kpc; the streaming is largest there, give one above 0")
        self.v_r, self.v_phi, self.radius, self.angle = float(v_r), float(v_phi), float(radius), float(angle)

    def __call__(self, flows: InPlane, drivers: Float[Array, "star 2"]) -> InPlane:
        """Velocities with the streaming; drivers are positions (x, y) in the plane [kpc]."""
        bar = bar_streaming(drivers, v_r=self.v_r, v_phi=self.v_phi, radius=self.radius, angle=self.angle)
        return InPlane(v_r=flows.v_r + bar.v_r, v_phi=flows.v_phi + bar.v_phi)


@typing.final
class VelocityField(Case):
    """Fit a disc to the data cube of one that streams.

    Args of the constructor:
      truth: the motions that nature follows.
      galaxy: its stars; their velocities play no part, and disc stars alone make sense.
      library: spectra of stellar populations; instrument: the spectrograph.
      redshift: of the galaxy; cosmology: of its distance.
      rank: basis templates of the engine that the fit uses (data come from the exact one).
      v_max: largest line-of-sight velocity [km/s].
      snr: signal to noise per pixel in the brightest spaxel, of its own photons.
      sky: light of the sky over that of the brightest spaxel.
      shrink: weight of the mean square of the residual over its bound, at the stars. A cube shows one component of the
        velocity; of all fields that it allows, this picks the smallest.
      seed: of the noise.
    """

    def __init__(
        self,
        *,
        truth: StreamingDisc,
        galaxy: Galaxy,
        library: SSPGrid,
        instrument: Instrument,
        redshift: float = 0.03,
        cosmology: Cosmology | None = None,
        rank: int = 16,
        v_max: float = 500.0,
        snr: float = 40.0,
        sky: float = 0.02,
        shrink: float = 1e-3,
        seed: int = 0,
    ) -> None:
        if not snr > 0 or not sky > 0 or shrink < 0:
            raise InputError(f"snr is {snr}, sky {sky}, shrink {shrink}; give snr and sky above 0, shrink at least 0")
        self.truth, self.shrink = truth, float(shrink)
        dtype = jnp.result_type(float)
        self.stars: StarParticles = jax.tree.map(lambda x: np.asarray(x, dtype), galaxy.stars)
        self.placement = place(Cosmology() if cosmology is None else cosmology, jnp.asarray(redshift, dtype))
        self.plan = make_plan(library, instrument, redshift, Precision(rank=rank, v_max_kms=v_max))
        self.bank = jax.jit(lambda: Templates(plan=self.plan)(self.placement))()
        exact = DirectSpectrograph(plan=self.plan)
        self.clean = nnx.jit(lambda model: exact(model(self.stars), self.placement))(truth)
        flux, wave = self.clean.flux, self.clean.wave
        photon, background = (variance(flux, wave, mode=mode, snr=snr) for mode in ("photon", "background"))
        self.variance = photon + sky * background
        self.flux = add_noise(jax.random.key(seed), flux, self.variance)
        each = lambda cube: np.asarray(cube).reshape(-1, cube.shape[-1])  # noqa: E731
        n = flux.shape[0] * flux.shape[1]
        self.source = InMemory({"number": np.arange(n), "flux": each(self.flux), "variance": each(self.variance)})

    def cube(self, model: nnx.Module) -> ObservedCube:
        """What the spectrograph records of a model, without noise."""
        spectra = PerStar(plan=self.plan)(model(self.stars), self.placement)  # type: ignore[operator]
        return Spectrograph(plan=self.plan)(spectra, self.bank, self.placement)

    def loss(self, model: nnx.Module, batch: Batch, key: Array) -> tuple[Array, Mapping[str, Array]]:
        """Half of chi2 per pixel [1], a scalar, and what keeps the residual small; samples are spaxels."""
        del key
        made = self.cube(model).flux
        seen = made.reshape(-1, made.shape[-1])[batch.samples["number"]]
        chi2 = jnp.mean((seen - batch.samples["flux"]) ** 2 / batch.samples["variance"], -1)
        chi2 = jnp.sum(batch.weight * chi2) / jnp.sum(batch.weight)
        return chi2 / 2 + self.shrink * self.size(model), {"chi2": chi2}

    def size(self, model: nnx.Module) -> Array:
        """Mean square of the residual over its bound [1], a scalar, over the stars; 0 where there is none."""
        correction = model.correction  # type: ignore[attr-defined]
        if not isinstance(correction, VelocityResidual):
            return jnp.zeros(())
        return jnp.mean((correction.residual(jnp.asarray(self.stars.pos[:, :2])) / correction.bound) ** 2)

    def show(self, outcomes: Mapping[str, Outcome], folder: pathlib.Path) -> dict[str, Any]:
        """Maps of residual velocities, and how well they agree."""
        return report(self, {name: outcome.model for name, outcome in outcomes.items()}, folder)
