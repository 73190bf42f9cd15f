"""Bins of spaxels: enough stars in each, and the moments of all their light."""

import dataclasses

import numpy as np

from galdiff.kinematics.spaxel_bins import bin_maps, bin_spaxels, sum_bins
from galdiff.records import KinematicMaps


def galaxy(n=24, density=0.5):
    """Poisson stars of an exponential disc in each spaxel."""
    y, x = np.indices((n, n)) - (n - 1) / 2
    return np.random.default_rng(0).poisson(20 * density * np.exp(-np.hypot(x, y) / 5)).astype(float)


def test_each_bin_holds_enough_stars_and_none_is_split_in_vain():
    stars = galaxy()
    label = bin_spaxels(stars, 20)
    held = np.bincount(label[label >= 0], stars[label >= 0])
    assert held.min() >= 20
    assert len(held) > 15
    np.testing.assert_array_equal(label < 0, stars == 0)
    assert (bin_spaxels(stars, 1e9)[stars > 0] == 0).all()
    assert (bin_spaxels(0 * stars, 20) == -1).all()


def test_maps_of_bins_have_the_moments_of_all_their_light_and_are_constant_in_them():
    rng = np.random.default_rng(1)
    stars = galaxy()
    label = bin_spaxels(stars, 20)
    v, sigma, age = rng.normal(0, 100, stars.shape), rng.uniform(20, 90, stars.shape), rng.uniform(1, 9, stars.shape)
    empty = stars == 0
    fields = {"v": v, "sigma": sigma, "h3": v, "h4": v, "age": age, "metallicity": 0.02 + 0 * v}
    maps = KinematicMaps(flux=stars, **{name: np.where(empty, np.nan, x) for name, x in fields.items()})
    found = bin_maps(maps, label)
    one = label == 3
    weight = stars[one] / stars[one].sum()
    mean = weight @ v[one]
    np.testing.assert_allclose(found.v[one], mean, rtol=1e-5)
    np.testing.assert_allclose(found.sigma[one] ** 2, weight @ (sigma[one] ** 2 + v[one] ** 2) - mean**2, rtol=1e-5)
    np.testing.assert_allclose(found.age[one], weight @ age[one], rtol=1e-5)
    np.testing.assert_allclose(found.flux.sum(), stars.sum(), rtol=1e-6)
    assert np.isnan(found.v[empty]).all()
    assert all(np.isfinite(np.asarray(getattr(found, f))[~empty]).all() for f in ("v", "sigma", "metallicity"))
    np.testing.assert_allclose(sum_bins(stars, label)[one], stars[one].sum())
    assert len(dataclasses.fields(found)) == 7
