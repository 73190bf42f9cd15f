"""Galaxies out of objects of pynbody, yt and swiftsimio: the same as of the file, or a refusal that names the array."""

import types
import warnings

import numpy as np
import pytest
from object_stand_ins import Array, Region, pynbody_sim, swiftsimio_data, yt_dataset
from simulation_files import N_GAS, N_STAR, A, galaxy, write_swift

import galdiff
from galdiff.core.record import check
from galdiff.errors import InputError
from galdiff.io.simulations import read_galaxy

ADAPTERS = {
    "pynbody": (galdiff.from_pynbody, pynbody_sim),
    "yt": (galdiff.from_yt, yt_dataset),
    "swiftsimio": (galdiff.from_swiftsimio, swiftsimio_data),
}


@pytest.fixture(scope="module")
def truth(tmp_path_factory):
    """The same stars, read from a file."""
    path = tmp_path_factory.mktemp("swift") / "a.hdf5"
    write_swift(path)
    return read_galaxy(path)


def refusal(adapter, thing, **options):
    with pytest.raises(InputError) as error:
        adapter(thing, **options)
    assert "\n" not in str(error.value)
    return str(error.value)


def spoil(name, thing, key, array):
    """Replace an array of the stars of an object, or take it away."""
    place = {
        "pynbody": lambda: thing.star,
        "yt": lambda: thing.fields,
        "swiftsimio": lambda: vars(thing.stars),
    }[name]()
    key = ("PartType4", key) if name == "yt" else key
    if array is None:
        del place[key]
    else:
        place[key] = array


@pytest.mark.parametrize("name", ADAPTERS)
def test_an_object_gives_the_galaxy_of_the_file(truth, name):
    adapter, make = ADAPTERS[name]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = adapter(make(np.asarray(truth.stars.age)))
    check(found)
    assert found.redshift == pytest.approx(truth.redshift, abs=1e-9)
    for key in ("pos", "vel", "mass", "age", "metallicity"):
        left, right = getattr(found.stars, key), getattr(truth.stars, key)
        np.testing.assert_allclose(left, right, rtol=1e-3, atol=1e-3 * np.abs(right).max(), err_msg=key)
    np.testing.assert_allclose(found.stars.mass_now, 0.6 * np.asarray(found.stars.mass), rtol=1e-12)
    assert len(found.gas.mass) == N_GAS
    assert set(np.round(found.gas.sfr, 6)) == {0.0, 0.02}  # what is negative means none
    assert found.name.startswith(f"{name}: snapshot_600.hdf5")


@pytest.mark.parametrize("name", ADAPTERS)
def test_an_object_is_cut_to_a_sphere_as_a_file_is(truth, name):
    adapter, make = ADAPTERS[name]
    middle = np.full(3, 25e3)  # kpc
    found = adapter(make(np.asarray(truth.stars.age)), centre=middle, r_max_kpc=3.0)
    inside = np.linalg.norm(galaxy()["pos"], axis=1) <= 3.0
    assert len(found.stars.mass) == inside.sum() < N_STAR


MASS = {"pynbody": "massform", "yt": "InitialMass", "swiftsimio": "initial_masses"}
METALS = {"pynbody": "metals", "yt": "metallicity", "swiftsimio": "metal_mass_fractions"}
POS = {"pynbody": "pos", "yt": "particle_position", "swiftsimio": "coordinates"}


@pytest.mark.parametrize("name", ADAPTERS)
def test_present_masses_stand_in_for_those_formed_with_a_warning(truth, name):
    adapter, make = ADAPTERS[name]
    thing = make(np.asarray(truth.stars.age))
    spoil(name, thing, MASS[name], None)
    with pytest.warns(UserWarning, match=f"{name} .*snapshot_600.hdf5: there is no mass formed"):
        found = adapter(thing)
    np.testing.assert_array_equal(found.stars.mass, found.stars.mass_now)


@pytest.mark.parametrize("name", ADAPTERS)
def test_arrays_that_cannot_be_used_are_named(truth, name):
    adapter, make = ADAPTERS[name]
    for key, array, words in (
        (METALS[name], None, f"stars have no .*{METALS[name]}"),
        (METALS[name], Array(np.full(N_STAR, 0.01), "kpc"), f"stars {METALS[name]} in units of kpc cannot be turned"),
        (METALS[name], Array(np.full((N_STAR, 2), 0.01), ""), f"stars {METALS[name]} has shape"),
        (METALS[name], Array(np.full(N_STAR, -0.01), ""), f"stars {METALS[name]}: 300 of 300 values"),
        (POS[name], Array(np.full((N_STAR, 3), np.nan), "kpc"), f"stars {POS[name]}: 300 of 300 particles have NaN"),
    ):
        thing = make(np.asarray(truth.stars.age))
        spoil(name, thing, key, array)
        with pytest.raises(InputError, match=words):
            adapter(thing)


@pytest.mark.parametrize("name", ADAPTERS)
def test_what_is_no_such_object_is_refused(name):
    adapter, _ = ADAPTERS[name]
    assert f"from_{name}: dict is no" in refusal(adapter, {})


def test_objects_without_stars_are_refused(truth):
    ages = np.asarray(truth.stars.age)
    sim, data, swift = pynbody_sim(ages), yt_dataset(ages), swiftsimio_data(ages)
    sim.star.clear()
    data.fields = {key: value for key, value in data.fields.items() if key[0] != "PartType4"}
    swift.stars = None
    for name, thing in (("pynbody", sim), ("yt", data), ("swiftsimio", swift)):
        assert "snapshot_600.hdf5: no stars" in refusal(ADAPTERS[name][0], thing)


def test_a_table_of_elements_as_gizmo_has_it_begins_with_all_metals(truth):
    sim = pynbody_sim(np.asarray(truth.stars.age))
    metals = np.full((N_STAR, 11), 0.001)
    metals[:, 0], metals[:, 1] = 0.02, 0.25
    spoil("pynbody", sim, "metals", Array(metals, ""))
    np.testing.assert_array_equal(galdiff.from_pynbody(sim).stars.metallicity, 0.02)


def test_yt_regions_have_ages_from_scale_factors_where_there_are_no_others(truth):
    data = yt_dataset(np.asarray(truth.stars.age))
    spoil("yt", data, "age", None)
    data.fields["PartType4", "StellarFormationTime"] = Array(galaxy()["birth"], "")
    found = galdiff.from_yt(Region(data.fields, data))
    np.testing.assert_allclose(found.stars.age, truth.stars.age, rtol=1e-6)
    data.fields["PartType4", "StellarFormationTime"] = Array(galaxy()["birth"] + A, "")
    assert "StellarFormationTime lies between" in refusal(galdiff.from_yt, data)
    spoil("yt", data, "StellarFormationTime", None)
    assert "stars have no age [Gyr] or scale factor at birth" in refusal(galdiff.from_yt, data)


def test_gas_in_cells_of_yt_is_left_with_a_warning(truth):
    data = yt_dataset(np.asarray(truth.stars.age))
    data.fields = {key: value for key, value in data.fields.items() if key[0] != "PartType0"}
    data.fields["gas", "density"] = Array(np.ones(8), "g/cm3")
    with pytest.warns(UserWarning, match="gas in cells is left"):
        assert galdiff.from_yt(data).gas is None


def test_swift_births_need_a_cosmology_and_lie_before_the_snapshot(truth):
    swift = swiftsimio_data(np.asarray(truth.stars.age))
    spoil("swiftsimio", swift, "birth_scale_factors", Array(np.full(N_STAR, -1.0), ""))
    assert "birth_scale_factors lie between -1 and -1" in refusal(galdiff.from_swiftsimio, swift)
    swift = swiftsimio_data(np.asarray(truth.stars.age))
    swift.metadata = types.SimpleNamespace(**{**vars(swift.metadata), "cosmology": None})
    assert "it is not cosmological" in refusal(galdiff.from_swiftsimio, swift)
