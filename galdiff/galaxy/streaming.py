"""A thin disc whose stars rotate, and stream besides: what an axisymmetric model and a correction say they do.

Positions, masses and populations are given (imaging and stellar populations know them); velocities are computed. In
the plane they are (v_R, v_phi) = (0, v_max tanh(R / r_turn)) plus a correction; along the line of sight they scatter
by sigma exp(-R / r_sigma).
"""

import typing
from collections.abc import Callable
from typing import ClassVar

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from galdiff.core.correction import Correction, Hook, NoCorrection
from galdiff.core.record import quantity, record
from galdiff.core.stage import Stage
from galdiff.core.variables import Physical, physical
from galdiff.errors import InputError
from galdiff.galaxy.view import rotation_matrix, to_sky
from galdiff.records import SkyStars, StarParticles

# Gauss-Hermite nodes [sigma] and weights: three velocities with the first five moments of a Gaussian
HERMITE = ((-np.sqrt(3.0), 0.0, np.sqrt(3.0)), (1 / 6, 2 / 3, 1 / 6))
SMALLEST = 1e-6  # kpc; radii are softened by it, as there is no direction at the centre


@record
class InPlane:
    """Mean velocity in the plane of a disc."""

    v_r: Float[Array, "star"] = quantity("km/s", "away from the centre")
    v_phi: Float[Array, "star"] = quantity("km/s", "counter-clockwise seen from +z")


@typing.final
class VelocityResidual(Correction):
    """Add (v_R, v_phi) = bound * tanh(net(x, y)) to velocities in the plane; nothing before training.

    Args of the constructor:
      net: from the position (x, y) [kpc] to two numbers; bound: largest speed that it adds to each component [km/s].
    """

    def __init__(self, *, net: Callable, bound: float) -> None:
        if bound is None or not bound > 0:
            raise InputError(f"bound is {bound} km/s; it is the largest speed added and must be above 0, such as 150")
        if getattr(net, "n_out", 2) != 2:
            raise InputError(f"net has n_out = {net.n_out}; v_R and v_phi need 2")  # type: ignore[attr-defined]
        self.net, self.bound = net, float(bound)

    def __call__(self, flows: InPlane, drivers: Float[Array, "star 2"]) -> InPlane:
        """Velocities with the residual; drivers are positions (x, y) in the plane [kpc]."""
        v_r, v_phi = jnp.moveaxis(self.residual(drivers), -1, 0)
        return InPlane(v_r=flows.v_r + v_r, v_phi=flows.v_phi + v_phi)

    def residual(self, drivers: Float[Array, "star 2"]) -> Float[Array, "star 2"]:
        """(v_R, v_phi) that is added [km/s]."""
        return self.bound * jnp.tanh(self.net(drivers))


class StreamingDisc(Stage):
    """Stars of a thin disc as the observer sees them, their velocities from a rotation curve and a correction.

    Args:
      v_max, r_turn: rotation v_max tanh(R / r_turn) [km/s], [kpc].
      sigma, r_sigma: dispersion sigma exp(-R / r_sigma), the same in all directions [km/s], [kpc].
      inclination, position_angle: as in `galdiff.galaxy.view.StarView` [deg].
      correction: of the mean velocity in the plane, an `InPlane`, of (x, y) [kpc].

    The four laws are trained as log10_v_max, log10_r_turn, log10_sigma and log10_r_sigma.
    """

    hooks: ClassVar = {
        "correction": Hook(drivers=("x [kpc]", "y [kpc]"), offset=(0.0, 0.0), scale=(10.0, 10.0), n_out=2)
    }

    def __init__(
        self,
        *,
        v_max: float = 200.0,
        r_turn: float = 1.5,
        sigma: float = 60.0,
        r_sigma: float = 8.0,
        inclination: float = 50.0,
        position_angle: float = 90.0,
        correction: Correction | None = None,
    ) -> None:
        self.log10_v_max = _log10("v_max", v_max, "km/s", 10.0, 1e3)
        self.log10_r_turn = _log10("r_turn", r_turn, "kpc", 0.03, 30.0)
        self.log10_sigma = _log10("sigma", sigma, "km/s", 3.0, 500.0)
        self.log10_r_sigma = _log10("r_sigma", r_sigma, "kpc", 0.3, 300.0)
        self.inclination = physical(inclination, lo=-270.0, hi=450.0, unit="deg")
        self.position_angle = physical(position_angle, lo=-360.0, hi=720.0, unit="deg")
        self.correction = NoCorrection() if correction is None else correction

    def __call__(self, stars: StarParticles) -> SkyStars:
        """Three stars for each one given, which share its mass and sample the velocities along the line of sight.

        Velocities that `stars` come with play no part; positions are in the frame of the disc, which spins along +z.
        """
        pos = jnp.asarray(stars.pos)
        turn = rotation_matrix(self.inclination.bounded, 90.0 - self.position_angle.bounded).astype(pos.dtype)
        sky = to_sky(pos, self.mean_velocity(pos), turn)
        radius = _radius(pos)
        sigma = 10.0**self.log10_sigma.bounded * jnp.exp(-radius / 10.0**self.log10_r_sigma.bounded)
        offset, share = (jnp.asarray(x, pos.dtype)[:, None] for x in HERMITE)
        thrice = lambda x: jnp.tile(jnp.asarray(x), 3)  # noqa: E731
        return SkyStars(
            x=thrice(sky["x"]),
            y=thrice(sky["y"]),
            z=thrice(sky["z"]),
            v_los=(sky["v_los"] + offset * sigma).reshape(-1),
            mass=(share * stars.mass).reshape(-1),
            age=thrice(stars.age),
            metallicity=thrice(stars.metallicity),
            a_v=None if stars.a_v is None else thrice(stars.a_v),
            smoothing=None if stars.smoothing is None else thrice(stars.smoothing),
        )

    def mean_velocity(self, pos: Float[Array, "star 3"]) -> Float[Array, "star 3"]:
        """Mean velocity in the frame of the disc [km/s] at positions there [kpc]."""
        radius = _radius(pos)
        v_phi = 10.0**self.log10_v_max.bounded * jnp.tanh(radius / 10.0**self.log10_r_turn.bounded)
        rotation = InPlane(v_r=jnp.zeros_like(v_phi), v_phi=v_phi)
        mean = self.correction(rotation, pos[:, :2])
        c, s = pos[:, 0] / radius, pos[:, 1] / radius
        return jnp.stack([mean.v_r * c - mean.v_phi * s, mean.v_r * s + mean.v_phi * c, jnp.zeros_like(radius)], -1)


def bar_streaming(pos: Float[Array, "star 2"], *, v_r: float, v_phi: float, radius: float, angle: float) -> InPlane:
    """Streaming of two-fold symmetry, as in a bar (form of Spekkens & Sellwood 2007, ApJ 664, 204, eq. 5).

    (-v_r sin 2(phi - angle), -v_phi cos 2(phi - angle)) a(R), a = u exp((1 - u^2) / 2), u = R / radius: strongest at
    `radius`, slowest rotation along the bar.

    Args:
      pos: (x, y) in the plane of the disc [kpc].
      v_r, v_phi: largest radial and azimuthal amplitudes [km/s]; radius: where they are [kpc].
      angle: of the bar from +x, counter-clockwise [deg].
    """
    x, y = pos[:, 0], pos[:, 1]
    square = x**2 + y**2 + SMALLEST**2
    twice, u2 = 2 * np.deg2rad(angle), square / radius**2
    cos, sin = (x**2 - y**2) / square, 2 * x * y / square  # of 2 phi
    a = jnp.sqrt(u2) * jnp.exp((1 - u2) / 2)
    return InPlane(
        v_r=-v_r * a * (sin * np.cos(twice) - cos * np.sin(twice)),
        v_phi=-v_phi * a * (cos * np.cos(twice) + sin * np.sin(twice)),
    )


def _radius(pos: Float[Array, "star 3"]) -> Float[Array, "star"]:
    return jnp.sqrt(pos[:, 0] ** 2 + pos[:, 1] ** 2 + SMALLEST**2)


def _log10(name: str, value: float, unit: str, lo: float, hi: float) -> Physical:
    """Trainable logarithm of a positive number."""
    if not lo < value < hi:
        raise InputError(f"{name} is {value} {unit}; give a number between {lo:g} and {hi:g}")
    return physical(float(np.log10(value)), lo=float(np.log10(lo)), hi=float(np.log10(hi)), unit=f"dex({unit})")
