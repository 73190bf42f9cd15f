"""Conventions of simulations: found by walking their package, each knows its own files and no other's."""

import dataclasses
import sys

import h5py
import numpy as np
import pytest
from simulation_files import (
    galaxy,
    header,
    write_eagle,
    write_gadget,
    write_gizmo,
    write_horizon,
    write_magneticum,
    write_swift,
    write_tng,
)

import galdiff.io.simulations.conventions
from galdiff.build import build
from galdiff.core.discover import found_in
from galdiff.core.record import check
from galdiff.errors import InputError
from galdiff.io.simulations import known_conventions, read_galaxy, recognise
from galdiff.io.simulations.gas import temperature
from galdiff.io.simulations.look import look_into

# A convention that is added brings one row: a writer of its smallest file, without a label of the run.
SAMPLES = {
    "eagle": write_eagle,
    "gadget": write_gadget,
    "gizmo": write_gizmo,
    "horizon_agn": write_horizon,
    "illustris_tng": write_tng,
    "magneticum": lambda path: write_magneticum(path, run_label=False),
    "swift": write_swift,
    "table": lambda path: write_table(path),
}
SINGLE_METALS = "ignore:.*PartType4 has no InitialMass or InitialMasses; PartType4/Masses is taken for it"


def write_table(path):
    """A table with its units in its names."""
    part = galaxy()
    found = {"pos_kpc": part["pos"], "vel_km_s": part["vel"], "mass_msun": part["mass"]}
    found |= {"age_gyr": np.full(len(part["mass"]), 2.0), "metallicity": np.full(len(part["mass"]), 0.01)}
    with open(path, "wb") as file:
        np.savez(file, **found)


@pytest.fixture(scope="module")
def looks(tmp_path_factory):
    """A look into the sample of each convention."""
    folder = tmp_path_factory.mktemp("samples")
    for name, write in SAMPLES.items():
        write(folder / f"sample_{name}")
    return {name: look_into(str(folder / f"sample_{name}")) for name in SAMPLES}


def test_every_convention_has_a_sample():
    assert known_conventions().keys() == SAMPLES.keys()


@pytest.mark.parametrize("name", SAMPLES)
def test_a_convention_recognises_its_own_file_and_no_other(looks, name):
    convention = known_conventions()[name]
    assert {other for other, look in looks.items() if convention.recognises(look)} == {name}
    assert not any(each.claims(looks[name]) for each in known_conventions().values())  # not by a label


@pytest.mark.filterwarnings(SINGLE_METALS)
@pytest.mark.parametrize("name", SAMPLES)
def test_a_file_that_is_looked_at_is_the_galaxy_of_the_convention_that_is_named(looks, name):
    looked, named = read_galaxy(looks[name].path), read_galaxy(looks[name].path, convention=name)
    check(looked)
    assert looked.name == named.name == f"{name}: sample_{name}"
    np.testing.assert_array_equal(looked.stars.age, named.stars.age)


def test_real_files_are_of_one_convention_each(data_dir):
    expected = {"EAGLE": "eagle", "IllustrisTNG": "illustris_tng", "Colibre": "swift", "HDF5": "gadget"}
    for name, convention in expected.items():
        look = look_into(str(data_dir / f"sims/SimSpin_example_{name}.hdf5"))
        look = dataclasses.replace(look, header={k: v for k, v in look.header.items() if k != "RunLabel"})
        assert [each.name for each in known_conventions().values() if each.recognises(look)] == [convention]


def test_two_conventions_that_know_a_file_are_named_with_the_option(looks, monkeypatch):
    monkeypatch.setattr(type(known_conventions()["swift"]), "recognises", lambda self, look: True)
    with pytest.raises(InputError, match=r"sample_eagle: may be of eagle and of swift; name the right one with conv"):
        recognise(looks["eagle"])
    assert read_galaxy(looks["eagle"].path, convention="eagle").name.startswith("eagle")


OWN = """
from galdiff.io.simulations.convention import Convention, Raw
import numpy as np

class Mine(Convention):
    name = "mine"
    star_groups = ("Stars",)

    def recognises(self, look):
        return look.has("Stars/Where")

    def read(self, path, request):
        stars = dict(pos=np.eye(3), vel=np.eye(3), mass=np.full(3, 1e6), age=np.ones(3), metallicity=np.full(3, 0.01))
        return Raw(path, "mine", stars, None, {})
"""


def test_a_convention_is_added_by_one_file(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(OWN)
    with h5py.File(tmp_path / "a.hdf5", "w") as file:
        file["PartType1/Mass"] = np.ones(2)
        file["Stars/Where"] = np.zeros((3, 3))
    package = galdiff.io.simulations.conventions
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path)])
    found_in.cache_clear()
    try:
        assert read_galaxy(tmp_path / "a.hdf5").name == "mine: a.hdf5"
    finally:
        monkeypatch.undo()
        found_in.cache_clear()
        sys.modules.pop("galdiff.io.simulations.conventions.mine", None)


def test_a_convention_of_ones_own_is_named_by_its_target_when_its_package_is_trusted(tmp_path, monkeypatch):
    (tmp_path / "my_simulation.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    with h5py.File(tmp_path / "a.hdf5", "w") as file:
        file["Stars/Where"] = np.zeros((3, 3))
    config = {"_target_": "galdiff.io.simulations.in_run.galaxy_in_run", "path": str(tmp_path / "a.hdf5")}
    config |= {"convention": {"_target_": "my_simulation.Mine"}}
    config |= {"cosmology": {"_target_": "galdiff.cosmology.Cosmology"}}
    with pytest.raises(InputError, match=r"packages=\[my_simulation\]"):
        build(config)
    assert build(config, packages=["my_simulation"]).name == "mine: a.hdf5"
    sys.modules.pop("my_simulation", None)


def test_gizmo_metals_are_fractions_with_their_sum_in_front_and_the_present_mass_stands_in(tmp_path):
    stars = write_gizmo(tmp_path / "g.hdf5")
    with pytest.warns(UserWarning, match="g.hdf5: PartType4 has no InitialMass or .*PartType4/Masses is taken for it"):
        found = read_galaxy(tmp_path / "g.hdf5")
    assert found.name.startswith("gizmo")
    np.testing.assert_allclose(found.stars.metallicity, 0.02, rtol=1e-6)
    np.testing.assert_allclose(found.stars.mass, 0.6 * stars["mass"], rtol=4e-4)
    np.testing.assert_array_equal(found.stars.mass, found.stars.mass_now)
    np.testing.assert_allclose(found.stars.pos - found.stars.pos[0], stars["pos"] - stars["pos"][0], atol=1e-4)
    np.testing.assert_allclose(found.stars.vel - found.stars.vel[0], stars["vel"] - stars["vel"][0], atol=1e-3)
    np.testing.assert_allclose(found.gas.oxygen, 0.008, rtol=1e-6)
    np.testing.assert_allclose(found.gas.hydrogen, 0.73, rtol=1e-6)
    np.testing.assert_allclose(found.gas.sfr, 0.02, rtol=1e-3)
    assert found.gas.temperature[0] == pytest.approx(temperature(100.0, 1.1, 0.75))
    assert temperature(100.0, 1.1, 0.75) != temperature(100.0, 1.1)


def test_gizmo_takes_the_mass_formed_where_it_is_written_and_more_columns_than_it_knows(tmp_path):
    stars = write_gizmo(tmp_path / "g.hdf5", initial_mass=True, tracers=4)
    found = read_galaxy(tmp_path / "g.hdf5")
    np.testing.assert_allclose(found.stars.mass, stars["mass"], rtol=4e-4)
    np.testing.assert_allclose(found.stars.mass_now, 0.6 * stars["mass"], rtol=4e-4)
    np.testing.assert_allclose(found.stars.metallicity, 0.02, rtol=1e-6)


@pytest.mark.parametrize(
    ("attributes", "match"),
    [
        ({"ComovingIntegrationOn": 0}, "ComovingIntegrationOn is 0: times are no scale factors"),
        ({"UnitLength_In_CGS": 3.085678e18}, r"UnitLength_In_CGS = 3.08568e\+18; expected 3.08568e\+21 .kpc/h"),
        ({"UnitMass_In_CGS": 1.989e33}, "UnitMass_In_CGS"),
        ({"UnitVelocity_In_CGS": 100.0}, "UnitVelocity_In_CGS"),
    ],
)
def test_gizmo_runs_that_are_isolated_or_in_other_units_are_refused(tmp_path, attributes, match):
    write_gizmo(tmp_path / "g.hdf5", **attributes)
    with pytest.raises(InputError, match=match):
        read_galaxy(tmp_path / "g.hdf5")


@pytest.mark.filterwarnings(SINGLE_METALS)
def test_gizmo_units_may_be_stated_per_h_or_with_it(tmp_path):
    write_gizmo(tmp_path / "a.hdf5", UnitLength_In_CGS=3.085678e21, UnitMass_In_CGS=1.989e43, Omega_Matter=0.272)
    write_gizmo(tmp_path / "b.hdf5", UnitLength_In_CGS=3.085678e21 / 0.704, UnitMass_In_CGS=1.989e43 / 0.704)
    one, two = (read_galaxy(tmp_path / f"{name}.hdf5").stars for name in "ab")
    np.testing.assert_array_equal(one.mass, two.mass)
    np.testing.assert_array_equal(one.pos, two.pos)


def test_a_table_of_elements_that_are_neither_masses_nor_fractions_is_not_guessed_at(tmp_path):
    write_gizmo(tmp_path / "g.hdf5")
    with h5py.File(tmp_path / "g.hdf5", "r+") as file:
        file["PartType4/Metallicity"][...] = 0.01
    with pytest.raises(InputError, match=r"unknown convention; .*gizmo.*magneticum") as error:
        read_galaxy(tmp_path / "g.hdf5")
    assert "InitialMass, which" not in str(error.value)


def test_a_galaxy_without_a_header_is_still_recognised(tmp_path):
    with h5py.File(tmp_path / "t.hdf5", "w") as file:
        header(file)
        file["PartType4/BirthScaleFactors"] = np.ones(3)
    assert recognise(look_into(str(tmp_path / "t.hdf5"))) == "swift"
