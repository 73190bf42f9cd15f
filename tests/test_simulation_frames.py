"""Periodic wrap, centre and radius of galaxies read from snapshots."""

import h5py
import numpy as np
from simulation_files import A, H, write_magneticum

from galdiff.galaxy.centre import shrinking_sphere
from galdiff.io.simulations import read_galaxy


def test_a_galaxy_across_the_face_of_the_box_is_put_together(tmp_path):
    write_magneticum(tmp_path / "whole.hdf5")
    write_magneticum(tmp_path / "split.hdf5", offset=(0.5, 47999.0, 24000.0))
    with h5py.File(tmp_path / "split.hdf5", "r+") as file:
        for group in ("PartType0", "PartType4"):
            file[f"{group}/Coordinates"][...] = file[f"{group}/Coordinates"][()] % 48000.0
        assert np.ptp(file["PartType4/Coordinates"][:, 0]) > 40000.0
    whole, split = read_galaxy(tmp_path / "whole.hdf5"), read_galaxy(tmp_path / "split.hdf5")
    np.testing.assert_allclose(split.stars.pos, whole.stars.pos, atol=1e-6)
    np.testing.assert_allclose(split.gas.pos, whole.gas.pos, atol=1e-6)
    given = read_galaxy(tmp_path / "split.hdf5", centre=np.array([48000.5, 47999.0, 24000.0]) * A / H)
    assert np.abs(given.stars.pos).max() < 10.0


def test_centre_and_radius_are_as_asked(data_dir):
    path = data_dir / "sims/SimSpin_example_EAGLE.hdf5"
    median = read_galaxy(path, centre="median", r_max_kpc=1.5)
    with h5py.File(path) as file:
        point = np.median(file["PartType4/Coordinates"][()], axis=0) * 1e3 * 0.7868433 / 0.6777
    given, whole = read_galaxy(path, centre=point.tolist()), read_galaxy(path, centre="median")
    np.testing.assert_allclose(given.stars.pos, whole.stars.pos, atol=0.02)  # the codes' Mpc differs by 1e-7 of 60 Mpc
    assert 0 < len(median.stars.mass) < 2000
    assert np.linalg.norm(median.stars.pos, axis=1).max() <= 1.5


def test_shrinking_sphere_ignores_a_companion_that_pulls_the_median():
    rng = np.random.default_rng(3)
    body, companion = rng.normal(0, 1.0, (1500, 3)), rng.normal(0, 1.0, (1200, 3)) + np.array([60.0, 0.0, 0.0])
    pos = np.concatenate([body, companion])
    mass = np.concatenate([np.full(1500, 2.0), np.full(1200, 1.0)])
    assert np.linalg.norm(shrinking_sphere(pos, mass)) < 0.5
    assert np.abs(np.median(pos, axis=0)[0]) > 0.5
