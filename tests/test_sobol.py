"""The low-discrepancy points that galaxies are drawn from."""

import numpy as np
import pytest
from scipy.stats import qmc

from galdiff.galaxy.profiles import nodes
from galdiff.galaxy.sobol import scrambled_sobol


@pytest.mark.parametrize(("power", "dimensions", "seed"), [(0, 1, 0), (1, 2, 3), (7, 5, 1), (11, 8, 2), (12, 8, 99)])
def test_points_are_bit_for_bit_those_of_scipy(power, dimensions, seed):
    theirs = qmc.Sobol(dimensions, scramble=True, rng=np.random.default_rng(seed)).random_base2(power)
    np.testing.assert_array_equal(scrambled_sobol(power, dimensions, seed), theirs)


def test_each_interval_of_a_power_of_two_holds_one_point():
    points = scrambled_sobol(10, 8, seed=5)
    for column in np.floor(points * 1024).astype(int).T:
        np.testing.assert_array_equal(np.sort(column), np.arange(1024))


def test_means_are_several_times_nearer_to_the_integral_than_those_of_random_points():
    def error(points):
        return np.prod(1.5 * np.sqrt(points), axis=1).mean() - 1.0

    seeds = range(12)
    even = np.std([error(scrambled_sobol(10, 8, seed)) for seed in seeds])
    random = np.std([error(np.random.default_rng(seed).random((1024, 8))) for seed in seeds])
    assert even < random / 3


def test_nodes_are_the_first_of_the_next_power_of_two_and_lie_inside_the_cube():
    few = nodes(100, seed=4)
    np.testing.assert_array_equal(few, np.clip(scrambled_sobol(7, 8, 4)[:100], 1e-7, 1 - 1e-7))
    assert few.min() > 0
    assert few.max() < 1


@pytest.mark.parametrize(("power", "dimensions"), [(31, 2), (-1, 2), (3, 9), (3, 0)])
def test_more_points_or_dimensions_than_are_known_are_refused(power, dimensions):
    with pytest.raises(ValueError, match=r"at most 2\^30 in 8"):
        scrambled_sobol(power, dimensions, seed=0)
