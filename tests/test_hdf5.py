"""Files that point to others, come in parts, or need a filter: whole galaxies, or an error that names what lacks."""

import shutil

import h5py
import numpy as np
import pytest
from simulation_files import N_STAR, write_eagle, write_gadget, write_gizmo, write_swift, write_tng
from ssp_files import write_dsps

from galdiff.core.hdf5 import member, read_dataset
from galdiff.errors import InputError
from galdiff.io.simulations import read_galaxy
from galdiff.io.tables import read_columns
from galdiff.sps.library import load_ssp

CUT = 200  # stars in the first of two parts


def refusal(path, **options) -> str:
    """The one line of a refused file."""
    with pytest.raises(InputError) as error:
        read_galaxy(path, **options)
    assert "\n" not in str(error.value)
    return str(error.value)


def add_gas(path, count):
    """Gas in the layout of AREPO."""
    rng = np.random.default_rng(3)
    with h5py.File(path, "r+") as file:
        group = file.create_group("PartType0")
        group["Coordinates"] = rng.normal(2000.0, 2.0, (count, 3))
        group["Velocities"] = rng.normal(0.0, 50.0, (count, 3))
        group["Masses"] = np.full(count, 1e-5)
        group["GFM_Metallicity"] = np.full(count, 0.01)


def put_together(path, parts):
    """A file of virtual datasets over parts that lie beside it."""
    opened = [h5py.File(part) for part in parts]
    with h5py.File(path, "w") as file:
        file.create_group("Header").attrs.update(dict(opened[0]["Header"].attrs))
        for group in (name for name in opened[0] if name != "Header"):
            for name, first in opened[0][group].items():
                counts = [part[f"{group}/{name}"].shape[0] for part in opened]
                layout = h5py.VirtualLayout((sum(counts), *first.shape[1:]), first.dtype)
                start = 0
                for part, count in zip(parts, counts, strict=True):
                    source = h5py.VirtualSource(part.name, f"{group}/{name}", (count, *first.shape[1:]))
                    layout[start : start + count] = source
                    start += count
                file.create_virtual_dataset(f"{group}/{name}", layout)
    for part in opened:
        part.close()


@pytest.mark.parametrize("write", [write_tng, write_swift])
def test_a_virtual_snapshot_is_whole_or_names_the_part_that_is_absent(tmp_path, write):
    parts = [tmp_path / "snap.0.hdf5", tmp_path / "snap.1.hdf5"]
    for part, rows in zip(parts, (slice(CUT), slice(CUT, None)), strict=True):
        write(part, rows)
    put_together(tmp_path / "snap.hdf5", parts)
    assert len(read_galaxy(tmp_path / "snap.hdf5").stars.mass) == N_STAR
    parts[1].rename(tmp_path / "elsewhere")
    assert "snap.1.hdf5 is absent" in refusal(tmp_path / "snap.hdf5")


def test_gas_of_a_virtual_snapshot_is_not_taken_for_zeros(tmp_path):
    write_tng(tmp_path / "whole.hdf5")
    for i in (0, 1):
        write_tng(tmp_path / f"gas.{i}.hdf5")
        add_gas(tmp_path / f"gas.{i}.hdf5", 20)
        with h5py.File(tmp_path / f"gas.{i}.hdf5", "r+") as file:
            del file["PartType4"]
    put_together(tmp_path / "v.hdf5", [tmp_path / "gas.0.hdf5", tmp_path / "gas.1.hdf5"])
    with h5py.File(tmp_path / "v.hdf5", "r+") as file, h5py.File(tmp_path / "whole.hdf5") as whole:
        whole.copy("PartType4", file)
    assert len(read_galaxy(tmp_path / "v.hdf5").gas.mass) == 40
    with h5py.File(tmp_path / "gas.1.hdf5", "r+") as file:
        del file["PartType0/Masses"]
    assert "gas.1.hdf5 has no" in refusal(tmp_path / "v.hdf5")
    (tmp_path / "gas.1.hdf5").unlink()
    assert "gas.1.hdf5 is absent" in refusal(tmp_path / "v.hdf5")


@pytest.mark.parametrize("what", ["PartType4", "PartType4/GFM_Metallicity"])
def test_links_are_followed_and_one_that_leads_nowhere_names_its_target(tmp_path, what):
    write_tng(tmp_path / "target.hdf5")
    write_tng(tmp_path / "link.hdf5")
    with h5py.File(tmp_path / "link.hdf5", "r+") as file:
        del file[what]
        file[what] = h5py.ExternalLink("target.hdf5", what)
        file["Again"] = h5py.SoftLink("/PartType4")
        file["Circle"] = h5py.SoftLink("/")
    assert len(read_galaxy(tmp_path / "link.hdf5").stars.mass) == N_STAR
    (tmp_path / "target.hdf5").unlink()
    for options in ({}, {"convention": "illustris_tng"}):
        assert f"{what} is a link to target.hdf5:{what}, which is absent" in refusal(tmp_path / "link.hdf5", **options)


@pytest.mark.parametrize("absolute", [False, True])
def test_links_out_of_the_folder_are_followed_only_if_they_are_allowed(tmp_path, monkeypatch, absolute):
    home = tmp_path / "snapshot"
    home.mkdir()
    write_tng(tmp_path / "target.hdf5")
    name = str(tmp_path / "target.hdf5") if absolute else "../target.hdf5"
    with h5py.File(tmp_path / "target.hdf5") as target, h5py.File(home / "link.hdf5", "w") as file:
        target.copy("Header", file)
        file["PartType4"] = h5py.ExternalLink(name, "PartType4")
    with h5py.File(tmp_path / "target.hdf5") as target, h5py.File(home / "virtual.hdf5", "w") as file:
        target.copy("Header", file)
        for key, column in target["PartType4"].items():
            layout = h5py.VirtualLayout(column.shape, column.dtype)
            layout[:] = h5py.VirtualSource(name, f"PartType4/{key}", column.shape)
            file.create_virtual_dataset(f"PartType4/{key}", layout)
    for file in ("link.hdf5", "virtual.hdf5"):
        for options in ({}, {"convention": "illustris_tng"}):
            assert f"leads to {name}, out of the folder of the file" in refusal(home / file, **options)
    monkeypatch.setenv("GALDIFF_LINKS", "anywhere")
    for file in ("link.hdf5", "virtual.hdf5"):
        assert len(read_galaxy(home / file).stars.mass) == N_STAR
    monkeypatch.delenv("GALDIFF_LINKS")
    (home / "beside.hdf5").symlink_to(tmp_path / "target.hdf5")
    with h5py.File(home / "link.hdf5", "r+") as file:
        del file["PartType4"]
        file["PartType4"] = h5py.ExternalLink("beside.hdf5", "PartType4")
    assert len(read_galaxy(home / "link.hdf5").stars.mass) == N_STAR


def test_gas_behind_a_link_that_leads_nowhere_is_not_left_out(tmp_path):
    write_tng(tmp_path / "link.hdf5")
    with h5py.File(tmp_path / "link.hdf5", "r+") as file:
        file["PartType0"] = h5py.ExternalLink("gas.hdf5", "PartType0")
    assert "PartType0 is a link to gas.hdf5:PartType0" in refusal(tmp_path / "link.hdf5")


def test_tables_follow_links_too(tmp_path):
    rng = np.random.default_rng(0)
    with h5py.File(tmp_path / "values.h5", "w") as file:
        file["pos_kpc"], file["vel_km_s"] = rng.normal(size=(9, 3)), rng.normal(size=(9, 3))
        file["mass_msun"], file["age_gyr"], file["metallicity"] = np.full(9, 1e6), np.ones(9), np.full(9, 0.01)
    with h5py.File(tmp_path / "table.h5", "w") as file:
        file["stars"] = h5py.ExternalLink("values.h5", "/")
    assert len(read_galaxy(tmp_path / "table.h5").stars.mass) == 9
    (tmp_path / "values.h5").unlink()
    assert "link to values.h5" in refusal(tmp_path / "table.h5")


def compress(path, name, code=32026):
    """Let a dataset say that it is compressed with a filter, Blosc2 by default."""
    with h5py.File(path, "r+") as file:
        values = file[name][()]
        del file[name]
        plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plan.set_chunk(values.shape)
        plan.set_filter(code, h5py.h5z.FLAG_OPTIONAL, (0,))
        home, _, last = name.rpartition("/")
        space, kind = h5py.h5s.create_simple(values.shape), h5py.h5t.py_create(values.dtype)
        dataset = h5py.h5d.create((file[home] if home else file).id, last.encode(), kind, space, plan)
        dataset.write_direct_chunk((0,) * values.ndim, values.tobytes(), 0)


def test_a_filter_that_is_not_installed_is_named_with_its_dataset(tmp_path):
    assert not h5py.h5z.filter_avail(32026)
    write_tng(tmp_path / "filter.hdf5")
    compress(tmp_path / "filter.hdf5", "PartType4/GFM_Metallicity")
    text = refusal(tmp_path / "filter.hdf5")
    assert "PartType4/GFM_Metallicity is compressed with the HDF5 filter 32026 (Blosc2)" in text
    assert "pip install hdf5plugin" in text
    assert "truncated" not in text
    shutil.copy(tmp_path / "filter.hdf5", tmp_path / "part.hdf5")
    put_together(tmp_path / "virtual.hdf5", [tmp_path / "part.hdf5"])
    assert "filter 32026 (Blosc2)" in refusal(tmp_path / "virtual.hdf5")


def test_a_filter_is_named_in_libraries_and_tables_too(tmp_path):
    write_dsps(tmp_path / "library.h5")
    compress(tmp_path / "library.h5", "ssp_flux", 32015)
    with pytest.raises(InputError, match=r"library.h5: ssp_flux is compressed with the HDF5 filter 32015 .Zstandard."):
        load_ssp(tmp_path / "library.h5")
    with h5py.File(tmp_path / "table.h5", "w") as file:
        file["mass"] = np.ones(5)
    compress(tmp_path / "table.h5", "mass", 39999)
    with pytest.raises(InputError, match=r"mass is compressed with the HDF5 filter 39999 .unknown."):
        read_columns(tmp_path / "table.h5", {"mass": None})


@pytest.fixture
def snapshot(tmp_path):
    """The folder of a snapshot in three files, the second without stars, and the same in one file."""
    folder = tmp_path / "snapdir_099"
    folder.mkdir()
    rows = (slice(CUT), slice(0), slice(CUT, None))
    for i, each in enumerate(rows):
        write_tng(folder / f"snap_099.{i}.hdf5", each, NumFilesPerSnapshot=3)
        add_gas(folder / f"snap_099.{i}.hdf5", 7)
    with h5py.File(folder / "snap_099.1.hdf5", "r+") as file:
        del file["PartType4"]
    write_tng(tmp_path / "whole.hdf5")
    return folder


@pytest.mark.parametrize("name", [".", "snap_099.*.hdf5", "snap_099.0.hdf5"])
def test_a_snapshot_in_parts_is_the_same_galaxy_by_its_folder_a_pattern_or_its_first_file(snapshot, name):
    whole = read_galaxy(snapshot.parent / "whole.hdf5")
    found = read_galaxy(snapshot / name)
    np.testing.assert_array_equal(found.stars.pos, whole.stars.pos)
    np.testing.assert_array_equal(found.stars.age, whole.stars.age)
    assert len(found.gas.mass) == 21
    point = np.median(whole.stars.pos, 0) + 2000.0 * 0.77342 / 0.704
    sphere = {"centre": point, "r_max_kpc": 2.0}
    cut, reference = read_galaxy(snapshot / name, **sphere), read_galaxy(snapshot.parent / "whole.hdf5", **sphere)
    assert 0 < len(cut.stars.mass) < N_STAR
    np.testing.assert_array_equal(cut.stars.pos, reference.stars.pos)
    np.testing.assert_array_equal(cut.stars.vel, reference.stars.vel)
    far = {"centre": (0.0, 0.0, 0.0), "r_max_kpc": 1.0}
    assert "no stars within r_max_kpc = 1.0 kpc" in refusal(snapshot / name, **far)
    assert "the nearest star is" in refusal(snapshot / name, **far)


def test_gas_of_a_part_without_stars_is_wrapped_before_it_is_cut(snapshot):
    point = np.full(3, 2000.0 * 0.77342 / 0.704)
    before = read_galaxy(snapshot, centre=point, r_max_kpc=5.0).gas
    with h5py.File(snapshot / "snap_099.1.hdf5", "r+") as file:
        file["PartType0/Coordinates"][...] += 75000.0  # the next box
    after = read_galaxy(snapshot, centre=point, r_max_kpc=5.0).gas
    np.testing.assert_allclose(after.pos, before.pos, atol=1e-6)
    assert 14 < len(after.mass) <= 21


def test_an_absent_part_is_named(snapshot):
    (snapshot / "snap_099.2.hdf5").unlink()
    for name in (".", "snap_099.*.hdf5", "snap_099.0.hdf5"):
        assert "1 of 3 files of the snapshot are absent: snap_099.2.hdf5" in refusal(snapshot / name)
    with pytest.warns(UserWarning, match="one of 3 files"):  # another part alone: someone wants just that
        assert "no stars" in refusal(snapshot / "snap_099.1.hdf5")


def test_a_folder_that_is_not_one_snapshot_says_what_is_there(tmp_path, snapshot):
    write_tng(snapshot / "snap_098.hdf5")
    assert "is a folder of 4 HDF5 files (snap_098.hdf5, snap_099.0.hdf5" in refusal(snapshot)
    alone = tmp_path / "alone"
    alone.mkdir()
    write_tng(alone / "galaxy.hdf5")
    assert len(read_galaxy(alone).stars.mass) == N_STAR
    for i in (0, 1):
        write_eagle(alone / f"time.{i}.hdf5")  # not parts: their headers say so
    assert "not one snapshot" in refusal(alone / "time.*.hdf5")
    assert "is a pattern of 0 HDF5 files (none)" in refusal(alone / "snap.*.hdf5")


def test_parts_that_do_not_fit_together_are_refused(snapshot, tmp_path):
    with h5py.File(snapshot / "snap_099.2.hdf5", "r+") as file:
        file["PartType0/StarFormationRate"] = np.zeros(7)
    assert "not all files of the snapshot have sfr" in refusal(snapshot)
    for i in (0, 1):
        write_gadget(tmp_path / f"disc.{i}.hdf5")
        with h5py.File(tmp_path / f"disc.{i}.hdf5", "r+") as file:
            file["Header"].attrs["NumFilesPerSnapshot"] = 2
    assert "files of 'gadget' are not put together" in refusal(tmp_path / "disc.0.hdf5")


def test_a_gizmo_snapshot_in_parts_is_recognised_by_a_part_that_has_stars(tmp_path):
    for i in (0, 1, 2):
        write_gizmo(tmp_path / f"snapshot_600.{i}.hdf5", NumFilesPerSnapshot=3)
    with h5py.File(tmp_path / "snapshot_600.0.hdf5", "r+") as file:
        del file["PartType4"]
    with pytest.warns(UserWarning, match="snapshot_600.0.hdf5: .*Masses is taken for it") as said:
        found = read_galaxy(tmp_path / "snapshot_600.0.hdf5")
    assert len(said) == 1  # not for each file
    assert found.name == "gizmo: snapshot_600.0.hdf5"
    assert len(found.stars.mass) == 2 * N_STAR


def test_members_and_rows_are_found_by_their_path(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["group/values"] = np.arange(5)
        assert member(file, "group/other") is None
        assert member(file, "group/values/deeper") is None
        np.testing.assert_array_equal(read_dataset(member(file, "group/values"), slice(2)), [0, 1])
