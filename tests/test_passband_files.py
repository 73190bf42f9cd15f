"""Passbands as files have them: columns, units, formats, and what is refused before anything is loaded."""

import subprocess
import sys
import warnings

import numpy as np
import pytest
from astropy import units as u
from astropy.table import Table

from galdiff.errors import InputError
from galdiff.photometry.curves import check_names, columns, listed, published

WAVE = np.array([4000.0, 4500.0, 5000.0, 5500.0])
TRANSMISSION = np.array([0.0, 0.8, 0.6, 0.0])


def table(unit=None, factor=1.0):
    made = Table({"wave": WAVE * factor, "transmission": TRANSMISSION})
    if unit is not None:
        made["wave"].unit = unit
    return made


@pytest.mark.parametrize(
    ("name", "kind", "unit", "factor"),
    [
        ("two.dat", "ascii.no_header", None, 1.0),
        ("two.csv", "ascii.csv", None, 1.0),
        ("own.ecsv", "ascii.ecsv", u.Angstrom, 1.0),
        ("own.ecsv", "ascii.ecsv", u.nm, 0.1),
        ("own.ecsv", "ascii.ecsv", u.um, 1e-4),
        ("svo.xml", "votable", u.Angstrom, 1.0),
        ("svo.vot", "votable", u.nm, 0.1),
    ],
)
def test_a_file_gives_angstrom_whatever_its_format_and_unit(tmp_path, name, kind, unit, factor):
    path = tmp_path / name
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", u.UnitsWarning)  # the standard would rather have 0.1 nm than Angstrom
        table(unit, factor).write(path, format=kind)
    wave, transmission = columns(path)
    np.testing.assert_allclose(wave, WAVE, rtol=1e-12)
    np.testing.assert_allclose(transmission, TRANSMISSION)


def test_a_unit_can_be_told_for_a_file_that_has_none(tmp_path):
    path = tmp_path / "micron.dat"
    table(factor=1e-4).write(path, format="ascii.no_header")
    np.testing.assert_allclose(columns(path, "um")[0], WAVE)
    with pytest.raises(InputError, match=r"ends at 0\.55 Angstrom; if its wavelengths are in micron or nm, say so"):
        columns(path)


def test_columns_of_words_are_passed_over(tmp_path):
    path = tmp_path / "named.ecsv"
    made = table()
    made.add_column(["a", "b", "c", "d"], name="what", index=0)
    made.write(path, format="ascii.ecsv")
    np.testing.assert_allclose(columns(path)[0], WAVE)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("4000\n5000\n", "has 1 columns of numbers; it needs wavelength, transmission"),
        ("", "cannot be read"),
        ("one two\nthree four\n", "has 0 columns of numbers"),
    ],
)
def test_a_file_that_is_no_passband_is_refused_on_one_line(tmp_path, text, said):
    path = tmp_path / "none.dat"
    path.write_text(text)
    with pytest.raises(InputError) as refused:
        columns(path)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)
    assert str(path) in str(refused.value)


def test_a_name_is_of_speclite_or_a_file(tmp_path):
    path = tmp_path / "two.dat"
    table().write(path, format="ascii.no_header")
    check_names(["sdss2010-r", str(path)])
    wave, transmission = published("sdss2010-r")
    assert wave.shape == transmission.shape
    assert 6100 < np.trapezoid(wave * transmission, wave) / np.trapezoid(transmission, wave) < 6250
    with pytest.raises(InputError, match=r"'sdss2010-R' is no file and no name of speclite; groups there: .*sdss2010"):
        check_names(["sdss2010-R"])


@pytest.mark.parametrize(("names", "said"), [(None, "null"), ("sdss2010-r", "'sdss2010-r'"), (3, "3")])
def test_what_is_no_list_is_refused(names, said):
    with pytest.raises(InputError, match=f"^passbands is {said}; give a list, as"):
        listed(names)


def test_names_are_checked_without_jax():
    code = "import sys; from galdiff.photometry.curves import check_names; check_names(['lsst2023-i'])"
    code += "; assert 'jax' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
