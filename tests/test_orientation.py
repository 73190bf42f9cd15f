"""Centre, frame and line of sight of a galaxy."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from galdiff.core.record import check
from galdiff.core.variables import to_bounded
from galdiff.errors import InputError
from galdiff.galaxy import centre as centre_of
from galdiff.galaxy import orientation
from galdiff.galaxy.view import GasView, StarView, rotation_matrix
from galdiff.records import Galaxy, GasParticles, StarParticles

FRAMES = {"angular_momentum": orientation.angular_momentum_frame, "shape": orientation.shape_frame}
frame_of = {name: jax.jit(function) for name, function in FRAMES.items()}


def bar(n=3000, dtype=np.float64):
    """A flat, elongated, rotating body: long axis x, short axis z, J along +z."""
    rng = np.random.default_rng(1)
    pos = rng.normal(size=(n, 3)) * (4.0, 2.0, 0.5)
    vel = np.cross((0.0, 0.0, 30.0), pos) + rng.normal(size=(n, 3)) * 20.0
    return pos.astype(dtype), vel.astype(dtype), (1e6 * rng.uniform(0.5, 1.5, n)).astype(dtype)


def galaxy_of(pos, vel, mass, **kwargs):
    n = len(mass)
    stars = StarParticles(
        pos=jnp.asarray(pos),
        vel=jnp.asarray(vel),
        mass=jnp.asarray(mass),
        age=jnp.full(n, 5.0),
        metallicity=jnp.full(n, 0.02),
    )
    return Galaxy(stars=stars, **kwargs)


def test_quantile_is_that_of_a_sorted_list():
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=501), rng.uniform(size=501)
    order = np.argsort(x)
    for q in (0.1, 0.5, 0.9):
        expected = x[order][np.searchsorted(np.cumsum(w[order]), q * w.sum())]
        assert centre_of.weighted_quantile(jnp.asarray(x), jnp.asarray(w), q) == expected


def test_half_mass_radius_of_a_uniform_sphere():
    rng = np.random.default_rng(0)
    direction = rng.normal(size=(20000, 3))
    pos = direction / np.linalg.norm(direction, axis=1)[:, None] * rng.uniform(size=(20000, 1)) ** (1 / 3)
    mass = np.full(20000, 1e6)
    np.testing.assert_allclose(centre_of.half_mass_radius(pos, mass), 0.5 ** (1 / 3), rtol=5e-3)
    padded = np.concatenate([pos, 100 * np.ones((500, 3))]), np.concatenate([mass, np.zeros(500)])
    radius = centre_of.half_mass_radius(pos, mass)
    np.testing.assert_allclose(centre_of.half_mass_radius(*padded), radius, rtol=1e-3)


@pytest.mark.parametrize("name", FRAMES)
def test_frame_turns_with_the_galaxy_and_is_never_mirrored(name):
    pos, vel, mass = bar()
    for turn in Rotation.random(8, rng=np.random.default_rng(3)).as_matrix():
        frame = np.asarray(frame_of[name](pos @ turn.T, vel @ turn.T, mass))
        np.testing.assert_allclose(frame @ frame.T, np.eye(3), atol=1e-12)
        assert np.linalg.det(frame) > 0.99
        assert frame[2] @ turn[:, 2] > 0.995  # short axis and J: +z of the body
        assert abs(frame[0] @ turn[:, 0]) > 0.99  # long axis: x of the body, sign by the fixed vector
        assert frame[0] @ np.array(orientation.SIGN_VECTOR) > 0


@pytest.mark.parametrize("name", FRAMES)
def test_frame_in_single_precision_with_masses_in_msun(name):
    pos, vel, mass = bar()
    double = frame_of[name](pos, vel, mass)
    single = frame_of[name](*(x.astype(np.float32) for x in (pos, vel, mass * 1e5)))
    assert single.dtype == jnp.float32
    np.testing.assert_allclose(single, double, atol=2e-3 if name == "shape" else 1e-5)


def test_axes_of_the_shape_follow_the_ellipsoid_not_the_sphere():
    rng = np.random.default_rng(5)
    pos = rng.normal(size=(20000, 3)) * (3.0, 2.5, 2.0)
    turn = Rotation.from_euler("zyx", [20, 30, 40], degrees=True).as_matrix()
    frame = np.asarray(frame_of["shape"](pos @ turn.T, 0 * pos, np.ones(20000)))
    assert (np.abs(np.diag(frame @ turn)) > 0.98).all()


def test_gradient_of_the_angular_momentum_frame():
    pos, vel, mass = bar(3000)
    weight = np.random.default_rng(2).normal(size=(3, 3))

    @jax.jit
    def loss(pos, vel):
        return jnp.sum(weight * orientation.angular_momentum_frame(pos, vel, mass))

    by_pos, by_vel = jax.grad(loss, (0, 1))(pos, vel)
    rng = np.random.default_rng(4)
    step_pos, step_vel = 1e-6 * rng.normal(size=pos.shape), 1e-5 * rng.normal(size=pos.shape)
    fixed_radius = centre_of.half_mass_radius(pos, mass)  # no star may cross it in the difference
    step_pos[np.abs(np.linalg.norm(pos, axis=1) - fixed_radius) < 1e-4] = 0
    for step, grad in ((step_pos, (by_pos, 0 * by_vel)), (step_vel, (0 * by_pos, by_vel))):
        moves = (step, 0 * step) if step is step_pos else (0 * step, step)
        expected = (loss(pos + moves[0], vel + moves[1]) - loss(pos - moves[0], vel - moves[1])) / 2
        got = jnp.sum(grad[0] * moves[0]) + jnp.sum(grad[1] * moves[1])
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-10)


@pytest.mark.parametrize("case", ["at_rest", "one_star", "all_at_the_origin", "no_mass"])
def test_frames_and_their_gradients_survive_degenerate_input(case):
    pos, vel, mass = bar(40)
    if case == "at_rest":
        vel = 0 * vel
    elif case == "one_star":
        mass = np.where(np.arange(40) == 3, mass, 0)
    elif case == "all_at_the_origin":
        pos = 0 * pos
    else:
        mass = 0 * mass
    for name, function in FRAMES.items():
        frame = frame_of[name](pos, vel, mass)
        np.testing.assert_allclose(frame @ frame.T, np.eye(3), atol=1e-9)
        grads = jax.jit(jax.grad(lambda *a, f=function: jnp.sum(f(*a)), (0, 1, 2)))(pos, vel, mass)
        assert all(jnp.isfinite(g).all() for g in grads)


def test_shrinking_sphere_finds_the_dense_galaxy_beside_a_heavier_loose_group():
    rng = np.random.default_rng(0)
    centre = np.array([3.0, -2.0, 1.0])
    pos = np.concatenate([centre + 0.5 * rng.normal(size=(4000, 3)), 40 + 15 * rng.normal(size=(3000, 3))])
    mass = np.concatenate([np.full(4000, 1e5), np.full(3000, 2e5)])
    found = jax.jit(centre_of.shrinking_sphere)(pos, mass)
    np.testing.assert_allclose(found, centre, atol=0.1)

    def loss(factor):
        return centre_of.shrinking_sphere(pos + factor, mass)[0]

    np.testing.assert_allclose(jax.jit(jax.grad(loss))(0.0), 1.0, rtol=1e-12)


@pytest.mark.parametrize(("method", "n"), [("median", 50), ("shrinking_sphere", 99), ("shrinking_sphere", 2000)])
def test_readers_and_views_find_one_centre_and_particles_without_mass_do_not_count(method, n):
    pos, vel, mass = bar(n)
    pos, vel = pos + np.array([6e4, -3.0, 8.0]), vel + np.array([300.0, 0.0, -40.0])  # [kpc], as in a box
    padded = np.concatenate([pos, pos[:3] + 30]), np.concatenate([vel, 9 * vel[:3]]), np.append(mass, np.zeros(3))
    plain = centre_of.find_centre(method, pos, vel, mass)
    assert all(isinstance(x, np.ndarray) for x in plain)
    for each in (padded, tuple(map(jnp.asarray, padded))):
        for got, wanted in zip(centre_of.find_centre(method, *each), plain, strict=True):
            np.testing.assert_allclose(got, wanted, rtol=1e-12, atol=1e-9)
    if method == "median":
        np.testing.assert_allclose(plain[0], np.median(pos, axis=0), rtol=1e-14)
    np.testing.assert_allclose(
        centre_of.half_mass_radius(*(jnp.asarray(x) for x in (padded[0], padded[2]))),
        centre_of.half_mass_radius(pos, mass),
        rtol=1e-12,
    )


def test_a_sphere_stops_at_a_hundred_particles_and_counts_its_edge():
    shell = np.concatenate([np.eye(3), -np.eye(3)])  # all at the radius of the first sphere
    pos = np.concatenate([np.zeros((99, 3)), shell])
    np.testing.assert_allclose(centre_of.shrinking_sphere(pos, np.ones(105)), 0.0, atol=1e-12)
    line = np.concatenate([np.tile([[1.0, 0, 0]], (100, 1)), np.zeros((99, 3))])
    mass = np.append(np.full(100, 2.0), np.ones(99))
    np.testing.assert_allclose(centre_of.shrinking_sphere(line, mass)[0], 1.0)  # the hundred
    np.testing.assert_allclose(centre_of.shrinking_sphere(line[1:], mass[1:])[0], 2 / 3)  # no hundred: all


def test_systemic_velocity_is_taken_from_stars_and_gas():
    pos, vel, mass = bar()
    shift, boost = np.array([5.0, 1.0, -2.0]), np.array([100.0, -50.0, 300.0])
    gas = GasParticles(pos=pos + shift, vel=vel + boost, mass=mass, metallicity=0 * mass)
    moved = galaxy_of(pos + shift, vel + boost, mass, gas=gas)
    for centre in ("median", "shrinking_sphere"):
        view = dict(inclination=90.0, position_angle=90.0, orientation="none", centre=centre)
        stars, sky_gas = jax.jit(StarView(**view))(moved), jax.jit(GasView(**view))(moved)
        np.testing.assert_allclose(np.median(stars.v_los), 0.0, atol=10.0)
        np.testing.assert_allclose(np.median(stars.x), 0.0, atol=0.5)
        for name in ("x", "y", "z", "v_los"):
            np.testing.assert_allclose(getattr(sky_gas, name), getattr(stars, name), atol=1e-9)


def test_inclination_and_roll_of_the_reference_galaxy(data_dir):
    with np.load(data_dir / "ifu" / "reference_shared.npz") as ref_file:
        names = ("raw_coords_kpc", "raw_velocity_kms", "coords_kpc", "velocity_kms", "mass_msun")
        ref = {name: ref_file[name] for name in (*names, "inclination_deg", "roll_deg")}
    rotation = tuple(map(tuple, np.asarray(rotation_matrix(ref["inclination_deg"], ref["roll_deg"]))))
    galaxy = galaxy_of(ref["raw_coords_kpc"], ref["raw_velocity_kms"], ref["mass_msun"])
    for angles in (
        dict(inclination=float(ref["inclination_deg"]), position_angle=90 - float(ref["roll_deg"])),
        dict(rotation=rotation),
    ):
        sky = StarView(**angles, orientation="none")(galaxy)
        np.testing.assert_allclose(np.stack([sky.x, sky.y, sky.z], -1), ref["coords_kpc"], atol=5e-6)
        np.testing.assert_allclose(sky.v_los, ref["velocity_kms"][:, 2], atol=1e-4)


@pytest.mark.parametrize("position_angle", [0.0, 30.0, 90.0, 200.0, 315.0])
def test_receding_side_lies_at_the_position_angle(position_angle):
    turn = Rotation.from_euler("zyx", [20, 130, 40], degrees=True).as_matrix()
    pos, vel, mass = bar()
    pos, vel = pos[:, [1, 0, 2]] * (1, 1, 1), np.cross((0, 0, 30.0), pos[:, [1, 0, 2]])
    view = StarView(inclination=50.0, position_angle=position_angle)
    sky = view(galaxy_of(pos @ turn.T, vel @ turn.T, mass))
    dipole = np.arctan2(np.sum(sky.v_los * sky.x), np.sum(sky.v_los * sky.y))  # North (y) through East (x)
    difference = (np.rad2deg(dipole) - position_angle + 180) % 360 - 180
    assert abs(difference) < 12.0  # the bar pulls the dipole off the node line
    ring = np.array([[np.cos(a), np.sin(a), 0.0] for a in np.linspace(0, 2 * np.pi, 60, endpoint=False)])
    sky = StarView(inclination=50.0, position_angle=position_angle, orientation="none")(
        galaxy_of(ring, np.cross((0, 0, 100.0), ring), np.ones(60))
    )
    dipole = np.arctan2(np.sum(sky.v_los * sky.x), np.sum(sky.v_los * sky.y))
    np.testing.assert_allclose((np.rad2deg(dipole) - position_angle + 180) % 360 - 180, 0.0, atol=1e-6)


def test_face_on_hides_rotation_and_edge_on_hides_the_disc():
    pos, vel, mass = bar()
    galaxy = galaxy_of(pos * (1, 1, 0), vel * (1, 1, 0), mass)
    face, edge = (StarView(inclination=i, orientation="none")(galaxy) for i in (0.0, 90.0))
    np.testing.assert_allclose(face.v_los, 0.0, atol=1e-9)
    np.testing.assert_allclose(edge.y, 0.0, atol=1e-9)
    np.testing.assert_allclose(np.std(edge.v_los), np.std(vel[:, 1]), rtol=1e-9)


def test_azimuth_turns_the_galaxy_about_its_own_axis():
    pos, vel, mass = bar()
    sky = StarView(inclination=0.0, position_angle=90.0, azimuth=90.0, orientation="none")(galaxy_of(pos, vel, mass))
    np.testing.assert_allclose(sky.y, pos[:, 0], atol=1e-9)
    np.testing.assert_allclose(sky.x, -pos[:, 1], atol=1e-9)


@pytest.mark.parametrize("angles", [(0.0, 0.0), (60.0, 120.0), (90.0, 350.0), (180.0, 45.0)])
def test_gradients_in_the_angles_match_central_differences(angles):
    galaxy = galaxy_of(*bar(40))
    weight = jnp.asarray(np.random.default_rng(0).normal(size=(4, 40)))

    def loss(view):
        sky = view(galaxy)
        return jnp.sum(weight * jnp.stack([sky.x, sky.y, sky.z, sky.v_los / 50]))

    @jax.jit
    def value(raw):
        view = StarView(orientation="none")
        view.inclination.set_value(raw[0])
        view.position_angle.set_value(raw[1])
        return loss(view)

    view, e = StarView(inclination=angles[0], position_angle=angles[1], orientation="none"), 1e-3
    raw = jnp.stack([view.inclination[...], view.position_angle[...]])
    grad = jax.jit(jax.grad(value))(raw)
    for k, variable in enumerate((view.inclination, view.position_angle)):
        moved = e * np.eye(2)[k]
        expected = (value(raw + moved) - value(raw - moved)) / (2 * e)
        np.testing.assert_allclose(grad[k], expected, rtol=1e-6, atol=1e-7)
        slope = jax.grad(lambda u, v=variable: to_bounded(u, v.lo, v.hi))(raw[k])
        assert slope > 0.7  # every angle in use is far from its bounds


def test_frame_is_a_choice_of_the_observer_and_carries_no_gradient():
    galaxy = galaxy_of(*bar(3000))
    view = StarView(inclination=40.0, centre="median")
    rotation = view.line_of_sight(galaxy)[0]

    def loss(pos):
        return view(dataclasses.replace(galaxy, stars=dataclasses.replace(galaxy.stars, pos=pos))).x[7]

    grad = jax.jit(jax.grad(loss))(galaxy.stars.pos)
    np.testing.assert_allclose(grad[7], rotation[0], atol=1e-12)
    np.testing.assert_allclose(jnp.delete(grad, 7, axis=0), 0.0, atol=1e-12)


def test_view_compiles_maps_over_galaxies_and_keeps_single_precision():
    galaxy = galaxy_of(*bar(3000, np.float32))
    galaxy = jax.tree.map(lambda x: x.astype(jnp.float32), galaxy)
    view = StarView(orientation="shape", centre="shrinking_sphere")
    sky = jax.jit(view)(galaxy)
    check(sky)
    assert sky.x.dtype == sky.v_los.dtype == jnp.float32
    many = jax.vmap(view)(jax.tree.map(lambda x: jnp.stack([x, x]), galaxy))
    np.testing.assert_allclose(many.x[1], sky.x, atol=1e-4)


def test_bad_settings_are_refused_when_built():
    with pytest.raises(InputError, match="orientation is 'upright'; choose one of angular_momentum, shape, none"):
        StarView(orientation="upright")
    with pytest.raises(InputError, match="centre is 'middle'"):
        GasView(centre="middle")
    mirror = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, -1.0))
    with pytest.raises(InputError, match=r"determinant \+1"):
        StarView(rotation=mirror)
    with pytest.raises(InputError, match="has no gas"):
        GasView()(galaxy_of(*bar(10), name="dry"))
    with pytest.raises(InputError, match="choose one of"):
        orientation.find_frame("up", *bar(3))
    with pytest.raises(InputError, match="choose one of"):
        centre_of.find_centre("up", *bar(3))
