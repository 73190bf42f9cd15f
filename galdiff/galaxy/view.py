"""From the galaxy's own frame to the sky: inclination, position angle, line of sight.

Sky frame: x to the East, y to the North, z away from the observer; v_los = +v_z, positive when receding. A galaxy
frame (x_g, y_g, z_g) is turned by R = Rz(theta) Rx(i) Rz(azimuth). A disc that spins along +z_g then recedes on the
side (cos theta, sin theta), so the kinematic position angle, from North through East, is PA = 90 deg - theta.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from galdiff.core.stage import Stage
from galdiff.core.variables import physical, table
from galdiff.errors import InputError
from galdiff.galaxy.centre import CENTRES, find_centre
from galdiff.galaxy.orientation import ORIENTATIONS, find_frame
from galdiff.records import Galaxy, SkyGas, SkyStars


@jax.jit
def rotation_matrix(
    inclination: Float[ArrayLike, ""], theta: Float[ArrayLike, ""], azimuth: Float[ArrayLike, ""] = 0.0
) -> Float[Array, "3 3"]:
    """R = Rz(theta) Rx(inclination) Rz(azimuth), the z-x-z Euler rotation; sky = galaxy @ R.T.

    Rx maps y to y cos i - z sin i and z to y sin i + z cos i: i = 0 is face-on seen along +z_g, 90 deg edge-on.

    Args:
      inclination: angle between z_g and the line of sight [deg].
      theta: rotation in the sky plane, from x (East) towards y (North) [deg].
      azimuth: rotation of the galaxy about its own z axis, from x_g towards y_g (turns a bar) [deg].
    """
    i, t, a = (jnp.deg2rad(jnp.asarray(angle)) for angle in (inclination, theta, azimuth))
    zero, one = jnp.zeros_like(i), jnp.ones_like(i)
    about_x = [[one, zero, zero], [zero, jnp.cos(i), -jnp.sin(i)], [zero, jnp.sin(i), jnp.cos(i)]]
    turn = [_about_z(t), jnp.array(about_x), _about_z(a)]
    return jnp.linalg.multi_dot(turn, precision="highest")


def _about_z(angle: ArrayLike) -> Array:
    c, s, zero = jnp.cos(angle), jnp.sin(angle), jnp.zeros_like(angle)
    return jnp.array([[c, -s, zero], [s, c, zero], [zero, zero, zero + 1]])


@jax.jit
def to_sky(
    pos: Float[Array, "n 3"],
    vel: Float[Array, "n 3"],
    rotation: Float[Array, "3 3"],
    centre: Float[Array, "3"] | None = None,
    velocity: Float[Array, "3"] | None = None,
) -> dict[str, Float[Array, "n"]]:
    """Sky coordinates x, y, z [kpc] and v_los [km/s] of particles.

    Args:
      pos, vel: positions [kpc] and velocities [km/s] as given.
      rotation: 3 x 3 matrix from the given frame to the sky frame.
      centre, velocity: what to subtract first [kpc], [km/s]; None for nothing.
    """
    sky = jnp.matmul(pos if centre is None else pos - centre, rotation.T, precision="highest")
    v_los = jnp.sum((vel if velocity is None else vel - velocity) * rotation[2], -1)
    return dict(x=sky[:, 0], y=sky[:, 1], z=sky[:, 2], v_los=v_los)


class _View(Stage):
    """Angles and frame shared by the views of stars and gas (abstract).

    Args:
      inclination: 0 face-on, 90 edge-on [deg].
      position_angle: of the receding side of a disc that spins along +z_g, from North through East [deg].
      azimuth: rotation of the galaxy about its own axis [deg].
      orientation: "angular_momentum", "shape", or "none" for a galaxy given in its own frame. The frame is found from
        the stars inside the half-mass radius; it is a choice of the observer and carries no gradient.
      centre: "given" (already centred, at rest), "median" or "shrinking_sphere"; the last two also subtract the
        median velocity of the stars inside min(10 kpc, half-mass radius). Carries no gradient either.
      rotation: 3 x 3 matrix from the galaxy's frame to the sky, instead of the three angles.
    """

    def __init__(
        self,
        *,
        inclination: float = 60.0,
        position_angle: float = 90.0,
        azimuth: float = 0.0,
        orientation: str = "angular_momentum",
        centre: str = "given",
        rotation: tuple[tuple[float, ...], ...] | None = None,
    ) -> None:
        # far bounds: angles are periodic, and every angle in use keeps a slope near one
        self.inclination = physical(inclination, lo=-270.0, hi=450.0, unit="deg")
        self.position_angle = physical(position_angle, lo=-360.0, hi=720.0, unit="deg")
        self.azimuth = physical(azimuth, lo=-540.0, hi=540.0, unit="deg")
        self.orientation = _one_of("orientation", orientation, ORIENTATIONS)
        self.centre = _one_of("centre", centre, CENTRES)
        self.rotation = None if rotation is None else _checked_rotation(rotation)

    def line_of_sight(self, galaxy: Galaxy) -> tuple[Array, Array, Array]:
        """Rotation from the given frame to the sky, centre [kpc] and systemic velocity [km/s]."""
        stars = galaxy.stars
        mass = jnp.asarray(stars.mass)
        pos, vel = jnp.asarray(stars.pos), jnp.asarray(stars.vel)
        centre, velocity = jax.lax.stop_gradient(_find_centre(self.centre, pos, vel, mass))
        frame = jax.lax.stop_gradient(find_frame(self.orientation, pos - centre, vel - velocity, mass))
        if self.rotation is None:
            theta = 90.0 - self.position_angle.bounded
            turn = rotation_matrix(self.inclination.bounded, theta, self.azimuth.bounded).astype(pos.dtype)
        else:
            turn = jnp.asarray(self.rotation, pos.dtype)
        return jnp.matmul(turn, frame, precision="highest"), centre, velocity


class StarView(_View):
    """Stars of a galaxy as the observer sees them.

    Args:
      smoothing: by which stars are spread [kpc], shape (star,), from `galaxy.neighbours`; None for what they bring.
      settings: as in `_View`.
    """

    def __init__(self, *, smoothing: Float[ArrayLike, "star"] | None = None, **settings: Any) -> None:
        super().__init__(**settings)
        self.smoothing = None if smoothing is None else table(jnp.asarray(smoothing, jnp.result_type(float)))

    def __call__(self, galaxy: Galaxy) -> SkyStars:
        stars = galaxy.stars
        sky = to_sky(jnp.asarray(stars.pos), jnp.asarray(stars.vel), *self.line_of_sight(galaxy))
        return SkyStars(
            **sky,
            mass=stars.mass,
            age=stars.age,
            metallicity=stars.metallicity,
            a_v=stars.a_v,
            smoothing=stars.smoothing if self.smoothing is None else self.smoothing[...],
        )


class GasView(_View):
    """Gas of a galaxy in the frame of its stars; give it the settings of the `StarView`.

    Args:
      smoothing: by which cells are spread [kpc], shape (gas,); None for what they bring.
      settings: as in `_View`.
    """

    def __init__(self, *, smoothing: Float[ArrayLike, "gas"] | None = None, **settings: Any) -> None:
        super().__init__(**settings)
        self.smoothing = None if smoothing is None else table(jnp.asarray(smoothing, jnp.result_type(float)))

    def __call__(self, galaxy: Galaxy) -> SkyGas:
        gas = galaxy.gas
        if gas is None:
            raise InputError(f"galaxy '{galaxy.name}' has no gas; leave out what needs gas, or read a file with gas")
        sky = to_sky(jnp.asarray(gas.pos), jnp.asarray(gas.vel), *self.line_of_sight(galaxy))
        return SkyGas(
            **sky,
            mass=gas.mass,
            metallicity=gas.metallicity,
            temperature=gas.temperature,
            sfr=gas.sfr,
            oxygen=gas.oxygen,
            hydrogen=gas.hydrogen,
            smoothing=gas.smoothing if self.smoothing is None else self.smoothing[...],
        )


_find_centre = jax.jit(find_centre, static_argnums=0)


def _one_of(field: str, value: str, allowed: tuple[str, ...]) -> str:
    if value not in allowed:
        raise InputError(f"{field} is '{value}'; choose one of {', '.join(allowed)}")
    return value


def _checked_rotation(rotation: Any) -> tuple[tuple[float, ...], ...]:
    matrix = np.asarray(rotation, float)
    proper = matrix.shape == (3, 3) and np.allclose(matrix @ matrix.T, np.eye(3), atol=1e-5)
    if not proper or np.linalg.det(matrix) < 0:
        raise InputError(
            f"rotation is {matrix.tolist()}; give a 3 x 3 matrix with orthonormal rows and determinant +1"
            " (rotation_matrix makes one from angles)"
        )
    return tuple(tuple(float(value) for value in row) for row in matrix)
