"""Which way a galaxy points: its face-on frame (where it is and how it moves: `galdiff.galaxy.centre`).

A frame is a 3 x 3 matrix whose rows are the unit vectors (x_g, y_g, z_g): `pos @ frame.T` are coordinates in it.
Stars outside the half-mass radius are masked by weights, so all shapes are static.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from galdiff.errors import InputError
from galdiff.galaxy.centre import half_mass_radius, order_one, within

SIGN_VECTOR = (1.0, 0.1, 0.01)  # x_g points along it; no symmetry axis of the input is perpendicular to it
ORIENTATIONS = ("angular_momentum", "shape", "none")


def angular_momentum_frame(
    pos: Float[Array, "n 3"], vel: Float[Array, "n 3"], mass: Float[Array, "n"]
) -> Float[Array, "3 3"]:
    """Frame with z_g along the angular momentum J = sum m x cross v inside the half-mass radius.

    x_g is the major axis of the same stars projected on the plane normal to J, on the side of SIGN_VECTOR.
    Differentiable in positions, velocities and masses; without any rotation z_g is the input's z axis.

    Args:
      pos: positions [kpc], centred.
      vel: velocities [km/s], without the systemic velocity.
      mass: masses [any unit; scaled to order one inside].

    Returns:
      Rows x_g, y_g, z_g; orthonormal, determinant +1.
    """
    radius = half_mass_radius(pos, mass)
    weight = _inside(pos, order_one(mass), radius)
    scaled = pos / jnp.where(radius > 0, radius, 1)
    z_g = _unit(_angular_momentum(scaled, vel, weight), (0.0, 0.0, 1.0))
    helper = jnp.where(jnp.abs(z_g[0]) < 0.9, jnp.eye(3, dtype=pos.dtype)[0], jnp.eye(3, dtype=pos.dtype)[1])
    a = _unit(helper - jnp.dot(helper, z_g) * z_g, (1.0, 0.0, 0.0))
    b = jnp.cross(z_g, a)
    u, v = _project(scaled, a), _project(scaled, b)
    s_uv, s_diff = 2 * jnp.sum(weight * u * v), jnp.sum(weight * (u**2 - v**2))
    round_ = (s_uv == 0) & (s_diff == 0)
    angle = 0.5 * jnp.arctan2(s_uv, jnp.where(round_, 1.0, s_diff))
    x_g = _same_side(jnp.cos(angle) * a + jnp.sin(angle) * b, jnp.asarray(SIGN_VECTOR, pos.dtype))
    return jnp.stack([x_g, jnp.cross(z_g, x_g), z_g])


def shape_frame(
    pos: Float[Array, "n 3"], vel: Float[Array, "n 3"], mass: Float[Array, "n"], n_iter: int = 50
) -> Float[Array, "3 3"]:
    """Frame of the principal axes: x_g long, y_g middle, z_g short, z_g on the side of J; carries no gradient.

    Diagonalises the reduced tensor S_ab = sum m x_a x_b / q^2 with q^2 = x^2 + (y/p)^2 + (z/s)^2 (Dubinski & Carlberg
    1991, ApJ 378, 496; Zemp et al. 2011, ApJS 197, 30) of the stars inside the half-mass radius, until the axis
    ratios p and s change by less than 1 %. `eigh` returns a mirrored frame half of the time: signs are set here.

    Args:
      pos: positions [kpc], centred.
      vel: velocities [km/s], without the systemic velocity.
      mass: masses [any unit; scaled to order one inside].
      n_iter: at most so many iterations.

    Returns:
      Rows x_g, y_g, z_g; orthonormal, determinant +1.
    """
    pos, vel, mass = jax.lax.stop_gradient((pos, vel, mass))
    radius = half_mass_radius(pos, mass)
    weight = _inside(pos, order_one(mass), radius)
    pos = pos / jnp.where(radius > 0, radius, 1)

    def step(state: Any) -> tuple:
        axes, ratios, _, n = state
        q2 = jnp.sum((jnp.matmul(pos, axes.T, precision="highest") / ratios) ** 2, -1)
        w = jnp.where(q2 > 0, weight / jnp.where(q2 > 0, q2, 1), 0)
        tensor = jnp.matmul((pos * w[:, None]).T, pos, precision="highest")
        values, vectors = jnp.linalg.eigh(tensor / jnp.maximum(jnp.trace(tensor), jnp.finfo(w.dtype).tiny))
        lengths = jnp.sqrt(jnp.maximum(values[::-1], 1e-8))
        new = lengths / lengths[0]
        return vectors[:, ::-1].T, new, jnp.max(jnp.abs(new / ratios - 1)), n + 1

    start = (jnp.eye(3, dtype=pos.dtype), jnp.ones(3, pos.dtype), jnp.asarray(jnp.inf, pos.dtype), 0)
    axes = jax.lax.while_loop(lambda s: (s[2] > 0.01) & (s[3] < n_iter), step, start)[0]
    sign = jnp.asarray(SIGN_VECTOR, pos.dtype)
    spin = _angular_momentum(pos, vel, weight)
    z_g = _same_side(axes[2], jnp.where(jnp.dot(axes[2], spin) == 0, sign, spin))
    x_g = _same_side(axes[0], sign)
    return jnp.stack([x_g, jnp.cross(z_g, x_g), z_g])


@functools.partial(jax.jit, static_argnums=0)
def find_frame(
    method: str, pos: Float[Array, "n 3"], vel: Float[Array, "n 3"], mass: Float[Array, "n"]
) -> Float[Array, "3 3"]:
    """Frame by one of ORIENTATIONS; identity for "none". Takes [kpc], [km/s] and [Msun], gives rows [1].

    Raises:
      InputError: no such method.
    """
    if method == "none":
        return jnp.eye(3, dtype=pos.dtype)
    if method not in ORIENTATIONS:
        raise InputError(f"orientation is '{method}'; choose one of {', '.join(ORIENTATIONS)}")
    return (angular_momentum_frame if method == "angular_momentum" else shape_frame)(pos, vel, mass)


def _inside(pos: Array, weight: Any, radius: Any) -> Array:
    return jnp.where(within(pos, radius), weight, 0)


def _project(pos: Float[Array, "star 3"], axis: Float[Array, "3"]) -> Array:
    return jnp.sum(pos * axis, -1)  # no matmul: exact float32 also where those use TF32


def _angular_momentum(pos: Array, vel: Array, weight: Array) -> Array:
    """Direction of J with a length of order one."""
    scale = jnp.maximum(jnp.max(jnp.abs(jax.lax.stop_gradient(vel))), 1e-12) * jnp.maximum(jnp.sum(weight), 1e-12)
    return jnp.sum(weight[:, None] * jnp.cross(pos, vel), 0) / scale


def _unit(vector: Array, fallback: Any) -> Array:
    norm2 = jnp.sum(vector**2)
    unit = vector / jnp.sqrt(jnp.where(norm2 > 0, norm2, 1))
    return jnp.where(norm2 > 0, unit, jnp.asarray(fallback, vector.dtype))


def _same_side(axis: Array, direction: Array) -> Array:
    return jnp.where(jnp.dot(axis, direction) < 0, -axis, axis)
