"""Cubes and maps as labelled datasets."""

import sys

import numpy as np
import pytest

from galdiff.errors import InputError
from galdiff.io.cube_dataset import cube_dataset
from galdiff.io.fits_cube import read_cube, write_cube
from galdiff.records import KinematicMaps, ObservedCube


@pytest.fixture
def observed():
    """A cube of 2 x 3 spaxels of 1.0 x 0.5 arcsec at 4 wavelengths, and maps."""
    flux = np.arange(24.0).reshape(2, 3, 4)
    cube = ObservedCube(
        flux=flux, variance=flux + 1, wave=np.linspace(5000.0, 5003.0, 4), inside=np.ones((2, 3), bool),
        medium="air", spaxel_arcsec=1.0, spaxel_y_arcsec=0.5,
    )  # fmt: skip
    names = ("flux", "v", "sigma", "h3", "h4", "age", "metallicity")
    return cube, KinematicMaps(**{name: k + np.zeros((2, 3)) for k, name in enumerate(names)})


def test_a_place_on_the_sky_and_a_wavelength_find_the_same_flux_as_in_the_file(observed, tmp_path):
    cube, maps = observed
    made = cube_dataset(cube, {"light": maps, "seen": maps}, {"redshift": 0.1})
    assert made.flux.dims == ("y", "x", "wave")
    assert float(made.flux.sel(y=0.25, x=-1.0, wave=5002.0)) == cube.flux[1, 0, 2]
    write_cube(tmp_path / "cube.fits", cube, provenance={}, redshift=0.1)
    np.testing.assert_array_equal(made.flux, read_cube(tmp_path / "cube.fits").flux)
    assert made.attrs == {"redshift": 0.1}


def test_every_variable_says_its_unit_and_what_it_is(observed):
    cube, maps = observed
    made = cube_dataset(cube, {"mass": maps, "seen": maps})
    assert {name: made[name].attrs["units"] for name in ("flux", "x", "wave", "v_seen", "flux_mass", "flux_seen")} == {
        "flux": "1e-20 erg/s/cm2/Angstrom", "x": "arcsec", "wave": "Angstrom", "v_seen": "km/s", "flux_mass": "Msun",
        "flux_seen": "Lsun",
    }  # fmt: skip
    assert all(made[name].attrs["units"] and made[name].attrs["long_name"] for name in made.variables)


def test_without_xarray_the_error_says_how_to_install_it(observed, monkeypatch):
    monkeypatch.setitem(sys.modules, "xarray", None)
    with pytest.raises(InputError, match=r"pip install galdiff\[xarray\]"):
        cube_dataset(observed[0], {})
