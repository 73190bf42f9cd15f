"""Rotation, size and shape from few stars: not shot noise, and with uncertainties that hold."""

import numpy as np
import pytest

from galdiff.galaxy.disc import disc_galaxy
from galdiff.galaxy.view import StarView
from galdiff.kinematics.star_summary import kd_bins, size_of, star_summary

NAMES = ("r_half", "ellipticity", "lambda_r", "v_over_sigma")


def disc(n, rotation, dispersion, seed, axis_ratio=0.6):
    """An exponential disc of scale 2 kpc, its velocities flat in radius; x, y, v, light."""
    rng = np.random.default_rng(seed)
    r, t = rng.gamma(2.0, 2.0, n), rng.uniform(0, 2 * np.pi, n)
    v = rotation * np.cos(t) + dispersion * rng.normal(size=n)
    return r * np.cos(t), axis_ratio * r * np.sin(t), v, np.ones(n)


@pytest.fixture(scope="module")
def converged():
    """The same galaxies with many stars."""
    return {v: star_summary(*disc(100_000, v, 100.0, 9), smallest=0.4) for v in (0.0, 100.0)}


@pytest.mark.parametrize("rotation", [0.0, 100.0])
def test_a_thousand_stars_rotate_as_a_hundred_thousand_within_the_uncertainty(rotation, converged):
    true = converged[rotation]
    found = [star_summary(*disc(1000, rotation, 100.0, seed)) for seed in range(16)]
    for name in ("r_half", "ellipticity", "lambda_r", "v_over_sigma"):
        values = np.array([f[name] for f in found])
        errors = np.array([f[f"{name}_error"] for f in found])
        assert abs(values.mean() - true[name]) < 2.5 * np.median(errors), name
        assert 0.3 < values.std() / np.median(errors) < 2.5, name


def test_stars_without_rotation_have_none_of_it_from_shot_noise(converged):
    assert converged[0.0]["lambda_r"] < 0.05
    assert star_summary(*disc(1000, 0.0, 100.0, 1))["lambda_r"] < 0.2  # one star per spaxel would say 1


@pytest.mark.parametrize("n", [2000, 100_000])
@pytest.mark.parametrize("smallest", [0.0, 0.5, 1.0])
def test_rotation_is_that_of_the_velocity_field_whatever_the_stars_and_the_bins(n, smallest):
    rotation, dispersion, axis_ratio = 100.0, 100.0, 0.6
    t = (np.arange(3600) + 0.5) * np.pi / 1800  # of the half-light ellipse, where the field depends on the angle alone
    v, far = rotation * np.cos(t), np.hypot(np.cos(t), axis_ratio * np.sin(t))
    true = {
        "v_over_sigma": np.sqrt((v**2).mean()) / dispersion,
        "lambda_r": (far * np.abs(v)).sum() / (far * np.hypot(v, dispersion)).sum(),
        "r_half": 1.678 * 2.0,
        "ellipticity": 1 - axis_ratio,
    }
    found = star_summary(*disc(n, rotation, dispersion, 5), smallest=smallest, resamples=16)
    for name in NAMES:
        assert abs(found[name] - true[name]) < 3 * found[f"{name}_error"] + 0.03 * true[name], name


def seen(n):
    """Stars of the default disc at 60 degrees: x, y, v, light."""
    sky = StarView(orientation="none")(disc_galaxy(n_stars=n, n_gas=0))
    return [np.asarray(a, np.float64) for a in (sky.x, sky.y, sky.v_los, sky.mass)]


def fine_bins(x, y, v, light):
    """lambda_R and V/sigma by moments of many small bins: a mesh that resolves the galaxy and has stars enough."""
    inside = size_of(x, y, light)[2] <= size_of(x, y, light)[0]
    x, y, v, light = (a[inside] for a in (x, y, v, light))
    label = kd_bins(x, y, 100, 0.0)
    sums = lambda values: np.bincount(label, light * values)  # noqa: E731
    flux = sums(1.0)
    mean = sums(v) / flux - (light @ v) / light.sum()
    number = np.bincount(label)
    square = (sums(v**2) / flux - (sums(v) / flux) ** 2) * number / (number - 1)
    rotation, far = np.maximum(mean**2 - square / number, 0), sums(np.hypot(x, y))
    lambda_r = far @ np.sqrt(rotation) / (far @ np.sqrt(rotation + square))
    return {"lambda_r": lambda_r, "v_over_sigma": np.sqrt(flux @ rotation / (flux @ square))}


def test_a_drawn_disc_of_few_stars_rotates_as_its_particles_do_when_binned_ever_finer():
    true, few, usual = fine_bins(*seen(300_000)), star_summary(*seen(2000)), star_summary(*seen(100_000), resamples=16)
    for name in NAMES:
        error = np.hypot(few[f"{name}_error"], usual[f"{name}_error"])
        assert abs(few[name] - usual[name]) < max(3 * error, 0.03 * usual[name]), name
    for name, value in true.items():
        for found in (few, usual):
            assert abs(found[name] - value) < 3 * found[f"{name}_error"] + 0.01 * value, (name, found[name], value)


def test_what_noise_adds_to_the_square_of_rotation_is_taken_off_in_the_mean():
    for rotation, true in ((0.0, 0.0), (100.0, 0.5)):
        found = [star_summary(*disc(1000, rotation, 100.0, seed), resamples=0)["v_over_sigma"] for seed in range(80)]
        square = np.array(found) ** 2
        if rotation:
            assert abs(square.mean() - true) < 3 * square.std() / np.sqrt(80)
        else:
            assert 0.3 < np.mean(square == 0) < 0.7  # noise is as often below as above what is taken off


def test_bins_hold_enough_stars_and_are_no_finer_than_asked():
    x, y, *_ = disc(3000, 0.0, 1.0, 0)
    label = kd_bins(x, y, 25, 0.0)
    assert np.bincount(label).min() >= 25
    assert np.bincount(label).max() < 50
    coarse = kd_bins(x, y, 25, 2.0)
    assert 1 < coarse.max() < label.max()
    assert (kd_bins(x[:10], y[:10], 25, 0.0) == 0).all()


def test_one_star_has_a_summary_without_rotation():
    found = star_summary(*(np.array([a]) for a in (0.1, 0.2, 50.0, 1.0)))
    assert found["lambda_r"] == 0
    assert found["bins"] == 1
