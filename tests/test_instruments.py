"""Instruments as data: every preset, its grids and aperture, and what a wrong file is told."""

import pathlib

import numpy as np
import pytest
import yaml
from hydra.utils import instantiate
from omegaconf import OmegaConf

from galdiff.core.air import vacuum_to_air
from galdiff.errors import InputError
from galdiff.ifu.instrument import (
    aperture_mask,
    from_mapping,
    output_wave,
    output_wave_vacuum,
    pixel_edges_vacuum,
    reference_of,
    spaxel_centres,
)
from galdiff.ifu.spread_functions import lsf_fwhm

PRESETS = sorted((pathlib.Path(__file__).parent.parent / "conf" / "instrument").glob("*.yaml"))


def load(name: str) -> dict:
    return yaml.safe_load(next(p for p in PRESETS if p.stem == name).read_text())


def custom(**changes) -> dict:
    """The custom preset with some keys changed; nested mappings are merged."""
    data = load("custom")
    for key, value in changes.items():
        data[key] = data.get(key, {}) | value if isinstance(value, dict) and "kind" not in value else value
    return data


def leaves(data: dict, prefix: str = ""):
    for key, value in data.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield prefix + key


def test_all_presets_of_the_specification_are_there():
    manga = {f"manga_{n}" for n in (19, 37, 61, 91, 127)} | {"manga_127_linear"}
    nirspec = {f"nirspec_g{n}{k}" for n in (140, 235, 395) for k in "mh"} | {"nirspec_prism"}
    others = {"muse_wfm", "muse_wfm_ao", "muse_nfm", "sami_blue", "sami_red", "califa_v500", "califa_v1200", "kcwi"}
    others |= {"hector_blue", "hector_red", "kmos_yj", "kmos_h", "kmos_k", "weave_lifu", "bluemuse", "custom"}
    assert {p.stem for p in PRESETS} >= manga | nirspec | others


@pytest.mark.parametrize("path", PRESETS, ids=lambda p: p.stem)
def test_a_preset_loads_and_is_sane(path):
    instr = instantiate(OmegaConf.load(path))
    wave, edges = output_wave_vacuum(instr), pixel_edges_vacuum(instr)
    assert hash(instr) == hash(from_mapping(yaml.safe_load(path.read_text())))
    assert wave.dtype == np.float64
    assert edges.shape == (instr.n_wave + 1,)
    assert ((edges[:-1] < wave) & (wave < edges[1:])).all()
    assert 3000.0 < wave[0] < wave[-1] < 55000.0
    fwhm = lsf_fwhm(instr.lsf, output_wave(instr))
    assert ((fwhm > np.diff(edges)) & (fwhm < 0.05 * wave)).all()
    mask = aperture_mask(instr)
    assert mask.shape == (instr.n_y, instr.n_x)
    assert mask[instr.n_y // 2, instr.n_x // 2]
    assert (mask == mask[::-1, ::-1]).all()
    assert 0.6 < mask.mean() <= 1.0


@pytest.mark.parametrize("path", PRESETS, ids=lambda p: p.stem)
def test_every_number_of_a_preset_has_a_reference(path):
    data = yaml.safe_load(path.read_text())
    references = data.pop("references")
    instr = from_mapping({**data, "references": references})
    keys = [key for key in leaves(data) if key not in ("_target_", "name")]
    assert [key for key in keys if not reference_of(instr, key)] == []
    known = set(keys) | {key.split(".")[0] for key in keys}
    assert sorted(set(references) - known) == []  # no reference for a key that is not there


def test_muse_has_its_published_numbers():
    instr = from_mapping(load("muse_wfm"))
    assert (instr.n_x, instr.n_y, instr.n_wave) == (300, 300, 3681)
    fwhm = lsf_fwhm(instr.lsf, np.array([4000.0, 5000.0, 7830.0, 9000.0]))
    np.testing.assert_allclose(fwhm, [3.30, 2.91, 2.44, 2.52], atol=5e-3)


def test_manga_has_4563_logarithmic_pixels_in_a_hexagon_of_127_fibres():
    instr = from_mapping(load("manga_127"))
    assert instr.n_wave == 4563
    np.testing.assert_allclose(np.diff(np.log10(output_wave(instr))), 1e-4, rtol=1e-9)
    area = aperture_mask(instr).sum() * 0.25
    assert area == pytest.approx(3 * np.sqrt(3) / 2 * (32.5 / 2) ** 2, rel=0.01)


def test_edges_of_an_air_grid_lie_in_air():
    instr = from_mapping(load("muse_wfm"))
    edges = vacuum_to_air(pixel_edges_vacuum(instr))
    np.testing.assert_allclose(np.diff(edges), 1.25, atol=1e-6)
    np.testing.assert_allclose(edges[0], 4750.0 - 0.625, atol=1e-5)


def test_centre_of_the_field_is_the_middle_of_the_spaxels():
    instr = from_mapping(custom(n_x=4, field_x_arcsec=None, spaxel_x_arcsec=0.3))
    x, y = spaxel_centres(instr)
    np.testing.assert_allclose(x, [-0.45, -0.15, 0.15, 0.45])
    np.testing.assert_allclose(y.mean(), 0.0, atol=1e-12)


def test_a_hexagon_has_its_flat_sides_where_the_orientation_says():
    field = {"field_x_arcsec": 30, "field_y_arcsec": 30, "spaxel_x_arcsec": 0.1, "spaxel_y_arcsec": 0.1}
    upright = {"shape": "hexagon", "flat_to_flat_arcsec": 20.0, "orientation_deg": 0.0}
    mask = aperture_mask(from_mapping(custom(**field, aperture=upright)))
    x, y = (np.flatnonzero(mask.any(axis)).size * 0.1 for axis in (0, 1))
    assert x == pytest.approx(20.0, abs=0.11)
    assert y == pytest.approx(20.0 * 2 / np.sqrt(3), abs=0.21)
    turned = aperture_mask(from_mapping(custom(**field, aperture=upright | {"orientation_deg": 90.0})))
    assert (turned == mask.T).mean() > 0.999


def test_a_circle_has_its_area():
    circle = {"shape": "circle", "diameter_arcsec": 18.0}
    mask = aperture_mask(from_mapping(custom(aperture=circle, spaxel_x_arcsec=0.2, spaxel_y_arcsec=0.1)))
    assert mask.sum() * 0.02 == pytest.approx(np.pi * 81.0, rel=5e-3)


def test_integers_and_numbers_as_text_are_numbers():
    wave = {"start_angstrom": 5000, "end_angstrom": "6e3", "step_angstrom": 2}
    instr = from_mapping(custom(wave=wave, lsf={"kind": "constant", "fwhm_angstrom": 4}))
    assert (instr.n_wave, instr.wave_step, instr.lsf.values) == (501, 2.0, (4.0,))
    assert isinstance(instr.wave_step, float)


def test_a_table_of_resolving_power_is_interpolated_linearly():
    lsf = {"kind": "table", "wave_angstrom": [4000, 8000], "resolving_power": [1000, 3000]}
    instr = from_mapping(custom(lsf=lsf))
    np.testing.assert_allclose(lsf_fwhm(instr.lsf, np.array([6000.0, 9000.0])), [3.0, 3.0])


def test_a_logarithmic_grid_in_ln_has_equal_velocity_steps():
    wave = {"grid": "ln", "start_angstrom": 4800.0, "end_angstrom": 5000.0, "step_ln": 1e-4, "medium": "vacuum"}
    data = custom(lsf={"kind": "constant", "fwhm_angstrom": 2.0}) | {"wave": wave}
    np.testing.assert_allclose(np.diff(np.log(pixel_edges_vacuum(from_mapping(data)))), 1e-4, rtol=1e-9)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"spaxl_x_arcsec": 0.2}, "unknown key 'spaxl_x_arcsec'; did you mean 'spaxel_x_arcsec'"),
        ({"wave": {"step": 1.0}}, "unknown key 'step'; did you mean"),
        ({"wave": {"medium": "vaccum"}}, "did you mean 'vacuum'"),
        ({"wave": {"step_angstrom": None}}, "wave.step_angstrom: a value is required"),
        ({"wave": {"step_angstrom": 0.0}}, "step_angstrom is 0; it must be above 0"),
        ({"wave": {"step_angstrom": 1e-3}}, "pixels from 4800 to 7000 Angstrom"),
        ({"wave": {"start_angstrom": 7500}}, "the end must be above the start"),
        ({"wave": {"start_angstrom": "blue"}}, "'blue'; give a finite number"),
        ({"wave": {"start_angstrom": True}}, "True; give a finite number"),
        ({"wave": 5}, "give a mapping"),
        ({"spaxel_x_arcsec": -0.2}, "spaxel_x_arcsec is -0.2"),
        ({"field_x_arcsec": 0.1}, "less than half a spaxel"),
        ({"field_x_arcsec": None}, "field_x_arcsec: a value is required"),
        ({"n_x": 10}, "both n_x and field_x_arcsec"),
        ({"n_x": 10.5, "field_x_arcsec": None}, "whole number"),
        ({"name": 3}, "give a text"),
        ({"aperture": {"diameter_arcsec": 3.0}}, "no meaning for the shape square"),
        ({"aperture": {"shape": "hexagonal"}}, "did you mean 'hexagon'"),
        ({"lsf": {"kind": "polynomial", "fwhm_angstrom": 2.0}}, "lsf.coefficients_angstrom: a value is required"),
        ({"lsf": {"kind": "constant", "fwhm_angstrom": 3, "resolving_power": 9}}, "no meaning for the kind constant"),
        ({"lsf": {"kind": "polynomial", "coefficients_angstrom": [-1.0, 2e-4]}}, "must be positive"),
        ({"lsf": {"kind": "polynomial", "coefficients_angstrom": 3.0}}, "give a list of numbers"),
        ({"lsf": {"kind": "table", "wave_angstrom": [5, 4], "fwhm_angstrom": [1, 1]}}, "increasing wavelengths"),
        ({"psf": {"kind": "moffat", "fwhm_arcsec": 1.0, "beta": 1.0}}, "beta is 1; it must be above 1"),
        ({"psf": {"kind": "gaussian", "fwhm_arcsec": 0.1, "slope_arcsec_per_angstrom": -1e-3}}, "must be positive"),
    ],
)
def test_a_wrong_key_is_named_with_its_remedy(changes, message):
    with pytest.raises(InputError, match=message) as error:
        from_mapping(custom(**changes))
    assert "\n" not in str(error.value)


def test_a_step_wider_than_the_lsf_warns():
    with pytest.warns(UserWarning, match=r"2\.50 times the LSF FWHM"):
        from_mapping(custom(wave={"step_angstrom": 7.5}))
