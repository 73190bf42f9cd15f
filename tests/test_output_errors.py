"""Bad disks and bad cubes: one line with the remedy, and never a half-written file."""

import os
import resource

import numpy as np
import pytest
from astropy.io import fits
from test_fits_cube import make_cube, make_maps

from galdiff.errors import InputError
from galdiff.io import fits_cube, preflight
from galdiff.io.atomic import atomic_path
from galdiff.io.fits_cube import read_cube, write_cube, write_maps
from galdiff.io.preflight import check_output, cube_bytes


def leftovers(folder):
    return sorted(path.name for path in folder.iterdir())


def test_an_existing_cube_stays_unless_overwriting_is_allowed(tmp_path):
    path = tmp_path / "c.fits"
    path.write_text("precious")
    with pytest.raises(InputError, match="overwrite=true"):
        write_cube(path, make_cube(), provenance={}, redshift=0.0)
    with pytest.raises(InputError, match="overwrite=true"):
        write_maps(path, make_maps(), spaxel_arcsec=0.2, provenance={}, redshift=0.0)
    assert path.read_text() == "precious"
    write_cube(path, make_cube(), provenance={}, redshift=0.0, overwrite=True)
    assert read_cube(path).flux.shape == make_cube().flux.shape
    assert leftovers(tmp_path) == ["c.fits"]


@pytest.mark.parametrize("failure", [KeyboardInterrupt, OSError(28, "No space left on device"), RuntimeError])
def test_a_failure_while_writing_leaves_the_old_file_and_no_other(tmp_path, failure):
    path = tmp_path / "c.json"
    path.write_text("old")
    expected = InputError if isinstance(failure, OSError) else failure

    def write():
        with atomic_path(path, overwrite=True) as temporary:
            temporary.write_text("half")
            assert (temporary.suffix, temporary.parent) == (".json", tmp_path)
            raise failure

    with pytest.raises(expected):
        write()
    assert path.read_text() == "old"
    assert leftovers(tmp_path) == ["c.json"]


def test_an_interrupt_between_data_and_variance_leaves_nothing(tmp_path, monkeypatch):
    image = fits_cube._image

    def interrupted(data, header, name, unit):
        if name == "STAT":
            assert len(leftovers(tmp_path)) == 1  # the temporary file, with DATA in it
            raise KeyboardInterrupt
        return image(data, header, name, unit)

    monkeypatch.setattr(fits_cube, "_image", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_cube(tmp_path / "c.fits", make_cube(), provenance={}, redshift=0.0)
    assert leftovers(tmp_path) == []


def test_a_disk_that_refuses_in_the_middle_leaves_nothing(tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20000, before[1]))  # a real failing write, in the middle of DATA
    try:
        with pytest.raises(InputError, match="free space or choose another output folder"):
            write_cube(tmp_path / "c.fits", make_cube(), provenance={}, redshift=0.0)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert leftovers(tmp_path) == []


def test_a_full_disk_is_noticed_before_writing(tmp_path, monkeypatch):
    usage = preflight.shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(preflight.shutil, "disk_usage", lambda _: usage)
    for attempt in (
        lambda: write_cube(tmp_path / "c.fits", make_cube(), provenance={}, redshift=0.0),
        lambda: check_output(tmp_path / "deep" / "er", cube_bytes(300, 300, 3721), overwrite=False),
    ):
        with pytest.raises(InputError, match=r"MB are free; free space"):
            attempt()
    assert leftovers(tmp_path) == []


def test_the_expected_size_covers_the_file_closely(tmp_path):
    cube = make_cube()
    write_cube(tmp_path / "c.fits", cube, provenance={"version": "x"}, redshift=0.0)
    size, expected = os.path.getsize(tmp_path / "c.fits"), cube_bytes(*cube.flux.shape)
    assert size <= expected < size + 30 * 2880


def test_the_preflight_refuses_existing_results_and_makes_the_folder(tmp_path):
    check_output(tmp_path / "new" / "run", 10, overwrite=False)
    assert (tmp_path / "new" / "run").is_dir()
    (tmp_path / "new" / "run" / "maps.png").write_text("x")
    (tmp_path / "new" / "run" / "other.txt").write_text("x")
    with pytest.raises(InputError, match=r"maps\.png: exists already"):
        check_output(tmp_path / "new" / "run", 10, overwrite=False)
    check_output(tmp_path / "new" / "run", 10, overwrite=True)
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="cannot be created"):
        check_output(tmp_path / "file" / "run", 10, overwrite=False)


def test_a_missing_output_folder_is_said(tmp_path):
    with pytest.raises(InputError, match="create the folder first"):
        write_cube(tmp_path / "no" / "c.fits", make_cube(), provenance={}, redshift=0.0)


def test_broken_cubes_are_not_written(tmp_path):
    for name, value, message in (("flux", np.nan, "not finite"), ("variance", -1.0, "negative")):
        cube = make_cube()
        getattr(cube, name)[3, 3, 3] = value
        with pytest.raises(InputError, match=message):
            write_cube(tmp_path / "c.fits", cube, provenance={}, redshift=0.0)
    with pytest.raises(InputError, match="no spaxel size"):
        write_cube(tmp_path / "c.fits", make_cube(spaxel=0.0), provenance={}, redshift=0.0)
    with pytest.raises(InputError, match="do not agree"):
        write_cube(tmp_path / "c.fits", make_cube(wave=np.arange(1.0, 5.0)), provenance={}, redshift=0.0)
    assert leftovers(tmp_path) == []


def test_files_that_are_no_cube_are_refused(tmp_path):
    path = tmp_path / "c.fits"
    write_cube(path, make_cube(), provenance={}, redshift=0.0)
    whole = path.read_bytes()
    for content in (b"", b"no fits at all" * 300, whole[:9000]):
        path.write_bytes(content)
        with pytest.raises(InputError, match=str(path)):
            read_cube(path)
    fits.PrimaryHDU(np.zeros((3, 3))).writeto(path, overwrite=True)
    with pytest.raises(InputError, match="expected DATA and STAT"):
        read_cube(path)
    path.write_bytes(whole)
    fits.setval(path, "BUNIT", value="Jy", extname="DATA")
    with pytest.raises(InputError, match="BUNIT = 'Jy'"):
        read_cube(path)
