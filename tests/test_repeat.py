"""A cube made again from the config in its file, and configs in files that try to do harm."""

import json
import sys

import numpy as np
import pytest
from astropy.io import fits
from omegaconf import OmegaConf
from simulate_run import SMALL, command, compose

from galdiff.errors import InputError
from galdiff.front.repeat import repeated
from galdiff.io.config_table import config_table, read_config

OTHER = ("seed=5", "view.inclination=20", "noise.exposure_s=0.1", "extensions=jdaviz")


@pytest.fixture(scope="module")
def asked():
    """A composed config of the command line."""
    return compose(*SMALL, "output=asked")


@pytest.fixture(scope="module")
def stored():
    """The resolved config of another run, as plain values."""
    return OmegaConf.to_container(compose(*SMALL, *OTHER, "output=elsewhere"), resolve=True)


def write(path, config, name="CONFIG"):
    table = config_table(OmegaConf.to_yaml(OmegaConf.create(config, flags={"allow_objects": True})))
    table.name = name
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(path, overwrite=True)
    return path


def from_file(asked, path):
    return repeated(OmegaConf.merge(asked, {"from": str(path)}))


def test_a_table_gives_back_every_value_and_its_kind(tmp_path):
    values = {
        "a": 1,
        "b": 1.0,
        "c": 1e-300,
        "d": "1e-4",
        "e": None,
        "f": [True, [], {}],
        "g": " K\u00e4se\n  #: ",
        "h": "",
    }
    assert read_config(write(tmp_path / "c.fits", values)) == values


def test_all_but_the_process_is_taken_from_the_file(asked, stored, tmp_path):
    made = OmegaConf.to_container(from_file(asked, write(tmp_path / "cube.fits", stored)))
    assert made == stored | {"output": "asked", "runtime": made["runtime"]}
    assert made["runtime"]["precision"] == stored["runtime"]["precision"]


def test_a_file_opens_no_package_no_folder_and_no_cache(asked, stored, tmp_path):
    config = stored | {"runtime": stored["runtime"] | {"cache_dir": "somewhere"}, "output": "harm", "overwrite": True}
    made = from_file(asked, write(tmp_path / "cube.fits", config))
    assert made.runtime.cache_dir == "auto"
    assert (made.output, made.overwrite) == ("asked", False)


def changed(config, key, value):
    made = OmegaConf.create(config)
    OmegaConf.update(made, key, value, merge=False, force_add=True)
    return OmegaConf.to_container(made)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("ssp", {"_target_": "os.system", "command": "touch harm"}, "only what galdiff opens to configs may be built"),
        ("input.cosmology", {"_target_": "builtins.eval", "_args_": ["1"]}, "only what galdiff opens"),
        ("baryons", {"_target_": "harmful.mark"}, "only what galdiff opens"),
        ("packages", ["harmful"], "was made with code of harmful; if you trust it, name it: packages=[harmful]"),
        ("output_of", 1, "has output_of"),
        ("noise.loud", 1, "has noise.loud"),
        ("noise", {}, "lacks noise.background"),
        ("runtime.precision", None, "has no runtime.precision"),
        ("input", {"given": "Galaxy"}, "input was a Galaxy made in Python"),
    ],
)
def test_a_hostile_or_foreign_config_is_refused_before_anything_runs(asked, stored, tmp_path, key, value, words):
    (tmp_path / "harmful.py").write_text("from pathlib import Path\nPath('harm').touch()\ndef mark(): ...\n")
    sys.path.insert(0, str(tmp_path))
    try:
        with pytest.raises(InputError) as caught:
            from_file(asked, write(tmp_path / "cube.fits", changed(stored, key, value)))
    finally:
        sys.path.remove(str(tmp_path))
    assert words in str(caught.value)
    assert "harmful" not in sys.modules


def test_an_interpolation_of_a_file_is_not_worked_out(asked, stored, tmp_path):
    text = json.dumps(stored | {"output": "${oc.env:HOME}"}, indent=1).splitlines()
    table = fits.BinTableHDU.from_columns([fits.Column("JSON", "200A", array=np.array(text))], name="CONFIG")
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(tmp_path / "cube.fits")
    with pytest.raises(InputError, match="only plain values"):
        from_file(asked, tmp_path / "cube.fits")


def test_files_without_a_config_are_named(asked, stored, tmp_path):
    (tmp_path / "text.fits").write_text("SIMPLE")
    with pytest.raises(InputError, match="cannot be read"):
        from_file(asked, tmp_path / "text.fits")
    with pytest.raises(InputError, match="cannot be read"):
        from_file(asked, tmp_path / "nowhere.fits")
    with pytest.raises(InputError, match="holds no config"):
        from_file(asked, write(tmp_path / "other.fits", stored, name="OTHER"))
    lines = fits.BinTableHDU.from_columns([fits.Column("JSON", "9A", array=np.array(["{", "[" * 9]))], name="CONFIG")
    fits.HDUList([fits.PrimaryHDU(), lines]).writeto(tmp_path / "broken.fits")
    with pytest.raises(InputError, match="cannot be read"):
        from_file(asked, tmp_path / "broken.fits")


def test_a_preset_beside_the_file_is_refused_on_the_command_line(stored, tmp_path, capsys):
    path = write(tmp_path / "cube.fits", stored)
    assert command(tmp_path / "out", f"from={path}", "instrument=kcwi") == 2
    assert "instrument=kcwi: from takes this from its file" in capsys.readouterr().err
    assert command(tmp_path / "out", f"from={path}", "cosmology.h0=60") == 2
    assert "nothing that all of a run shares" in capsys.readouterr().err
