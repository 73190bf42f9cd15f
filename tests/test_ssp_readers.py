"""Formats of SSP libraries: found by walking their package, each knows its own files and no other's."""

import sys

import h5py
import numpy as np
import pytest
from ssp_files import write_dsps, write_miles, write_ppxf

import galdiff.sps.readers
from galdiff.build import build
from galdiff.core.discover import found_in
from galdiff.errors import InputError
from galdiff.sps.library import FORMATS, load_ssp
from galdiff.sps.reader import Maker, Reader

READERS = {reader.kind: reader for reader in found_in(FORMATS, Reader)}
SAMPLES = {  # a reader that is added brings one row
    "dsps": lambda folder: write_dsps(folder / "library.h5"),
    "miles": write_miles,
    "ppxf": lambda folder: write_ppxf(folder / "spectra_fsps_9.0.npz"),
}


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    """A library of each format."""
    return {kind: write(tmp_path_factory.mktemp(kind)) for kind, write in SAMPLES.items()}


def test_every_reader_has_a_sample():
    assert READERS.keys() == SAMPLES.keys()


@pytest.mark.parametrize("kind", SAMPLES)
def test_a_reader_recognises_its_own_file_and_no_other(samples, kind):
    assert {name for name, path in samples.items() if READERS[kind].recognises(path)} == {kind}


@pytest.mark.parametrize("kind", SAMPLES)
def test_a_library_that_is_looked_at_is_the_one_whose_kind_is_given(samples, kind):
    looked, given = load_ssp(samples[kind]), load_ssp(samples[kind], kind=kind)
    np.testing.assert_array_equal(looked.ssp_flux, given.ssp_flux)
    assert looked.name == given.name
    assert READERS[kind].files  # messages say it


def test_real_libraries_are_recognised_as_what_they_are(data_dir):
    for path in (data_dir / "ssp").glob("*.h5"):
        assert [reader.kind for reader in READERS.values() if reader.recognises(path)] == ["dsps"]


def test_what_no_reader_knows_names_all_that_were_tried(tmp_path):
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["spectra"] = np.ones(3)
    np.savez(tmp_path / "other.npz", spectra=np.ones(3))
    (tmp_path / "empty").mkdir()
    for name in ("other.h5", "other.npz", "empty"):
        with pytest.raises(InputError) as error:
            load_ssp(tmp_path / name)
        text = str(error.value)
        assert all(f"kind={kind}" in text for kind in READERS)
        assert "\n" not in text


def test_what_two_readers_know_names_both_and_the_option(samples, monkeypatch, tmp_path):
    monkeypatch.setattr(type(READERS["ppxf"]), "recognises", lambda self, path: True)
    with pytest.raises(InputError, match=r"library.h5 may be dsps and ppxf; choose one with kind="):
        load_ssp(samples["dsps"])
    assert load_ssp(samples["dsps"], kind="dsps").imf == "Kroupa"


def test_a_reader_is_added_by_one_file(tmp_path, monkeypatch):
    (tmp_path / "twocolumn.py").write_text(OWN.replace('"own"', '"twocolumn"'))
    monkeypatch.setattr(galdiff.sps.readers, "__path__", [*galdiff.sps.readers.__path__, str(tmp_path)])
    found_in.cache_clear()
    try:
        (tmp_path / "a.txt").write_text("# own library")
        assert load_ssp(tmp_path / "a.txt", metallicity=0.03).ssp_lgmet[0] == pytest.approx(np.log10(0.03))
        with pytest.raises(InputError, match="kind 'twocolumn' has no option z_sun; its options are metallicity"):
            load_ssp(tmp_path / "a.txt", z_sun=0.02)
    finally:
        monkeypatch.undo()
        found_in.cache_clear()
        sys.modules.pop("galdiff.sps.readers.twocolumn", None)


OWN = """
import numpy as np
from galdiff.sps.grid import make_grid
from galdiff.sps.reader import Reader

class Own(Reader):
    kind = "own"
    files = "text of mine"

    def recognises(self, path):
        return path.is_file() and path.read_bytes()[:5] == b"# own"

    def read(self, path, *, metallicity=0.02):
        axes = dict(ssp_wave=np.array([4e3, 5e3]), ssp_lg_age_gyr=np.array([0.0]), ssp_lgmet=np.log10([metallicity]))
        flux = np.ones((1, 1, 2))
        return make_grid(str(path), fwhm=2.5, medium="vacuum", ssp_flux=flux, name="own", imf="Kroupa", **axes)
"""


def test_a_reader_of_ones_own_is_named_by_its_target_when_its_package_is_trusted(tmp_path, monkeypatch):
    (tmp_path / "my_ssp.py").write_text(OWN)
    (tmp_path / "a.txt").write_text("# own library")
    monkeypatch.syspath_prepend(tmp_path)
    config = {"_target_": "galdiff.sps.library.load_ssp", "path": str(tmp_path / "a.txt"), "metallicity": 0.01}
    config["kind"] = {"_target_": "my_ssp.Own"}
    with pytest.raises(InputError, match=r"packages=\[my_ssp\]"):
        build(config)
    grid = build(config, packages=["my_ssp"])
    assert (grid.name, grid.ssp_lgmet[0]) == ("own", pytest.approx(-2.0))
    with pytest.raises(InputError, match="a checkpoint may not call it"):
        build(config, packages=["my_ssp"], checkpoint=True)
    sys.modules.pop("my_ssp", None)


def test_computed_libraries_are_found_alike():
    assert {maker.kind for maker in found_in(FORMATS, Maker)} == {"analytic", "fsps"}
