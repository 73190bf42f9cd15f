"""What the command refuses before it loads anything that computes."""

import subprocess
import sys
import warnings

import hydra
import pytest
import yaml

from galdiff import cli
from galdiff.core.constructors import limits_of, literal, written
from galdiff.core.signatures import annotations, expected, ranges
from galdiff.endings import warnings_in_words
from galdiff.errors import InputError
from galdiff.folders import project_dir
from galdiff.galaxy.view import StarView
from galdiff.ifu.placement import AtRedshift
from galdiff.ifu.spectrograph import FACTORS
from galdiff.limits import LIMITS, Choice, check_before

REFUSED = """
import sys
from galdiff import cli
try:
    cli.main(sys.argv[1:])
finally:
    print(sorted({"jax", "flax", "diffrax", "scipy", "astropy", "matplotlib"} & set(sys.modules)))
"""


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("inclinaton=3", "inclinaton: there is no such key; did you mean 'view.inclination'?"),
        ("instrument=muse_wmf", "instrument=muse_wmf: there is no such preset; did you mean 'muse_wfm'?"),
        ("view.inclination=[1", "view.inclination=[1: cannot read this override"),
        ("view.inclination=720", "view.inclination is 720 deg; give a number above -270 and below 450 deg"),
        ("view.orientation=disc", "view.orientation is 'disc'; choose one of angular_momentum, shape, none"),
        ("baryons.eta_mass.log10_a=5", "baryons.eta_mass.log10_a is 5 dex; give a number above -2 and below 1 dex"),
        ("cosmology.h0=-70", "cosmology.h0 is -70 [km/s/Mpc]; give 10 to 200"),
        ("seed=null", "seed is None; give a whole number from 0 to 4294967295"),
        ("psf_scale=1e-6", "psf_scale is 1e-06; give a number above 0.2 and below 2.6"),
        ("instrument.wave.end_angstrom=100", "instrument.wave runs from 3745 to 100 Angstrom"),
    ],
)
def test_what_cannot_be_is_refused_before_jax_is_loaded(argument, said):
    done = subprocess.run([sys.executable, "-c", REFUSED, "simulate", argument], capture_output=True, text=True)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith(f"galdiff: {said}")
    assert done.stderr.count("\n") == 1
    assert done.stdout == "[]\n"


def composed(name, *overrides):
    with hydra.initialize_config_dir(str(project_dir("conf")), version_base="1.3"):
        return hydra.compose(name, overrides=list(overrides))


@pytest.mark.parametrize("name", sorted(LIMITS))
def test_no_experiment_is_refused_as_it_comes_and_its_limits_name_keys_that_it_has(name):
    config = composed(name)
    check_before(config, name)
    known = yaml.safe_load((project_dir("conf") / f"{name}.yaml").read_text(encoding="utf-8"))
    for key, limit in LIMITS[name].items():
        first = key.split(".")[0]
        assert first in known or first in config, key
        assert not isinstance(limit, Choice) or len(limit.names) > 1, key


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("redshift='.nan'", "^redshift is '.nan'; expected a number"),
        ("redshift=nan", "^redshift is nan; give 0 to 19.9"),
        ("redshift=20", "^redshift is 20; give 0 to 19.9"),
        ("alpha_fe=9", "^alpha_fe is 9 dex; give a number above -1 and below 1.5 dex, or null"),
        ("passbands=sdss2010-r", "^passbands is 'sdss2010-r'; give a list"),
        ("passbands=[sdss2010-r,foo-g]", "^passband 'foo-g' is no file and no name of speclite"),
    ],
)
def test_what_a_spectrum_cannot_be_of_is_refused_by_its_own_key(argument, said):
    with pytest.raises(InputError, match=said):
        check_before(composed("sed", argument), "sed")


def test_a_group_of_another_experiment_is_named_with_those_that_there_are(capsys):
    with pytest.raises(SystemExit, match="2"):
        cli.main(["sed", "dust=screen"])
    said = "galdiff: dust: sed has no choice of dust; it has those of cosmology, imf, halo, baryons, sfh, metallicity,"
    assert capsys.readouterr().err.startswith(said)


def test_passbands_in_micron_are_refused_before_the_run(tmp_path):
    (tmp_path / "band.txt").write_text("0.5 0\n0.6 1\n0.7 0\n")
    with pytest.raises(InputError, match=r"ends at 0\.7 Angstrom; if its wavelengths are in micron"):
        check_before(composed("sed", f"passbands=[{tmp_path / 'band.txt'}]"), "sed")


def test_a_warning_is_a_line_of_words(capsys):
    with warnings.catch_warnings(action="always"), warnings_in_words():
        warnings.warn("the light is\nfaint", stacklevel=1)
    assert capsys.readouterr().err == "warning: the light is faint\n"
    with pytest.warns(UserWarning, match="as ever"):
        warnings.warn("as ever", stacklevel=1)


def test_every_preset_passes_what_is_checked_before_jax_is_loaded():
    groups = {
        "instrument": "simulate",
        "baryons": "simulate",
        "dust": "simulate",
        "ssp": "simulate",
        "halo": "populate",
    }
    for group, name in groups.items():
        config = composed(name)
        for path in sorted((project_dir("conf") / group).glob("*.yaml")):
            preset = yaml.safe_load(path.read_text(encoding="utf-8"))
            if "defaults" not in preset:
                config[group] = preset
                check_before(config, name)


def test_what_is_read_from_a_source_is_what_the_objects_say():
    view, placement = (written(f"{c.__module__}.{c.__name__}") for c in (StarView, AtRedshift))
    for name in ("inclination", "position_angle", "azimuth"):
        variable = getattr(StarView(), name)
        assert limits_of(view, name, {}) == (variable.lo, variable.hi, variable.unit)
    assert placement.ranges == ranges(AtRedshift)
    hints = annotations(AtRedshift)
    for value in (1.0, "far", None, [1.0, 2.0]):
        for name in ("redshift", "kpc_per_arcsec", "pointing_arcsec"):
            assert (expected(value, placement.hints[name]) is None) == (expected(value, hints[name]) is None), name
    assert written("galdiff.galaxy.view.Nobody") is None
    assert literal("galdiff.ifu.placement.MAX_REDSHIFT") == 20
    assert (LIMITS["simulate"]["psf_scale"].low, LIMITS["simulate"]["psf_scale"].high) == FACTORS
