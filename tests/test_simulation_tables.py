"""Stars from plain tables with units, in every format and spelling."""

import astropy.units as u
import h5py
import numpy as np
import pytest
from astropy.table import Table
from simulation_files import galaxy

from galdiff.core.record import check
from galdiff.io.simulations import read_galaxy


def columns():
    """A table's columns: star by star with units that are not those inside."""
    part = galaxy()
    age = np.linspace(0.1, 12.0, len(part["mass"]))
    return part, {
        "pos": part["pos"] * u.kpc.to(u.pc) * u.pc,
        "vel": part["vel"] * 1e3 * u.m / u.s,
        "mass": part["mass"] / 1e10 * u.Unit("1e10 Msun"),
        "age": age * 1e3 * u.Myr,
        "metallicity": np.full(len(age), 0.02) * u.one,
    }


def write_table(path, table):
    kind = path.suffix
    if kind == ".ecsv":
        Table(table).write(path, format="ascii.ecsv")
    elif kind == ".npz":
        units = {f"{name}_unit": str(column.unit) for name, column in table.items()}
        np.savez(path, **{name: column.value for name, column in table.items()}, **units)
    else:
        with h5py.File(path, "w") as file:
            for name, column in table.items():
                file[f"stars/{name}"] = column.value
                file[f"stars/{name}"].attrs["unit"] = str(column.unit)


@pytest.mark.parametrize("kind", ["ecsv", "npz", "hdf5", "compound.h5"])
def test_tables_with_units_become_the_same_galaxy(tmp_path, kind):
    part, table = columns()
    path = tmp_path / f"stars.{kind}"
    if kind == "compound.h5":
        Table(table).write(path, path="data", serialize_meta=True)
    else:
        write_table(path, table)
    found = read_galaxy(path, centre=(0, 0, 0), redshift=0.1)
    np.testing.assert_allclose(found.stars.pos, part["pos"], rtol=1e-12)
    np.testing.assert_allclose(found.stars.vel - found.stars.vel[0], part["vel"] - part["vel"][0], atol=1e-9)
    np.testing.assert_allclose(found.stars.mass, part["mass"], rtol=1e-12)
    np.testing.assert_allclose(found.stars.age, np.linspace(0.1, 12.0, 300), rtol=1e-12)
    assert found.redshift == 0.1
    assert found.stars.mass_now is None
    check(found)


def test_a_table_may_state_units_in_names_or_in_the_option(tmp_path):
    part, _ = columns()
    pos, vel = part["pos"], part["vel"]
    named = {"x_kpc": pos[:, 0], "y_kpc": pos[:, 1], "z_kpc": pos[:, 2]}
    named |= {"vx_km_s": vel[:, 0], "vy_km_s": vel[:, 1], "vz_km_s": vel[:, 2]}
    named |= {"mass_msun": part["mass"], "age": np.full(300, 2e9), "Z": np.full(300, 0.01)}
    np.savez(tmp_path / "t.npz", **named)
    found = read_galaxy(tmp_path / "t.npz", units={"age": "yr"}, centre=(0, 0, 0))
    np.testing.assert_allclose(found.stars.pos, pos)
    np.testing.assert_allclose(found.stars.age, 2.0)
    np.testing.assert_allclose(found.stars.metallicity, 0.01)


def test_the_reader_never_looks_at_the_name(tmp_path, data_dir):
    _, table = columns()
    write_table(tmp_path / "t.npz", table)
    (tmp_path / "t.npz").rename(tmp_path / "magneticum_EAGLE.hdf5")
    assert read_galaxy(tmp_path / "magneticum_EAGLE.hdf5").name.startswith("table")
    copy = tmp_path / "illustris.npz"
    copy.write_bytes((data_dir / "sims/SimSpin_example_EAGLE.hdf5").read_bytes())
    assert read_galaxy(copy).name.startswith("eagle")
