"""experiments/sed.py: the files it leaves, what they hold, and its errors."""

import importlib.util
import json
import pathlib
import sys
from unittest import mock

import hydra
import numpy as np
import pytest
from astropy import units as u
from astropy.table import QTable

ROOT = pathlib.Path(__file__).resolve().parent.parent
FILES = ["config.yaml", "lines.ecsv", "magnitudes.ecsv", "metrics.json", "sed.png", "spectrum.ecsv"]


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("sed", ROOT / "experiments" / "sed.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(script, folder, *overrides):
    with hydra.initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        script.main(hydra.compose("sed", overrides=[f"output={folder}", *overrides]))
    return folder


def command(script, folder, capsys, *overrides):
    """Exit code and the last line on stderr of the command line in this process."""
    quiet = ("hydra/job_logging=none", "hydra/hydra_logging=none")
    argv = ["sed.py", f"output={folder}", *quiet, f"hydra.run.dir={folder}/hydra", *overrides]
    with mock.patch.object(sys, "argv", argv), pytest.raises(SystemExit) as leaving:
        script.main()
    return leaving.value.code, capsys.readouterr().err.strip()


def test_a_halo_gives_a_spectrum_and_its_magnitudes(script, tmp_path, capsys):
    folder = run(script, tmp_path / "run", "passbands=[sdss2010-g,sdss2010-r]", "halo.log10_mvir=12.0", "nebular=none")
    assert sorted(p.name for p in folder.iterdir() if p.is_file()) == FILES
    spectrum, magnitudes = (QTable.read(folder / name) for name in ("spectrum.ecsv", "magnitudes.ecsv"))
    assert spectrum["wave"].unit == u.Angstrom
    assert spectrum["lum"].unit == u.Lsun / u.Angstrom
    stars = spectrum["lum_young"] + spectrum["lum_old"]
    inside = stars > 0  # of the library
    assert (spectrum["lum"] - spectrum["lum_dust"] <= stars * (1 + 1e-12))[inside].all()
    assert inside.sum() > 1000
    taken = np.trapezoid((stars - spectrum["lum"] + spectrum["lum_dust"])[inside], spectrum["wave"][inside])
    np.testing.assert_allclose(np.trapezoid(spectrum["lum_dust"], spectrum["wave"]) / taken, 1.0, rtol=1e-4)
    assert list(magnitudes["passband"]) == ["sdss2010-g", "sdss2010-r"]
    colour = magnitudes["mag_ab_rest"][0] - magnitudes["mag_ab_rest"][1]
    assert 0.0 < colour < 1.0
    assert -23 < magnitudes["mag_ab_rest"][1] < -19  # a Milky Way
    np.testing.assert_allclose(magnitudes["mag_ab"] - magnitudes["mag_ab_rest"], 38.3, atol=0.5)  # modulus at z = 0.1
    assert "Msun/yr, mean age" in capsys.readouterr().out
    known = json.loads((folder / "metrics.json").read_text())
    assert 0.5 < 10 ** (known["log10_mass"] - known["log10_mass_formed"]) < 0.75  # dead stars gave the rest back
    assert 0.3 < known["sfr_100myr"] / known["sfr_10myr"] < 3
    np.testing.assert_allclose(10 ** known["log10_dust_power"], taken.value, rtol=1e-3)
    assert 1.0 < known["dn4000"] < 1.6
    assert -2.5 < known["uv_slope"] < 1.0


def test_gas_adds_lines_that_magnitudes_hold(script, tmp_path, data_dir):
    library = f"ssp.path={data_dir}/ssp/ssp_popstar_chabrier.h5"
    law = ("sfh=constant", "metallicity=one", "imf=chabrier", "ssp=file", library, "redshift=0.1")
    law = (*law, "passbands=[sdss2010-g,sdss2010-r,sdss2010-i]", "runtime.precision=float32")
    folders = [run(script, tmp_path / name, *law, f"nebular={name}") for name in ("byler17", "none")]
    lines, no_lines = (QTable.read(folder / "lines.ecsv") for folder in folders)
    assert len(no_lines) == 0
    lines.add_index("line")
    alpha, beta = lines.loc["Halpha"], lines.loc["Hbeta"]
    assert alpha["lum"] < alpha["lum_bare"]
    assert alpha["lum"] / beta["lum"] > alpha["lum_bare"] / beta["lum_bare"]  # dust reddens
    assert 10 < alpha["ew_rest"].to_value("Angstrom") < 300
    spectrum = QTable.read(folders[0] / "spectrum.ecsv")
    near = np.abs(spectrum["wave"].to_value("Angstrom") - 6564.6) < 80
    seen = np.trapezoid(spectrum["lum_lines"][near], spectrum["wave"][near]).to_value("erg/s")
    both = (alpha["lum"] + lines.loc["[NII]6548"]["lum"] + lines.loc["[NII]6584"]["lum"]).to_value("erg/s")
    np.testing.assert_allclose(seen, both, rtol=0.05)
    wave, lum, dust = (spectrum[name].value for name in ("wave", "lum", "lum_dust"))
    inside = (wave > 913) & (wave < 24000)  # what dust takes of stars and gas it gives back
    made = spectrum["lum_young"].value + spectrum["lum_old"].value + spectrum["lum_gas"].value
    taken = np.trapezoid((made - lum + spectrum["lum_lines"].value + dust)[inside], wave[inside])
    taken += (lines["lum_bare"] - lines["lum"]).sum().to_value("Lsun")
    np.testing.assert_allclose(np.trapezoid(dust, wave) / taken, 1.0, rtol=0.01)
    bright, dim = (QTable.read(folder / "magnitudes.ecsv")["mag_ab"] for folder in folders)
    assert (bright < dim).all()  # H-beta and [O III] in g and r, H-alpha in i
    assert dim[2] - bright[2] > 0.02


def test_dust_and_a_nucleus_shine_in_the_infrared_and_hydrogen_takes_the_far_ultraviolet(script, tmp_path):
    what = (
        "agn=schartmann05",
        "agn.share=0.2",
        "broadening=gaussian",
        "redshift=2.5",
        "sfh=delayed_tau",
        "metallicity=one",
    )
    folder = run(script, tmp_path / "run", *what, "passbands=[sdss2010-g,sdss2010-r,wise2010-W4]")
    spectrum, magnitudes = (QTable.read(folder / name) for name in ("spectrum.ecsv", "magnitudes.ecsv"))
    wave = spectrum["wave"].to_value("Angstrom")
    forest = wave < 1215
    assert wave[-1] == pytest.approx(1e7)
    assert (spectrum["lum_seen"] < 0.9 * spectrum["lum"])[forest].all()
    assert (spectrum["lum_seen"] == spectrum["lum"])[wave > 1216].all()
    share = np.trapezoid(spectrum["lum_agn"], wave) / np.trapezoid(spectrum["lum"], wave)
    assert float(share) == pytest.approx(0.2, abs=5e-3)
    infrared = wave > 1e5
    both = spectrum["lum_dust"] + spectrum["lum_agn"]
    assert np.trapezoid(both[infrared], wave[infrared]) > 0.97 * np.trapezoid(spectrum["lum"][infrared], wave[infrared])
    assert np.isfinite(magnitudes["mag_ab"]).all()
    assert 15 < magnitudes["mag_ab"][2] < magnitudes["mag_ab"][0]


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (("nebular=byler17", "nebular.log10_u=-7", "sfh=delayed_tau"), "nebular.log10_u"),
        (("sigma_gas=0", "sfh=delayed_tau"), "sigma_gas is 0 km/s"),
        (("nebular=byler17", "nebular.escape=1.5", "sfh=delayed_tau"), "nebular.escape"),
        (("redshift=-1",), "redshift is -1"),
        (("passbands=[nothing-r]",), "passband 'nothing-r' is no file and no name of speclite"),
        (("passbands=[wise2010-W4]", "sfh=delayed_tau", "dust_emission=none"), "passband wise2010-W4 runs from"),
        (("passbands=[]", "sfh=delayed_tau"), "passbands are empty"),
        (("passbands=null", "sfh=delayed_tau"), "passbands is null; give a list"),
        (("passbands=sdss2010-r", "sfh=delayed_tau"), "passbands is 'sdss2010-r'; give a list, as [sdss2010-r"),
        (("halo.observed_redshift=1", "passbands=[sdss2010-r]"), "the history of the halo ends at"),
        (("sfh=burst", "sfh.age=0.1", "sfh.duration=0.5"), "duration is 0.5 Gyr"),
        (("metallicity=one", "metallicity.lgmet=-0.6", "sfh=delayed_tau"), "metallicity.lgmet"),
        (("dust_emission.temperature=5", "sfh=delayed_tau"), "dust_emission.temperature"),
        (("agn=schartmann05", "agn.share=1.0", "sfh=delayed_tau"), "agn.share"),
        (("sfh=delayed_tau", "sfh.tau=-1"), "sfh.tau"),
        (("sfh=delayed_tau", "sfh.t_start=9", "redshift=1"), "t_start is 9 Gyr, but the galaxy is seen at"),
        (("sfh=constant", "sfh.t_start=9", "redshift=1"), "t_start is 9 Gyr, but the galaxy is seen at"),
        (("sfh=burst", "sfh.age=9", "redshift=1"), "age is 9 Gyr, but the galaxy is seen at"),
        (("sfh=bins", "redshift=3"), "edges[-1] is 3.6 Gyr of look-back time, but the galaxy is seen at"),
        (("sfh=table", "sfh.time=[1,2]", "sfh.sfr_table=[-1,2]"), "sfr_table holds -1 Msun/yr"),
    ],
)
def test_bad_input_ends_in_one_line(script, tmp_path, capsys, overrides, said):
    code, error = command(script, tmp_path / "run", capsys, *overrides)
    assert code == 2
    assert said in error.splitlines()[-1]
    assert not (tmp_path / "run" / "sed.png").exists()


def test_metals_beyond_the_library_are_told(script, tmp_path):
    few = ("passbands=[sdss2010-r]", "sfh=delayed_tau", "metallicity=one", "metallicity.lgmet=-1.0")
    with pytest.warns(UserWarning, match=r"100.00% of the mass formed has a mean log10 Z outside"):
        run(script, tmp_path / "run", *few)
