"""SSP libraries that are spoilt at random: refused on one line, or true where they were not touched."""

import numpy as np
import pytest
from library_fuzz import WAYS, fuzz_libraries
from ssp_files import LGMET, WAVE, smooth_flux, write_dsps, write_ppxf

from galdiff.errors import InputError
from galdiff.sps.library import load_ssp

COUNT = 120


def test_no_spoilt_library_ends_in_a_traceback_or_is_silently_another(tmp_path):
    report = fuzz_libraries(COUNT, 5, tmp_path)
    assert report.failures == []
    assert report.kinds == {each.__name__ for ways in WAYS.values() for each in ways}
    assert COUNT / 2 < report.refused < COUNT


@pytest.mark.parametrize(
    ("write", "changes", "match"),
    [
        (write_dsps, {"ssp_lgmet": LGMET + 5.0}, "ssp_lgmet runs from 2 to 3.3; log10 of a metal mass fraction"),
        (write_dsps, {"attrs": {"lsun_cgs": 3.828e26}}, "lsun_cgs = 3.828e.26; erg/s are expected"),
        (write_dsps, {"ssp_lg_age_gyr": np.array([b"0", b"1", b"2"])}, "ssp_lg_age_gyr holds .S1 entries that are no"),
        (write_ppxf, {"lam": WAVE * 1e9}, "ssp_wave runs from 4.* Angstrom up to 1e.10 are expected"),
        (
            write_ppxf,
            {"fwhm": np.full(WAVE.size, 1e4)},
            "fwhm holds 10000 Angstrom; a resolution is positive and below",
        ),
        (write_ppxf, {"templates": -0.2 * smooth_flux().T}, "spectra are missing"),
        (write_ppxf, {"templates": smooth_flux().T * 1e12}, "ssp_flux runs from .* nothing above 1e.06"),
    ],
)
def test_numbers_that_no_library_has_are_named_with_what_is_expected(tmp_path, write, changes, match):
    path = tmp_path / ("library.h5" if write is write_dsps else "spectra_emiles_9.0.npz")
    with pytest.raises(InputError, match=match) as error:
        load_ssp(write(path, **changes))
    assert path.name in str(error.value)
