"""Rotation, size and shape from few stars: not shot noise, and with uncertainties that hold."""

import numpy as np
import pytest

from galdiff.kinematics.star_summary import kd_bins, star_summary


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
    found = [star_summary(*disc(1000, rotation, 100.0, seed)) for seed in range(6)]
    for name in ("r_half", "ellipticity", "lambda_r", "v_over_sigma"):
        values = np.array([f[name] for f in found])
        errors = np.array([f[f"{name}_error"] for f in found])
        assert abs(values.mean() - true[name]) < 2.5 * np.median(errors), name
        assert 0.3 < values.std() / np.median(errors) < 2.5, name


def test_stars_without_rotation_have_none_of_it_from_shot_noise(converged):
    assert converged[0.0]["lambda_r"] < 0.05
    assert star_summary(*disc(1000, 0.0, 100.0, 1))["lambda_r"] < 0.2  # one star per spaxel would say 1


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
