"""Cubeviz opens a cube with the names that it looks for; where jdaviz is installed."""

import pytest
from test_fits_cube import N_WAVE, N_X, N_Y, make_cube

from galdiff.io.fits_cube import write_cube


@pytest.mark.filterwarnings("ignore")  # those of jdaviz and what it loads
def test_cubeviz_opens_flux_variance_and_mask(tmp_path):
    jdaviz = pytest.importorskip("jdaviz")
    write_cube(tmp_path / "cube.fits", make_cube(), provenance={}, redshift=0.1, extensions="jdaviz")
    viewer = jdaviz.Cubeviz()
    viewer.load(str(tmp_path / "cube.fits"), format="3D Spectrum")
    held = {data.label: data for data in viewer.app.data_collection}
    assert held["cube"].shape == (N_WAVE, N_X, N_Y) or held["cube"].shape == (N_WAVE, N_Y, N_X)
    assert any("UNC" in label for label in held)
    assert any("DQ" in label for label in held)
