"""Halo tables, matrices and merger trees from files, and the configs that build histories."""

import dataclasses
import pathlib
import sys
import types

import h5py
import jax
import numpy as np
import pytest
import yaml
from baryon_reference import stored

from galdiff.build import build
from galdiff.cosmology import Cosmology, age
from galdiff.errors import InputError
from galdiff.halo.tabulated import HaloTable, from_table
from galdiff.io import trees
from galdiff.io.halo_tables import matrix_history, read_halo_table, table_history, write_halo_table

PLANCK = Cosmology(h0=67.74, omega_m=0.3075, omega_b=0.0486)
CONF = pathlib.Path(__file__).resolve().parent.parent / "conf/halo"
TIME = np.linspace(0.5, 13.5, 30)  # Gyr
TABLE = HaloTable(
    time=TIME, m_vir=np.stack([1e12 * (TIME / 13.5) ** p for p in (1.0, 2.0)]), c_nfw=np.full((2, 30), 8.0),
    spin=np.array([0.03, 0.05]),
)  # fmt: skip


def test_a_table_of_another_cosmology_warns_and_keeps_its_masses(tmp_path):
    write_halo_table(tmp_path / "wmap.npz", dataclasses.replace(TABLE, h0=70.4, omega_m=0.272))
    with pytest.warns(UserWarning, match=r"h0 70.4 and 67.74 km/s/Mpc, omega_m 0.272 and 0.3075\); masses and times"):
        history = table_history(path=tmp_path / "wmap.npz", index=0, cosmology=PLANCK)
    np.testing.assert_allclose(history.m_vir, TABLE.m_vir[0], rtol=1e-12)
    assert history.cosmology.h0 == 67.74
    close = dataclasses.replace(TABLE, h0=67.74, omega_m=0.3089)  # one per cent is passed over
    write_halo_table(tmp_path / "close.h5", close)
    table_history(path=tmp_path / "close.h5", index=0, cosmology=PLANCK)


@pytest.mark.parametrize("suffix", [".npz", ".h5"])
def test_tables_survive_a_file(tmp_path, suffix):
    path = tmp_path / f"haloes{suffix}"
    write_halo_table(path, TABLE)
    again = read_halo_table(path)
    for name in ("time", "m_vir", "c_nfw", "spin"):
        np.testing.assert_array_equal(getattr(again, name), getattr(TABLE, name))
    assert again.mdot_vir is None
    both, second = table_history(path=path, cosmology=PLANCK), table_history(path=path, index=1, cosmology=PLANCK)
    np.testing.assert_allclose(both.mdot_vir[1], second.mdot_vir, rtol=1e-12)
    np.testing.assert_allclose(second.mdot_vir, 2 * TABLE.m_vir[1] / TIME, rtol=1e-9)
    assert second.spin == 0.05


def test_matrix_files_give_one_halo_or_all(data_dir, tmp_path):
    source = stored(data_dir / "baryons/halos_2000.npz")
    path = tmp_path / "haloes.hdf5"
    with h5py.File(path, "w") as file:
        for name, rows in (("halo_matrix", slice(3)), ("ts_full", slice(None)), ("halo_tinit", slice(3))):
            file[name] = source[name][rows]
    every, one = matrix_history(path=path, cosmology=PLANCK), matrix_history(path=path, index=2, cosmology=PLANCK)
    np.testing.assert_array_equal(every.m_vir[2], one.m_vir)
    assert one.t_start == source["halo_tinit"][2]
    assert one.interpolation == "backward"
    with pytest.raises(InputError, match=r"halo index is 3, .* holds 3 haloes; use 0 to 2"):
        matrix_history(path=path, index=3, cosmology=PLANCK)


def test_files_that_are_missing_broken_or_empty_are_named(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        read_halo_table(tmp_path / "none.npz")
    for name in ("broken.npz", "broken.h5"):
        (tmp_path / name).write_text("no halo")
        with pytest.raises(InputError, match="cannot be read"):
            read_halo_table(tmp_path / name)
    np.savez(tmp_path / "empty.npz", mass=np.ones(3))
    with pytest.raises(InputError, match=r"no array m_vir_msun \[Msun\]"):
        read_halo_table(tmp_path / "empty.npz")
    with pytest.raises(InputError, match="no array halo_matrix"):
        matrix_history(path=tmp_path / "empty.npz", cosmology=PLANCK)
    write_halo_table(tmp_path / "two.npz", TABLE)
    with pytest.raises(InputError, match="halo index is 2"):
        table_history(path=tmp_path / "two.npz", index=2, cosmology=PLANCK)


def fake_tree(**fields):
    """A ytree root with a main branch, newest first; quantities convert as unyt's do."""
    quantities = {name: np.asarray(value, float).view(Quantity) for name, value in fields.items()}
    arbor = types.SimpleNamespace(field_list=list(quantities), derived_field_list=[])
    return type("Tree", (), {"arbor": arbor, "__getitem__": lambda self, key: quantities[key[1]] if isinstance(
        key, tuple) else quantities[key][0]})()  # fmt: skip


class Quantity(np.ndarray):
    units = "Msun"

    def to(self, unit):
        assert unit == "Msun"
        return self


def test_main_branches_turn_into_tables():
    tree = fake_tree(
        mass=[1e12, 5e11, 1e11, 1e10, 0.0], redshift=[0.0, 0.5, 1.0, 3.0, 6.0], virial_radius=[200.0] * 5,
        scale_radius=[20.0, 20.0, 25.0, 40.0, 40.0], spin_parameter=[0.04] * 5,
    )  # fmt: skip
    table = trees.main_branch(tree)
    np.testing.assert_allclose(table.m_vir, [1e10, 1e11, 5e11, 1e12])
    np.testing.assert_allclose(table.redshift, [3.0, 1.0, 0.5, 0.0])
    np.testing.assert_allclose(table.c_nfw, [5.0, 8.0, 10.0, 10.0])
    history = from_table(table, cosmology=PLANCK)
    np.testing.assert_allclose(history.time, age(PLANCK, table.redshift), rtol=1e-12)
    assert history.spin == 0.04
    with pytest.raises(InputError, match="no field mass; name the mass"):
        trees.main_branch(fake_tree(Mvir=[1.0], redshift=[0.0]))
    with pytest.raises(InputError, match="2 snapshots with mass"):
        trees.main_branch(fake_tree(mass=[1e12, 1e11, 0.0], redshift=[0.0, 1.0, 2.0]))


def test_consistent_trees_files_are_read_through_ytree(tmp_path):
    pytest.importorskip("ytree")
    names = ["scale", "id", "desc_scale", "desc_id", "num_prog", "pid", "upid", "desc_pid", "phantom", "sam_Mvir"]
    names += ["Mvir", "Rvir", "rs", "vrms", "mmp?", "scale_of_last_MM", "vmax", "x", "y", "z", "vx", "vy", "vz"]
    names += ["Jx", "Jy", "Jz", "Spin"]
    rows = []
    for i, (scale, mass) in enumerate([(1.0, 6.774e11), (0.8, 4e11), (0.5, 1e11), (0.25, 1e10)]):
        values = dict.fromkeys(names, 0.0) | {"scale": scale, "Mvir": mass, "sam_Mvir": mass, "Rvir": 180.0, "rs": 18.0}
        values |= {"id": 10 + i, "desc_id": 9 + i if i else -1, "desc_scale": 0.0, "num_prog": int(i < 3), "pid": -1}
        values |= {"upid": -1, "desc_pid": -1, "mmp?": 1, "Spin": 0.03}
        rows.append(" ".join(str(values[name]) for name in names))
    header = [
        "#" + " ".join(f"{name}({i})" for i, name in enumerate(names)),
        "#Omega_M = 0.3075; Omega_L = 0.6925; h0 = 0.6774",
        "#Full box size = 100.000000 Mpc/h",
        "#Consistent Trees Version 1.0",
        "#Mvir: Halo mass (Msun/h).",
        "#Rvir: Halo radius (kpc/h comoving).",
        "#Rs: Scale radius (kpc/h comoving).",
    ]
    path = tmp_path / "tree_0_0_0.dat"
    path.write_text("\n".join([*header, "1", "#tree 10", *rows]) + "\n")
    arbor = trees.open_trees(path)
    table = trees.main_branch(arbor[0])
    np.testing.assert_allclose(table.m_vir, np.array([1e10, 1e11, 4e11, 6.774e11]) / 0.6774, rtol=1e-5)
    np.testing.assert_allclose(table.redshift, [3.0, 1.0, 0.25, 0.0], atol=1e-6)
    np.testing.assert_allclose(table.c_nfw, 10.0, rtol=1e-6)
    assert (float(table.h0), float(table.omega_m)) == pytest.approx((67.74, 0.3075))
    assert from_table(table, cosmology=PLANCK).m_vir[-1] == pytest.approx(1e12, rel=1e-5)


def test_trees_without_ytree_or_file_say_what_to_do(tmp_path, monkeypatch):
    (tmp_path / "tree_0_0_0.dat").write_text("nothing")
    monkeypatch.setitem(sys.modules, "ytree", None)
    with pytest.raises(InputError, match=r"not installed; run `pip install galdiff\[trees\]`"):
        trees.open_trees(tmp_path / "tree_0_0_0.dat")
    monkeypatch.undo()
    pytest.importorskip("ytree")
    with pytest.raises(InputError, match="cannot be read by ytree"):
        trees.open_trees(tmp_path / "tree_0_0_0.dat")
    with pytest.raises(InputError, match="does not exist"):
        trees.open_trees(tmp_path / "none.dat")


def test_configs_build_histories(tmp_path):
    universe = yaml.safe_load((CONF.parent / "cosmology" / "planck15.yaml").read_text())
    nodes = {path.stem: yaml.safe_load(path.read_text()) | {"cosmology": universe} for path in CONF.glob("*.yaml")}
    assert set(nodes) >= {"diffmah", "table", "population"}
    halo = build(nodes["diffmah"])
    assert halo.m_vir[-1] == pytest.approx(10**12.1, rel=1e-6)
    write_halo_table(tmp_path / "two.npz", TABLE)
    table = build(nodes["table"] | {"path": str(tmp_path / "two.npz"), "index": 0})
    assert table.m_vir.shape == (30,)
    many = build(nodes["population"] | {"n": 4})
    assert many.m_vir.shape == (4, 128)
    assert {leaf.shape[0] for leaf in jax.tree.leaves(many)} == {4}
