"""A sphere out of a snapshot: read block by block, the same galaxy as the whole that is cut, and little at once."""

import tracemalloc
import zipfile

import h5py
import numpy as np
import pytest
from astropy.table import Table
from simulation_files import N_STAR, A, H, write_eagle, write_swift, write_tng
from snapshot_mutations import SNAPSHOTS, write_table

from galdiff.errors import InputError
from galdiff.io.simulations import columns, read_galaxy, table_files
from galdiff.io.simulations.sphere import wanted_sphere

BLOCK = 32  # rows
MIDDLE = np.full(3, 2000.0 * A / H)  # kpc, of the sample of IllustrisTNG


@pytest.fixture
def pieces(monkeypatch):
    """Small blocks, and (name, rows, bytes) of every piece that is read."""
    found = []

    def counted(dataset, rows):
        values = read(dataset, rows)
        found.append((dataset.name, len(values), values.nbytes))
        return values

    read = columns.rows_of
    monkeypatch.setattr(columns, "BLOCK", BLOCK)
    monkeypatch.setattr(columns, "rows_of", counted)
    return found


@pytest.mark.parametrize("chunks", [None, (20, 3), (100, 3)])
def test_what_is_held_at_once_is_a_block_however_long_the_file(tmp_path, pieces, chunks):
    write_tng(tmp_path / "a.hdf5")
    with h5py.File(tmp_path / "a.hdf5", "r+") as file:
        group = file["PartType4"]
        far = np.arange(N_STAR) >= 4 * BLOCK  # all but the first blocks lie elsewhere
        pos = group["Coordinates"][()] + far[:, None] * 5000.0
        del group["Coordinates"]
        group.create_dataset("Coordinates", data=pos, chunks=chunks)
    found = read_galaxy(tmp_path / "a.hdf5", centre=MIDDLE, r_max_kpc=3.0)
    assert 0 < len(found.stars.mass) < 4 * BLOCK
    rows = {name: [n for other, n, _ in pieces if other == name] for name in {name for name, _, _ in pieces}}
    assert sum(rows["/PartType4/Coordinates"]) == N_STAR  # each position once
    assert sum(rows["/PartType4/GFM_Metallicity"]) <= 4 * BLOCK + 100  # of the rest, only blocks with something inside
    assert max(size for _, _, size in pieces) <= max(BLOCK + 8, 0 if chunks is None else chunks[0]) * 24


@pytest.mark.filterwarnings("ignore:.*Masses is taken for it")
@pytest.mark.parametrize("kind", SNAPSHOTS)
def test_a_sphere_read_in_blocks_is_that_of_the_whole(tmp_path, monkeypatch, kind):
    SNAPSHOTS[kind](tmp_path / "a.hdf5")
    whole = read_galaxy(tmp_path / "a.hdf5")
    with h5py.File(tmp_path / "a.hdf5") as file:
        stored = file["PartType2" if kind == "gadget" else "PartType4"]["Coordinates"][()]
    scale = (np.ptp(whole.stars.pos, axis=0) / np.ptp(stored, axis=0)).mean()
    sphere = {"centre": stored.mean(0) * scale, "r_max_kpc": 2.5}
    alone = read_galaxy(tmp_path / "a.hdf5", **sphere)
    monkeypatch.setattr(columns, "BLOCK", BLOCK)
    found = read_galaxy(tmp_path / "a.hdf5", **sphere)
    assert 20 < len(found.stars.mass) < N_STAR
    for name, values in vars(found.stars).items():
        np.testing.assert_array_equal(values, getattr(alone.stars, name), err_msg=name)
    middle = whole.stars.pos.mean(0)
    assert len(found.stars.mass) == (np.linalg.norm(whole.stars.pos - middle, axis=1) <= 2.5).sum()


def test_a_sphere_across_the_face_of_the_box_is_whole(tmp_path, monkeypatch):
    write_swift(tmp_path / "a.hdf5", BoxSize=25.0)  # the galaxy lies at 25, in the corner
    with h5py.File(tmp_path / "a.hdf5", "r+") as file:
        file["PartType4/Coordinates"][...] %= 25.0
    monkeypatch.setattr(columns, "BLOCK", BLOCK)
    found = read_galaxy(tmp_path / "a.hdf5", centre=(0.0, 0.0, 0.0), r_max_kpc=50.0)
    assert len(found.stars.mass) == N_STAR
    assert np.abs(found.stars.pos).max() < 50.0


def test_a_position_that_is_none_is_reported_though_it_is_not_inside(tmp_path):
    for value in (np.nan, 1e300):
        write_tng(tmp_path / "a.hdf5")
        with h5py.File(tmp_path / "a.hdf5", "r+") as file:
            file["PartType4/Coordinates"][7, 1] = value
        with pytest.raises(InputError, match=r"PartType4/Coordinates: 1 .*(NaN|exceed)"):
            read_galaxy(tmp_path / "a.hdf5", centre=MIDDLE, r_max_kpc=3.0)


def test_a_star_that_is_wrong_outside_the_sphere_is_no_matter(tmp_path):
    write_eagle(tmp_path / "a.hdf5")
    with h5py.File(tmp_path / "a.hdf5", "r+") as file:
        middle = file["PartType4/Coordinates"][()].mean(0) * A / H * 1e3
        file["PartType4/Coordinates"][7] += 1.0
        file["PartType4/SmoothedMetallicity"][7] = -1.0
    assert len(read_galaxy(tmp_path / "a.hdf5", centre=middle, r_max_kpc=100.0).stars.mass) == N_STAR - 1
    with pytest.raises(InputError, match="SmoothedMetallicity: 1 of 300 values"):
        read_galaxy(tmp_path / "a.hdf5", centre=middle)


def test_a_sphere_is_known_before_only_if_it_is_given_by_numbers():
    assert wanted_sphere([1.0, 2.0, 3.0], 4.0).radius == 4.0
    for centre, radius in (("median", 4.0), ([1, 2, 3], None), ([1, 2], 4.0), (["a"] * 3, 1.0), ([1, 2, 3], -1.0)):
        assert wanted_sphere(centre, radius) is None


def long_table(path, count):
    """A table of galaxies side by side, of which the first lies around the origin."""
    rng = np.random.default_rng(1)
    pos = rng.normal(0, 1, (count, 3)) + 40.0 * (np.arange(count) // 100)[:, None]
    columns = {
        "pos": (pos, "kpc"),
        "vel": (rng.normal(0, 90, (count, 3)), "km/s"),
        "mass": (np.full(count, 1e5), "Msun"),
    }
    columns |= {"age": (rng.uniform(1e3, 9e3, count), "Myr"), "metallicity": (np.full(count, 0.01), "")}
    if "by_column" in path.name:
        columns = {name: (np.asfortranarray(values), unit) for name, (values, unit) in columns.items()}
    if "compound" in path.name:
        Table({k: v for k, (v, _) in columns.items()}, units={k: u for k, (_, u) in columns.items() if u}).write(
            path, path="stars", serialize_meta=True
        )
    else:
        write_table(path, columns)
    return sum(values.nbytes for values, _ in columns.values())


@pytest.mark.parametrize("name", ["a.npz", "by_column.npz", "a.h5", "compound.h5", "a.ecsv"])
def test_a_sphere_of_a_table_holds_a_block_of_it_and_is_that_of_the_whole(tmp_path, monkeypatch, name):
    count = 2_000 if name.endswith("ecsv") else 30_000
    size = long_table(tmp_path / name, count)
    sphere = {"centre": (0.5, 0.0, 0.0), "r_max_kpc": 2.0}
    alone = read_galaxy(tmp_path / name, **sphere)
    monkeypatch.setattr(columns, "BLOCK", count // 30)
    read_galaxy(tmp_path / name, **sphere)  # imports what it needs
    tracemalloc.start()
    found = read_galaxy(tmp_path / name, **sphere)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert 20 < len(found.stars.mass) < 100
    for key, values in vars(found.stars).items():
        np.testing.assert_array_equal(values, getattr(alone.stars, key), err_msg=key)
    if not name.endswith("ecsv"):  # whose text is larger than its numbers
        assert peak < 0.5 * size


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_arrays_stored_by_columns_are_read_row_after_row(tmp_path, monkeypatch, save):
    made = {"cube": np.arange(84.0).reshape(7, 4, 3), "pair": np.arange(14).reshape(7, 2), "wide": np.ones((7, 70))}
    save(tmp_path / "a.npz", **{name: np.asfortranarray(values) for name, values in made.items()}, one=np.arange(7.0))
    monkeypatch.setattr(columns, "BLOCK", 3)
    found = list(table_files.blocks(str(tmp_path / "a.npz")))
    assert [len(part["pair"][0]) for part in found] == [3, 3, 1]
    for name, values in {**made, "one": np.arange(7.0)}.items():
        np.testing.assert_array_equal(np.concatenate([part[name][0] for part in found]), values)


def test_an_array_by_columns_that_ends_too_soon_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(columns, "BLOCK", 3)
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive, archive.open("pos.npy", "w") as file:
        header = {"descr": "<f8", "fortran_order": True, "shape": (7, 3)}
        np.lib.format.write_array_header_1_0(file, header)
        file.write(np.zeros(20).tobytes())  # of 21
    with pytest.raises(InputError, match="8 bytes are absent"):
        list(table_files.blocks(str(tmp_path / "a.npz")))


def test_a_sphere_of_a_table_without_stars_in_it_says_where_the_nearest_is(tmp_path, monkeypatch):
    long_table(tmp_path / "a.npz", 600)
    monkeypatch.setattr(columns, "BLOCK", 50)
    with pytest.raises(InputError, match=r"no stars within r_max_kpc = 2.0 .* nearest star is \d"):
        read_galaxy(tmp_path / "a.npz", centre=(-300.0, 0.0, 0.0), r_max_kpc=2.0)


def test_populations_of_a_sphere_of_an_n_body_disc_are_those_of_the_whole(tmp_path, pieces):
    SNAPSHOTS["gadget"](tmp_path / "a.hdf5")
    scattered = {"populations": {"disc": {"age_scatter": 0.2, "metallicity_scatter": 0.1, "seed": 4}}}
    whole = read_galaxy(tmp_path / "a.hdf5", centre=(0.0, 0.0, 0.0), **scattered)
    pieces.clear()
    with h5py.File(tmp_path / "a.hdf5") as file:
        middle = file["PartType2/Coordinates"][()].mean(0)
    shift = whole.stars.pos - middle
    found = read_galaxy(tmp_path / "a.hdf5", centre=middle, r_max_kpc=2.5, **scattered)
    inside = np.linalg.norm(shift, axis=1) <= 2.5
    assert 20 < inside.sum() < N_STAR
    for key in ("age", "metallicity", "mass"):
        np.testing.assert_array_equal(getattr(found.stars, key), getattr(whole.stars, key)[inside], err_msg=key)
    assert max(rows for _, rows, _ in pieces) == BLOCK
