"""Readers of cooling tables: values, conventions, and errors that name field and file."""

import csv

import h5py
import numpy as np
import pytest

from galdiff.errors import InputError
from galdiff.io.cooling_tables import load_cie_text, load_cooling_hdf5, load_sd93_csv

T, Z, N = np.array([4.0, 5.0, 6.0]), np.array([-1.0, 0.0]), np.array([-4.0, -2.0])
COOLING = -22.0 - np.arange(6.0).reshape(3, 2) / 10


def written(path, **datasets):
    with h5py.File(path, "w") as file:
        for name, value in datasets.items():
            file[name.replace("__", "/")] = value
    return path


def grid(path, **changes):
    sets = {"log10_temperature": T, "log10_metallicity": Z, "log10_cooling": COOLING} | changes
    return written(path, **{name: value for name, value in sets.items() if value is not None})


def test_padded_rows_are_replaced_or_kept(data_dir):
    path = data_dir / "cooling" / "sd93_cie.csv"
    kept, filled = (load_sd93_csv(path, padded=how) for how in ("keep", "extrapolate"))
    np.testing.assert_allclose(kept.log10_lambda[:2, -1], -21.88)
    np.testing.assert_allclose(filled.log10_lambda[:2, -1], [-23.06 + 0.29, -22.46 + 0.29])
    np.testing.assert_array_equal(kept.log10_lambda[2:], filled.log10_lambda[2:])
    np.testing.assert_array_equal(kept.log10_lambda[:, :-1], filled.log10_lambda[:, :-1])
    assert kept.log10_lambda.shape == (91, 7)


def test_text_files_give_the_table_and_both_conventions_agree(data_dir, tmp_path):
    names = {"feh_m1.0": -1.0, "feh_p0.0": 0.0}
    lines = (data_dir / "cooling" / "sd93_cie_full.csv").read_text().splitlines()
    rows = list(csv.DictReader(line for line in lines if not line.startswith("#")))
    columns = ("log10_T", "n_e", "n_H", "n_t", "log10_lambda_net", "log10_lambda_n", "mu")
    for name in names:
        body = [" ".join(row[c] for c in columns) for row in rows if row["table"] == name]
        (tmp_path / f"{name}.cie").write_text("\n".join(["log T ne nH nt net N mu", *body[2 * (name == "feh_p0.0") :]]))
    paths = {z: tmp_path / f"{name}.cie" for name, z in names.items()}
    table = load_cie_text(paths)
    reference = load_sd93_csv(data_dir / "cooling" / "sd93_cie.csv")
    np.testing.assert_allclose(table.log10_t, reference.log10_t[2:])
    np.testing.assert_allclose(table.log10_lambda, reference.log10_lambda[2:, [3, 5]])
    np.testing.assert_allclose(load_cie_text(paths, convention="nh2").log10_lambda, table.log10_lambda, atol=0.0115)


def test_hdf5_grid_is_read_in_both_conventions(tmp_path):
    np.testing.assert_allclose(load_cooling_hdf5(grid(tmp_path / "a.h5"), convention="ne_nt").log10_lambda, COOLING)
    ionised = load_cooling_hdf5(grid(tmp_path / "b.h5"), convention="nh2")
    np.testing.assert_allclose(ionised.log10_lambda, COOLING - np.log10(1.21 * 1.10))
    electrons = np.full(COOLING.shape, 0.002)
    path = grid(tmp_path / "c.h5", electrons_per_hydrogen=electrons, ions_per_hydrogen=electrons * 0 + 1.06)
    table = load_cooling_hdf5(path, convention="nh2")
    np.testing.assert_allclose(table.log10_lambda, COOLING - np.log10(0.002 * 1.06))


def test_hdf5_grid_is_cut_at_a_density_and_read_from_a_group(tmp_path):
    cube = np.stack([COOLING, COOLING + 1], -1)
    path = written(tmp_path / "d.h5", z0__log10_temperature=T, z0__log10_metallicity=Z, z0__log10_cooling=cube,
                   z0__log10_hydrogen_density=N)  # fmt: skip
    table = load_cooling_hdf5(path, convention="ne_nt", density=-3.5, redshift_group="z0")
    np.testing.assert_allclose(table.log10_lambda, COOLING + 0.25)
    for density in (None, 0.0):
        with pytest.raises(InputError, match=r"d\.h5: density is .* between -4 and -2"):
            load_cooling_hdf5(path, convention="ne_nt", density=density, redshift_group="z0")
    with pytest.raises(InputError, match="no group 'z9'; found z0"):
        load_cooling_hdf5(path, convention="ne_nt", redshift_group="z9")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"log10_cooling": None}, "no dataset log10_cooling"),
        ({"log10_temperature": T[::-1]}, "log10 temperature .* increasing"),
        ({"log10_cooling": COOLING.T}, r"shape \(2, 3\).*3 temperatures"),
        ({"log10_cooling": COOLING * np.nan}, "log10 T = 4, log10 Z/Zsun = -1 is not a finite"),
        ({"electrons_per_hydrogen": np.zeros((3, 2))}, "electrons_per_hydrogen .* above zero"),
    ],
)
def test_bad_grids_are_refused_by_name(tmp_path, changes, words):
    with pytest.raises(InputError, match=rf"bad\.h5: .*{words}"):
        load_cooling_hdf5(grid(tmp_path / "bad.h5", **changes), convention="nh2")


def test_bad_arguments_and_files_are_refused(tmp_path):
    text = tmp_path / "table.csv"
    with pytest.raises(InputError, match=r"table\.csv is not a file"):
        load_sd93_csv(text)
    text.write_text("log10_T,feh_m3.0\n4.0,-22\n")
    with pytest.raises(InputError, match=r"table\.csv: no column feh_m2\.0"):
        load_sd93_csv(text)
    with pytest.raises(InputError, match="padded is 'drop'"):
        load_sd93_csv(text, padded="drop")
    with pytest.raises(InputError, match="not readable as HDF5"):
        load_cooling_hdf5(text, convention="nh2")
    with pytest.raises(InputError, match="convention is 'nH'"):
        load_cooling_hdf5(text, convention="nH")
    with pytest.raises(InputError, match="density -3 was asked"):
        load_cooling_hdf5(grid(tmp_path / "e.h5"), convention="ne_nt", density=-3)
    header = "log10_T,feh_m3.0,feh_m2.0,feh_m1.5,feh_m1.0,feh_m0.5,feh_p0.0,feh_p0.5\n"
    text.write_text(header + "4.0,-22,-22,-22,oops,-22,-22,-22\n")
    with pytest.raises(InputError, match=r"data row 1 holds .*oops"):
        load_sd93_csv(text)
    text.write_text("4.0 1 1 1 -22\n4.1 1 1 1 -22\n")
    with pytest.raises(InputError, match="data row 1 has 5 columns; it needs at least 6"):
        load_cie_text({0.0: text})
    with pytest.raises(InputError, match="0 temperatures in common"):
        load_cie_text({})
