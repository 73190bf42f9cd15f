"""Noise of an observed cube."""

import dataclasses
import functools
import warnings
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import ArrayLike, Float

from galdiff.core.kept import Kept
from galdiff.errors import InputError
from galdiff.ifu.counting import counting
from galdiff.ifu.covariance import averaged, correlation, root
from galdiff.ifu.noise import add_noise, detector_variance, variance
from galdiff.ifu.plan import Plan
from galdiff.records import ObservedCube

EXPOSURE = "exposure"  # mode: of the instrument's telescope and detector


def with_noise(
    cube: ObservedCube, *, seed: int, mode: str, sigmas: tuple[float, float] | None = None, **level: Any
) -> ObservedCube:
    """Cube with noise and its exact variance, positive in the whole aperture; the cube itself where snr is None.

    Args:
      cube: without noise.
      seed: of the draw.
      mode: see `galdiff.ifu.noise.variance`, or exposure.
      sigmas: of the Gaussian by which spaxels share noise, along (y, x) [spaxel]; None for independent ones. An
        exposure is then one that was resampled: each spaxel has the mean of as many as share their noise.
      level: of an exposure, what `galdiff.ifu.counting.counting` gives; else snr, per pixel [1], or None for no noise;
        reference, the spaxel that has it, brightest or median; wave_ref, where [Angstrom], None for the middle of the
        range; background, the light of sky and detector over that of the reference [1].

    Raises:
      InputError: the reference has no light, so that nothing says how much noise there is.
    """
    if mode != EXPOSURE and level["snr"] is None:
        return cube
    shape, reference = np.shape(cube.inside), level.pop("reference", "")
    roots = None
    if sigmas is not None:
        roots = tuple(root(correlation(n, s)) for n, s in zip(shape, sigmas, strict=True))
        level |= {"shared": averaged(sigmas)} if mode == EXPOSURE else {}
    words = np.array(divmod(seed, 1 << 32), np.uint32)  # what jax.random.key(seed) holds
    flux, known, least = _draw(cube.flux, cube.wave, cube.inside, words, level, roots, mode, reference)
    if not float(least) > 0:
        raise InputError(
            f"noise.reference is {reference}, which has no light at noise.wave_ref ({level['wave_ref']} Angstrom; null:"
            " middle of the range), so that no S/N can be set by it; move wave_ref, or take noise.mode=exposure"
        )
    return dataclasses.replace(cube, flux=flux, variance=known)


def warn_faint(cube: ObservedCube, variance: Float[ArrayLike, "y x wave"]) -> None:
    """Warn where the brightest spaxel of a cube without noise is fainter than its noise, of this variance [flux^2]."""
    inside = np.asarray(cube.inside)
    light, known = (np.asarray(jnp.mean(jnp.asarray(x), -1), np.float64)[inside] for x in (cube.flux, variance))
    best = float(np.max(light / np.sqrt(known)))
    if best < 1:
        warnings.warn(
            f"the S/N of this exposure is {best:.2g} per pixel in the best spaxel: the galaxy hardly shows; lengthen"
            " noise.exposure_s, lower placement.redshift, or set the S/N (noise.snr with another noise.mode)",
            stacklevel=2,
        )


def level_of(noise: Mapping[str, Any], plan: Plan) -> dict[str, Any]:
    """Arguments of `with_noise` beside the seed, from those of a `Setup` and the pixels that are recorded.

    Raises:
      InputError: an exposure of an instrument without detector, or a sky that does not cover the pixels [Angstrom].
    """
    if noise["mode"] != EXPOSURE:
        return dict(noise)
    kept = {name: noise[name] for name in ("mode", "sigmas")}
    return kept | counting(
        plan.instrument, plan.wave, **{name: value for name, value in noise.items() if name not in kept}
    )


@functools.partial(Kept, static_argnames=("mode", "reference"))
def _draw(flux: Any, wave: Any, inside: Any, words: Any, level: Any, roots: Any, mode: str, reference: str) -> Any:
    """Noisy flux, variance, and the smallest variance inside the aperture, in one program."""
    flux, inside = jnp.asarray(flux), jnp.asarray(inside)[..., None]
    if mode == EXPOSURE:
        found: dict[str, Any] = {name: jnp.asarray(value, flux.dtype) for name, value in level.items()}
        shared = found.pop("shared", 1.0)
        known = detector_variance(flux, **found) / shared
    else:
        known = variance(flux, jnp.asarray(wave), mode=mode, reference=reference, **level)
    known = jnp.where(inside, known.astype(flux.dtype), 0)
    noisy = add_noise(jax.random.wrap_key_data(words, impl="threefry2x32"), flux, known, roots)
    return noisy, known, jnp.min(jnp.where(inside, known, jnp.inf))
