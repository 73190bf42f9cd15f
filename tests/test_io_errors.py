"""Bad snapshots and tables: one line that names file and field with the remedy."""

import h5py
import numpy as np
import pytest
from simulation_files import N_STAR, A, header, write_eagle, write_magneticum

from galdiff.errors import InputError
from galdiff.io.simulations import read_galaxy


def refusal(path, **kwargs) -> str:
    """The message of a refused file: one line that begins with its path."""
    with pytest.raises(InputError) as error:
        read_galaxy(path, **kwargs)
    text = str(error.value)
    assert "\n" not in text
    assert len(text) < 600
    return text


@pytest.fixture
def eagle(tmp_path):
    def make(**changes):
        write_eagle(tmp_path / "e.hdf5", **changes)
        return tmp_path / "e.hdf5"

    return make


def with_value(shape, index, value, fill=0.5):
    values = np.full(shape, fill)
    values[index] = value
    return values


def test_truncated_hdf5_is_named_as_such(eagle):
    path = eagle()
    path.write_bytes(path.read_bytes()[:-3000])
    text = refusal(path)
    assert str(path) in text
    assert "truncated" in text
    assert "copy it again" in text


@pytest.mark.parametrize(
    "content",
    [b"", b"hello, no galaxy", b"PK\x03\x04 broken zip", b"# %ECSV 1.0\n# ---\nrubbish"],
    ids=["empty", "text", "zip", "ecsv"],
)
def test_files_that_are_nothing_we_know_are_refused(tmp_path, content):
    path = tmp_path / "x.hdf5"
    path.write_bytes(content)
    assert str(path) in refusal(path)


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    assert "does not exist" in refusal(tmp_path / "none.hdf5")
    assert "is a folder" in refusal(tmp_path)


def test_an_unknown_convention_lists_what_is_there_and_what_is_known(tmp_path, eagle):
    with h5py.File(tmp_path / "u.hdf5", "w") as file:
        file["PartType4/Where"] = np.zeros((4, 3))
    text = refusal(tmp_path / "u.hdf5")
    assert "PartType4/Where" in text
    assert "illustris_tng" in text
    assert "allowed: " in refusal(eagle(), convention="eagel")


def test_no_stars_is_said(tmp_path, eagle):
    with h5py.File(tmp_path / "gas.hdf5", "w") as file:
        header(file, Time=A)
        file["PartType0/Coordinates"] = np.zeros((4, 3))
    assert "no stars" in refusal(tmp_path / "gas.hdf5")
    path = eagle()
    with h5py.File(path, "r+") as file:
        del file["PartType4"]
        file.create_group("PartType4")
        file["Header"].attrs["RunLabel"] = "EAGLE"
    assert "no stars" in refusal(path)
    assert "no stars" in refusal(path, convention="eagle")
    np.savez(tmp_path / "t.npz", pos_kpc=np.zeros((0, 3)), vel_km_s=np.zeros((0, 3)), mass_msun=np.zeros(0),
             age_gyr=np.zeros(0), metallicity=np.zeros(0))  # fmt: skip
    assert "no stars" in refusal(tmp_path / "t.npz")


def test_a_missing_field_names_the_nearest_ones(eagle):
    path = eagle(InitialMass=None)
    with h5py.File(path, "r+") as file:
        file["PartType4/InitialMasses"] = np.ones(N_STAR)
    text = refusal(path)
    assert "PartType4 has no InitialMass" in text
    assert "InitialMasses" in text


def test_a_wrong_shape_is_named(eagle):
    assert f"expected ({N_STAR}, 3)" in refusal(eagle(Velocity=np.zeros((N_STAR, 2))))
    assert "PartType4/SmoothedMetallicity has shape (7,)" in refusal(eagle(SmoothedMetallicity=np.zeros(7)))


def test_nan_positions_are_counted(eagle):
    text = refusal(eagle(Coordinates=with_value((N_STAR, 3), (slice(2, 5), 1), np.nan)))
    assert "PartType4/Coordinates: 3 of 300 particles have NaN" in text


def test_negative_masses_and_bad_metallicities_are_counted(eagle):
    assert "2 of 300 values of 'mass' are negative" in refusal(eagle(InitialMass=with_value(N_STAR, [0, 1], -1.0)))
    assert "2 of 300 values of 'metallicity' are neg" in refusal(
        eagle(SmoothedMetallicity=with_value(N_STAR, [0, 1], -1))
    )
    assert "exceed 1 (highest 1.5)" in refusal(eagle(SmoothedMetallicity=with_value(N_STAR, 3, 1.5)))


def test_formation_after_the_snapshot_or_before_time_is_refused(eagle):
    text = refusal(eagle(StellarFormationTime=with_value(N_STAR, 3, 0.9)))
    assert "PartType4/StellarFormationTime: 1 of 300 stars form at a = 0.9, after the snapshot" in text
    assert "are not positive" in refusal(eagle(StellarFormationTime=with_value(N_STAR, 3, -1.0)))


def test_units_that_contradict_each_other_are_refused(eagle):
    path = eagle()
    with h5py.File(path, "r+") as file:
        file["PartType4/Coordinates"].attrs["CGSConversionFactor"] = np.array([1.989e43])  # a mass
    assert "is no unit of length" in refusal(path)
    assert "box is" in refusal(eagle(box=0.001))
    assert "formed with less mass than they have now" in refusal(eagle(Mass=np.full(N_STAR, 1.0)))
    path = eagle(attributes=False)
    with h5py.File(path, "r+") as file:
        file["PartType4/InitialMass"][...] *= 1e12
    assert "inconsistent mass unit" in refusal(path)
    path = eagle()
    with h5py.File(path, "r+") as file:
        file["Header"].attrs["Redshift"] = 3.0
    assert "contradict" in refusal(path)


def test_a_header_without_hubble_parameter_is_refused(eagle):
    path = eagle()
    with h5py.File(path, "r+") as file:
        del file["Header"].attrs["HubbleParam"]
    assert "no h of H0 = 100 h km/s/Mpc (HubbleParam or h)" in refusal(path)


def test_text_where_numbers_belong_is_refused(eagle):
    path = eagle()
    for name in ("HubbleParam", "BoxSize"):
        with h5py.File(path, "r+") as file:
            before = file["Header"].attrs[name]
            file["Header"].attrs[name] = "big"
        assert f"Header.{name} holds" in refusal(path)
        with h5py.File(path, "r+") as file:
            file["Header"].attrs[name] = before
    assert "PartType4/Mass holds |S2 entries" in refusal(eagle(Mass=np.array(["a"] * N_STAR, dtype="S2")))


def test_an_empty_sphere_says_where_the_nearest_star_is(eagle):
    text = refusal(eagle(), centre=(0.0, 0.0, 0.0), r_max_kpc=1.0)
    assert "the nearest star is" in text
    assert "no radius" in refusal(eagle(), r_max_kpc=-1.0)
    assert "no point" in refusal(eagle(), centre=(1.0, 2.0))
    assert "no point" in refusal(eagle(), centre=("a", 1.0, 2.0))
    assert "allowed: median" in refusal(eagle(), centre="middle")


def table(path, **changes):
    rng = np.random.default_rng(0)
    columns = {"pos_kpc": rng.normal(size=(50, 3)), "vel_km_s": rng.normal(size=(50, 3)), "mass_msun": np.full(50, 1e6)}
    columns |= {"age_gyr": np.full(50, 1.0), "metallicity": np.full(50, 0.01)} | changes
    np.savez(path, **{name: values for name, values in columns.items() if values is not None})
    return path


def test_tables_refuse_missing_units_and_say_how_to_state_them(tmp_path):
    text = refusal(table(tmp_path / "t.npz", age_gyr=None, age=np.ones(50)))
    assert "column 'age' states no unit" in text
    assert "units={'age': 'Gyr'}" in text
    assert "cannot be turned into Gyr" in refusal(tmp_path / "t.npz", units={"age": "kpc"})
    assert "cannot be turned into Gyr" in refusal(tmp_path / "t.npz", units={"age": "fortnite"})
    assert "units names agee" in refusal(tmp_path / "t.npz", units={"agee": "Gyr"})


def test_tables_refuse_missing_negative_and_misshapen_columns(tmp_path):
    assert "no column age [Gyr]" in refusal(table(tmp_path / "a.npz", age_gyr=None))
    text = refusal(table(tmp_path / "b.npz", age_gyr=with_value(50, 3, -1.0)))
    assert "1 of 50 values of 'age' are negative (lowest -1 Gyr)" in text
    assert "expected (50,)" in refusal(table(tmp_path / "c.npz", mass_msun=np.ones(49)))
    assert "expected (50, 3)" in refusal(table(tmp_path / "d.npz", vel_km_s=np.ones((50, 2))))
    text = refusal(table(tmp_path / "e.npz", pos_kpc=None, x_kpc=np.ones(50), y_kpc=np.ones(50), z_kpc=np.ones(9)))
    assert "differ in shape" in text


def test_populations_of_discs_are_checked(data_dir):
    path = data_dir / "sims/SimSpin_example_HDF5.hdf5"
    assert "unknown component disk" in refusal(path, populations={"disk": {}})
    assert "allowed: age" in refusal(path, populations={"disc": {"aeg": 1.0}})
    assert "0 < age < 20 Gyr" in refusal(path, populations={"disc": {"age": -1.0}})


def test_a_table_of_elements_of_another_width_is_refused(tmp_path):
    write_magneticum(tmp_path / "m.hdf5")
    with h5py.File(tmp_path / "m.hdf5", "r+") as file:
        del file["PartType4/Metallicity"]
        file["PartType4/Metallicity"] = np.zeros((N_STAR, 9))
    assert "expected (300, 11)" in refusal(tmp_path / "m.hdf5")
