"""Libraries of several [alpha/Fe]: their joining, their light and its gradient, and what is refused."""

import dataclasses

import h5py
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from stage_builders import galaxy_light, library

from galdiff.dust.galaxy import NoGalaxyDust
from galdiff.errors import InputError
from galdiff.observing.galaxy_sed import sed_pipeline
from galdiff.sfh.constant import Constant
from galdiff.sfh.metallicity import OneMetallicity
from galdiff.sps.alpha import alpha_factor, joined, load_alpha
from galdiff.sps.galaxy_light import GalaxyLight
from galdiff.sps.grid import cut_wave

FIELDS = ("ssp_lgmet", "ssp_lg_age_gyr", "ssp_wave")


def shone(grid, by):
    """A library whose spectra are brighter by a factor that grows with wavelength."""
    wave = jnp.asarray(grid.ssp_wave)
    return dataclasses.replace(grid, ssp_flux=grid.ssp_flux * (wave / wave[0]) ** by)


@pytest.fixture(scope="module")
def several():
    """The library of the builders at [alpha/Fe] = 0.3, 0 and 0.6, with ln responses 0.3, 0 and 0.9 ln(wave)."""
    return joined([shone(library(), 0.3), library(), shone(library(), 0.9)], [0.3, 0.0, 0.6])


def test_at_its_nodes_a_library_is_what_it_was_joined_of(several):
    wave = np.asarray(several.ssp_wave) / several.ssp_wave[0]
    np.testing.assert_array_equal(several.alpha_fe, [0.0, 0.3, 0.6])
    np.testing.assert_array_equal(several.ssp_flux, library().ssp_flux)
    factor = jax.jit(jax.vmap(lambda a: alpha_factor(several, a)))(jnp.array([0.0, 0.3, 0.6, 0.9, -0.2]))
    for got, power in zip(factor, (0.0, 0.3, 0.9, 0.9, 0.0), strict=True):  # held beyond the ends
        np.testing.assert_allclose(got, np.broadcast_to(wave**power, got.shape), rtol=1e-12)


def test_between_nodes_the_light_is_smooth_and_its_gradient_that_of_differences(several):
    stage, inputs = galaxy_light()
    total = lambda a: (several.ssp_flux * alpha_factor(several, a)).sum()  # noqa: E731
    value, slope = jax.jit(total), jax.jit(jax.grad(total))
    for at in (0.1, 0.3, 0.47):
        np.testing.assert_allclose(slope(at), (value(at + 1e-5) - value(at - 1e-5)) / 2e-5, rtol=1e-6)
    rich, plain = stage(**inputs), GalaxyLight(t_birth=0.011)(**inputs)
    np.testing.assert_allclose(rich.old / plain.old, 1.3 ** (0.15 / 0.4), rtol=1e-9)


def test_single_precision_and_cuts_keep_the_axis(several):
    single = jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), several)
    assert alpha_factor(single, jnp.float32(0.2)).dtype == jnp.float32
    lo, hi = np.asarray(several.ssp_wave)[[0, -2]]
    cut = cut_wave(several, lo, hi)
    assert cut.alpha_response.shape == (3, *cut.ssp_flux.shape)


def test_files_of_several_are_read_as_one(tmp_path, several):
    paths = []
    for name, factor in (("solar", 1.0), ("rich", 1.5)):
        paths.append(tmp_path / f"{name}.h5")
        with h5py.File(paths[-1], "w") as file:
            file.update({field: np.asarray(getattr(several, field)) for field in FIELDS})
            file["ssp_flux"] = 1e-6 * factor * np.asarray(several.ssp_flux)
    grid = load_alpha(paths, alpha_fe=[0.0, 0.4], fwhm=2.5)
    np.testing.assert_allclose(grid.alpha_response[1], np.log(1.5), rtol=1e-6)
    with pytest.raises(InputError, match="give a list of paths"):
        load_alpha(paths, alpha_fe=[0.0])


@pytest.mark.parametrize(
    ("values", "match"),
    [([0.2, 0.2], "two or more different"), ([0.2], "two or more different"), ([0.0, float("nan")], "different")],
)
def test_values_that_say_nothing_are_refused(values, match):
    with pytest.raises(InputError, match=match):
        joined([library()] * len(values), values)


def test_stars_that_a_library_has_not_are_refused(several):
    with pytest.raises(InputError, match="leave it out"):
        GalaxyLight(alpha_fe=0.2).check(library())
    with pytest.raises(InputError, match=r"holds 0 to 0\.6"):
        GalaxyLight(alpha_fe=0.7).check(several)
    law = {"law": Constant(), "metallicity": OneMetallicity(lgmet=-2.0, scatter=0.1), "dust": NoGalaxyDust()}
    with pytest.raises(InputError, match="ssp=alpha"):
        sed_pipeline(**law, library=library(), passbands=[], light=GalaxyLight(alpha_fe=0.2))
    GalaxyLight(alpha_fe=0.6).check(several)
    GalaxyLight().check(library())
    other = dataclasses.replace(library(), ssp_wave=1.1 * jnp.asarray(library().ssp_wave))
    with pytest.raises(InputError, match="differ in ssp_wave"):
        joined([library(), other], [0.0, 0.4])
