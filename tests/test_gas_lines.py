"""The main job with emission lines: cube, maps, files, sources and errors."""

import dataclasses
import functools

import jax
import numpy as np
import pytest
from astropy.io import fits
from flax import nnx
from simulate_run import library  # the embedded library, once for all tests

import galdiff
from galdiff.core.variables import Physical
from galdiff.errors import InputError
from galdiff.nebular.lines_per_mass import SPAN
from galdiff.observing.gas_lines import gas_lines, source_of, young_smoothing

pytestmark = pytest.mark.filterwarnings("ignore:.* lie outside the SSP library")  # of few stars, a share is soon large

Z = 0.015
OBSERVED = {
    "instrument": "califa_v500",
    "max_spaxels": 8,
    "redshift": Z,
    "snr": None,
    "precision.rank": 8,
    "instrument.wave.start_angstrom": 6620.0,
    "instrument.wave.end_angstrom": 6860.0,
    "dust": "screen",
}


@functools.cache
def disc():
    assert library()
    return galdiff.draw_disc(n_stars=1500, n_gas=300)


@functools.cache
def observed(gas, **more):
    return galdiff.observe(disc(), gas=gas, **OBSERVED, **more)


def summed(mock):
    return np.asarray(mock.cube.flux, float).sum((0, 1))


def test_lines_come_on_top_of_the_stars():
    added = summed(observed("lines")) - summed(observed("none"))
    wave = np.asarray(observed("lines").cube.wave)
    peak = wave[np.argmax(added)]
    assert peak == pytest.approx(6562.8 * (1 + Z), abs=2.0)
    away = np.abs(wave - 6735.0) < 15  # between [N II] and [S II]
    assert np.abs(added[away]).max() < 1e-4 * added.max()


def test_maps_hold_the_light_of_the_cube():
    mock = observed("lines")
    step = np.diff(np.asarray(mock.cube.wave)).mean()
    added = (summed(mock) - summed(observed("none"))).sum() * step
    assert {"Halpha", "[NII]6584", "[SII]6716"} <= set(mock.lines)
    assert np.nansum(mock.line_maps.flux) == pytest.approx(added, rel=2e-3)


def test_gas_turns_with_the_disc():
    v = np.asarray(observed("lines").line_maps.v)
    assert np.nanmax(v) > 20
    assert np.nanmin(v) < -20
    assert np.nanmin(observed("lines").line_maps.sigma) > 20.0  # turbulence


def test_files_name_each_line_with_its_unit(tmp_path):
    observed("lines").save(tmp_path)
    assert (tmp_path / "lines.png").stat().st_size > 10_000
    with fits.open(tmp_path / "maps.fits") as file:
        assert file["F_HALPHA"].header["BUNIT"] == "10**(-20)*erg/s/cm**2"
        stored = np.asarray(file["F_HALPHA"].data)[:, ::-1]
        assert file["V_GAS"].header["BUNIT"] == "km/s"
    mock = observed("lines")
    np.testing.assert_allclose(stored, np.asarray(mock.line_maps.flux)[..., mock.lines.index("Halpha")], rtol=1e-6)


def test_a_cube_has_derivatives_in_the_ionisation_of_its_gas():
    made = galdiff.pipeline(disc(), gas="lines", **OBSERVED)
    wave = np.asarray(observed("lines").cube.wave)
    near = np.abs(wave - 6583.5 * (1 + Z)) < 8
    graph, state, rest = nnx.split(made, Physical, ...)

    @jax.jit
    def light(log10_u):
        changed = jax.tree.map(lambda x: x, state)
        changed["stages"]["line_table"]["regions"]["log10_u"].set_value(log10_u)
        cube = nnx.merge(graph, changed, rest)(wanted=["cube"], galaxy=disc().galaxy)["cube"]
        return cube.flux[..., near].sum()

    at = state["stages"]["line_table"]["regions"]["log10_u"].get_value()
    slope = jax.grad(light)(at)
    expected = (light(at + 1e-3) - light(at - 1e-3)) / 2e-3
    assert abs(float(slope)) > 0
    assert float(slope) == pytest.approx(float(expected), rel=1e-3)


def test_all_engines_draw_the_same_lines():
    cubes = {
        engine: np.asarray(galdiff.observe(disc(), gas="lines", engine=engine, **OBSERVED).cube.flux, float)
        for engine in ("direct", "compressed", "per_star")
    }
    assert cubes["direct"].max() > 3 * np.median(cubes["direct"][4, 4])  # a line stands out
    for engine in ("compressed", "per_star"):
        difference = np.abs(cubes[engine] - cubes["direct"])
        assert difference.max() < 2e-3 * cubes["direct"].max(), engine


def test_the_summary_says_who_shines_and_by_whose_photons():
    said = observed("lines").summary["emission_lines"]
    assert (said["source"], said["lines"]) == ("gas", list(observed("lines").lines))
    assert said["ionised_by"] == observed("lines").observation.setup.ssp.name
    formed = np.asarray(disc().gas.sfr).sum()
    assert 0 < said["sfr_in_field_msun_yr"] < formed
    assert "emission_lines" not in observed("none").summary


def test_a_range_without_lines_says_so_and_leaves_the_stars():
    bare = OBSERVED | {"instrument.wave.start_angstrom": 6980.0, "instrument.wave.end_angstrom": 7080.0}
    with pytest.warns(
        UserWarning, match=r"no emission line of the list lies between 68\d\d and 69\d\d Angstrom at rest"
    ):
        mock = galdiff.observe(disc(), gas="lines", **bare)
    assert (mock.lines, mock.line_maps) == ((), None)
    assert float(np.asarray(mock.cube.flux).max()) > 0


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"metallicity": np.full(300, 0.05)}, r"100\.0% of the star formation .* outside of metallicities from"),
        ({"sfr": np.zeros(300), "mass": np.ones(300)}, r"no star younger than 20 Myr is in the field"),
    ],
)
def test_gas_out_of_range_and_nothing_to_shine_are_told(changed, said):
    galaxy = disc().galaxy
    gas = dataclasses.replace(galaxy.gas, **changed)
    old = dataclasses.replace(galaxy.stars, age=np.maximum(np.asarray(galaxy.stars.age), 1.0))
    with pytest.warns(UserWarning, match=said):
        galdiff.observe(dataclasses.replace(galaxy, gas=gas, stars=old), gas="lines", **OBSERVED)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("gas.turbulence_kms", -5.0, "give 0 to 1000 km/s"),
        ("gas.turbulence_kms", float("nan"), "give 0 to 1000 km/s"),
        ("gas.a_v_ratio", 7.0, "give a number above 0 and below 5"),
        ("gas.source", "moon", "choose one of auto, gas, stars"),
    ],
)
def test_wrong_settings_of_gas_are_refused_before_anything_is_read(key, value, said):
    with pytest.raises(InputError, match=said):
        galdiff.observe(disc(), gas="lines", **OBSERVED, **{key: value})


def test_auto_takes_gas_whose_star_formation_is_known():
    galaxy = disc().galaxy
    assert source_of("auto", galaxy) == "gas"
    unknown = dataclasses.replace(galaxy, gas=dataclasses.replace(galaxy.gas, sfr=None))
    assert source_of("auto", unknown) == "stars"
    with pytest.raises(InputError, match=r"gas without a star formation rate; choose gas\.source=stars"):
        source_of("gas", unknown)
    with pytest.raises(InputError, match="has no gas"):
        source_of("gas", dataclasses.replace(galaxy, gas=None))
    with pytest.raises(InputError, match=r"gas\.source is 'moon'"):
        source_of("moon", galaxy)


def test_only_young_stars_are_spread_by_their_young_neighbours():
    galaxy = disc().galaxy
    sigma = young_smoothing(galaxy, kind="auto", neighbours=8)
    young = np.asarray(galaxy.stars.age) <= SPAN
    assert (sigma[~young] == 0).all()
    assert (sigma[young] > 0).all()
    assert young_smoothing(galaxy, kind="none", neighbours=8) is None


def test_lines_without_dust_are_not_dimmed():
    made = gas_lines(turbulence_kms=20.0, a_v_ratio=1.0, curve=None)
    assert (made.dimming == 0).all()
    assert made.sigma.min() > 20.0
