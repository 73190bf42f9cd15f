"""Training on the light of galaxies: magnitudes and colours of a table say how gas turns into stars."""

import hydra
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from astropy.table import Table
from flax import nnx

from galdiff.build import build
from galdiff.cases.table import _solve
from galdiff.cosmology import Cosmology, luminosity_distance
from galdiff.errors import InputError
from galdiff.galaxy.births import births
from galdiff.observables.magnitude import Magnitude
from galdiff.photometry.magnitudes import ab_magnitude
from galdiff.photometry.read import load_passband
from galdiff.runtime import project_dir
from galdiff.sps.analytic.default_library import default_grid
from galdiff.sps.interpolate import node_table, spectrum

REDSHIFT = 0.1
R, G = "sdss2010-r", "sdss2010-g"


@pytest.fixture(scope="module")
def library():
    return default_grid(imf="kroupa")


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("light") / "light.csv"
    lgm = np.linspace(11.0, 13.0, 6)
    Table({"lgm": lgm, "mag_r": np.full(6, -20.0), "z": [0.1, 0.1, 0.1, 0.2, 0.2, 0.2]}).write(path)
    return path


@pytest.fixture(scope="module")
def cfg(path):
    where = [f"case.path={path}", "case.halo={log10_mvir: lgm}", "case.target=mag_r", "case.error=0.05"]
    small = ["baryons@model=regulator", "case.n_steps=40", "case.settings.n_nodes=48", f"case.redshift={REDSHIFT}"]
    with hydra.initialize_config_dir(str(project_dir("conf")), version_base="1.3"):
        return hydra.compose("train", overrides=["experiment=own_light", *where, *small])


@pytest.fixture(scope="module")
def made(cfg, library):
    """The case, its model and what a history shows in three ways."""
    model, case = build(cfg.model, path="model"), build(cfg.case, path="case")
    assert isinstance(case.output, Magnitude)
    case.prepare(model)
    history = jax.jit(_solve)(model, case.samples["tables"])
    return case, model, history


def test_a_magnitude_is_that_of_the_summed_spectrum_of_the_stars(made, library):
    _, _, history = made
    one = jax.tree.map(lambda x: x[2], history)
    cosmology = Cosmology()
    distance = luminosity_distance(cosmology, REDSHIFT)

    @jax.jit
    def summed(history):
        born = births(history, (jnp.arange(400) + 0.5) / 400)  # other nodes: these sums have converged
        table = node_table(library, "linear")
        lum = born.mass @ spectrum(table, jnp.log10(born.age), jnp.log10(born.metallicity))
        bands = [load_passband(name) for name in (R, G)]
        seen = [ab_magnitude(library.ssp_wave, lum, band, REDSHIFT, distance) for band in bands]
        return jnp.stack([ab_magnitude(library.ssp_wave, lum, bands[0]), *seen])

    absolute, r, g = summed(one)
    common = {"band": R, "minus": None, "frame": "rest", "redshift": REDSHIFT, "library": library}
    common |= {"cosmology": cosmology}
    said = {
        "absolute": Magnitude(**common),
        "apparent": Magnitude(**(common | {"frame": "observed"})),
        "colour": Magnitude(**(common | {"band": G, "minus": R, "frame": "observed"})),
    }
    found = {name: np.asarray(jax.jit(output.__call__)(history)) for name, output in said.items()}
    assert found["absolute"].shape == history.sfr.shape
    np.testing.assert_allclose(found["absolute"][2, -1], absolute, atol=2e-3)
    np.testing.assert_allclose(found["apparent"][2, 0], r, atol=2e-3)
    np.testing.assert_allclose(found["colour"][2, 0], g - r, atol=2e-3)
    assert (np.diff(found["absolute"][:, 0]) < 0).all()  # larger halos shine more
    single = jax.tree.map(lambda x: x.astype(np.float32) if x.dtype == np.float64 else x, history)
    np.testing.assert_allclose(jax.jit(said["absolute"].__call__)(single), found["absolute"], atol=2e-3)


def test_a_fit_to_magnitudes_finds_the_depletion_time_with_slopes_that_differences_have(made):
    case, model, _ = made
    graph, numbers, rest = nnx.split(model, nnx.Param, ...)

    def shifted(step):
        """The model with another depletion time [dex]."""
        flat = dict(nnx.to_flat_state(numbers))
        name = ("star_formation", "log10_a")
        flat[name] = flat[name].replace(flat[name][...] + step)
        return nnx.merge(graph, nnx.from_flat_state(flat), rest)

    said = jax.jit(lambda step: case.predict(shifted(step), case.samples)[:, 0])
    slopes = jax.jit(jax.jacfwd(lambda step: case.predict(shifted(step), case.samples)[:, 0]))
    data, size = said(0.3), 1e-4
    numeric = (said(size) - said(-size)) / (2 * size)
    np.testing.assert_allclose(slopes(0.0), numeric, rtol=1e-4)
    assert (slopes(0.0) != 0).all()
    step = 0.0
    for _ in range(6):  # Gauss and Newton
        slope = slopes(step)
        step += float(slope @ (data - said(step)) / (slope @ slope))
    np.testing.assert_allclose(step, 0.3, atol=1e-6)


def test_what_no_table_of_light_can_have_is_refused(cfg, library):
    common = {"band": R, "minus": None, "frame": "rest", "redshift": REDSHIFT, "library": library}
    common |= {"cosmology": Cosmology()}
    for change, words in (
        ({"frame": "sky"}, "frame of the magnitude is 'sky'; choose observed or rest"),
        ({"redshift": "z"}, "redshift of the magnitude is z; give one number from 0 to 5"),
        ({"redshift": 0.0, "frame": "observed"}, "redshift of the magnitude is 0.0; give one number above 0"),
        ({"band": "sdss2010-q"}, "sdss2010-q"),
    ):
        with pytest.raises(InputError, match=words):
            Magnitude(**(common | change))
    with pytest.raises(InputError, match=r"case.redshift gives 0.2, 0.1, but a magnitude .* at redshift 0.1"):
        Magnitude(**common).redshifts(np.array([0.2, 0.1]))
