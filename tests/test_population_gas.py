"""Gas of populations: tabled magnitudes with lines are exact ones, at any redshift and behind any dust."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from stage_builders import ionising_library

from galdiff.errors import InputError
from galdiff.light_records import PopulationWeights
from galdiff.nebular.h_ii_regions import HIIRegions, NoGas
from galdiff.nebular.lines import NAMES
from galdiff.photometry.magnitudes import ab_magnitude
from galdiff.photometry.passband import line_weights
from galdiff.photometry.read import load_passband
from galdiff.photometry.tables import band_tables
from galdiff.populations import gas
from galdiff.populations.dust_population import GalaxyScreens, dimmed_magnitudes, passing, share_inside
from galdiff.sps.ionising_light import IonisingLight

BANDS = tuple(load_passband(name) for name in ("sdss2010-r", "sdss2010-i"))
HALPHA = 6564.61  # Angstrom
GAS_DUST = 1.7
TOLERANCE, AT_STEP = 1e-3, 2e-3  # mag
STEP = 6300.0  # Angstrom, where the parts of Calzetti's curve do not meet: parts of a band cannot follow
NEBULAR = {"log10_u": -2.5, "escape": 0.1, "log10_z_gas": None, "n_to_o": None}


def young_and_old(populations):
    """Mass formed at the nodes of the library, in birth clouds and outside."""
    inside = share_inside(populations.lg_age)
    return jnp.stack([populations.mass * inside, populations.mass * (1 - inside)]).reshape(2, -1)


def finer(library):
    """The library with wavelengths 6 Angstrom apart in the optical, as dust asks for."""
    wave = np.geomspace(100.0, 29900.0, 5000)
    old = np.asarray(library.ssp_flux)
    flux = np.stack([np.interp(wave, library.ssp_wave, row) for row in old.reshape(6, -1)]).reshape(2, 3, -1)
    arrays = {"ssp_wave": wave, "ssp_flux": flux, "ssp_fwhm": wave / 1000}
    return dataclasses.replace(library, **{name: jnp.asarray(values) for name, values in arrays.items()})


@pytest.fixture(scope="module")
def lit():
    """Library of stars, the same with gas, and lines."""
    library = finer(ionising_library())
    made = gas.with_gas(library, HIIRegions(**NEBULAR), lines=("Halpha", "[OIII]5007"), passbands=BANDS, dust=GAS_DUST)
    return library, *made


@pytest.fixture(scope="module")
def galaxy(lit):
    """A young galaxy and its gas, made as that of a whole galaxy."""
    library = lit[0]
    mass = jnp.array([[2e8, 1e8, 3e8], [5e8, 1e8, 1e8]])
    populations = PopulationWeights(mass=mass, lg_age=library.ssp_lg_age_gyr)
    ionising, lg_age = IonisingLight()(library), library.ssp_lg_age_gyr
    inside = (young_and_old(populations) / mass.reshape(-1)).reshape(2, 2, 3)
    of = jax.jit(jax.vmap(lambda m: HIIRegions(**NEBULAR)(PopulationWeights(mass=m, lg_age=lg_age), ionising, library)))
    return populations, of(mass * jnp.concatenate([inside, jnp.ones((1, 2, 3))]))


def screens(a_v):
    return GalaxyScreens(
        a_v=jnp.asarray(a_v), a_v_young=jnp.asarray(1.5 * a_v), slope=jnp.asarray(-0.3), unobscured=jnp.asarray(0.02)
    )


def exact_magnitudes(library, populations, nebular, dust, redshift):
    """Integrals over the whole spectrum behind dust, with lines, at 1 Mpc."""
    wave = library.ssp_wave
    flux = library.ssp_flux.reshape(-1, wave.size)
    # the continuum of gas is dimmed as the stars of its node are
    young, old = young_and_old(populations) @ (flux * nebular.passes[0]) + nebular.continuum[:2]
    lum = young * passing(dust, wave, dust.a_v_young) + old * passing(dust, wave, dust.a_v)
    at, lines = nebular.line_wave[2], nebular.line_lum[2]
    lines = lines * passing(dust, at, GAS_DUST * dust.a_v_young)
    return np.array(
        [[ab_magnitude(wave, lum, band, redshift, 1.0, (at, k * lines)) for band in BANDS] for k in (0.0, 1.0)]
    )


def test_tabled_magnitudes_with_lines_are_exact_also_where_a_line_crosses_the_edge_of_a_band(lit, galaxy):
    library, with_continuum, lines = lit
    populations, nebular = galaxy
    r = BANDS[0]
    steepest = r.wave[np.argmin(np.diff(r.transmission))]  # red edge
    edge = float(steepest / HALPHA - 1)
    at_edges = {edge - 0.01: [], edge: [], edge + 0.01: []}
    for redshift in (0.0, *at_edges, 0.41):
        tables = band_tables(with_continuum, BANDS, redshift, tolerance=4e-4)
        for a_v in (0.0, 1.0, 3.0):
            dust = screens(a_v)
            seen = lines(populations.mass.reshape(-1), jnp.asarray(redshift), dust)
            fluxes = young_and_old(populations) @ tables.flux.reshape(6, -1)
            mag = dimmed_magnitudes(fluxes, tables.centre, dust, tables.parts, seen.seen)
            bare = dimmed_magnitudes(fluxes, tables.centre, dust, tables.parts)
            without, want = exact_magnitudes(library, populations, nebular, dust, redshift)
            said = f"redshift {redshift}, A_V {a_v}"
            steps = np.array([band.ends[0] < STEP * (1 + redshift) < band.ends[1] for band in BANDS])
            assert (np.abs(mag - want) < TOLERANCE + AT_STEP * steps * (a_v > 0)).all(), said
            np.testing.assert_allclose(mag - bare, want - without, atol=1e-4, err_msg=said)
            if redshift in at_edges and a_v == 0.0:
                at_edges[redshift].append(float(bare[0] - mag[0]))
    share = np.concatenate(list(at_edges.values()))
    assert share[0] > 2 * share[2]  # the line leaves the band: this test sees it
    assert share[0] > share[1] > share[2]


def test_lines_are_those_of_the_galaxy_and_dimmed_more_than_young_stars(lit, galaxy):
    lines, nebular = lit[2], galaxy[1]
    mass = galaxy[0].mass.reshape(-1)
    seen = lines(mass, jnp.asarray(0.1), screens(1.0))
    np.testing.assert_allclose(seen.bare, nebular.line_lum[2], rtol=1e-5)
    i = NAMES.index("Halpha")
    assert lines.shown == ("Halpha", "[OIII]5007")
    assert lines.columns[0] == i
    young = passing(screens(1.0), jnp.asarray(HALPHA), jnp.asarray(1.5))
    assert 0.02 < float(seen.lum[i] / seen.bare[i]) < float(young)
    weights = [line_weights(band, nebular.line_wave[2]) for band in BANDS]
    np.testing.assert_allclose(seen.rest, np.stack(weights) @ np.asarray(seen.lum), rtol=1e-5)
    assert (np.asarray(lines(0 * mass, jnp.asarray(0.1), screens(1.0)).lum) == 0).all()


def test_light_that_gas_takes_is_not_counted_twice(lit):
    library, with_continuum, _ = lit
    ionising = np.asarray(library.ssp_wave) < 911.7
    stars, both = np.asarray(library.ssp_flux), np.asarray(with_continuum.ssp_flux)
    np.testing.assert_allclose(both[..., ionising], 0.1 * stars[..., ionising], rtol=1e-5)
    assert (both[:, 0, ~ionising] > stars[:, 0, ~ionising]).all()
    np.testing.assert_allclose(both[:, 2, ~ionising], stars[:, 2, ~ionising], rtol=1e-6)  # older than 20 Myr


def test_gradients_of_magnitudes_with_lines_follow_differences(lit, galaxy):
    mass = galaxy[0].mass.reshape(-1)

    @jax.jit
    def of(x):
        dust = dataclasses.replace(screens(1.0), a_v_young=x[0])
        return jnp.log10(lit[2](mass * x[1], x[2], dust).seen).sum()

    x = jnp.array([1.2, 1.0, 0.05])
    slope, h = jax.jit(jax.grad(of))(x), 1e-5
    for i, one in enumerate(np.eye(3)[:2]):
        np.testing.assert_allclose(slope[i], (of(x + h * one) - of(x - h * one)) / (2 * h), rtol=1e-4)
    assert np.isfinite(slope).all()
    assert np.isfinite(jax.jit(jax.grad(lambda x: lit[2](mass * x[1], x[2], screens(x[0])).seen.sum()))(0 * x)).all()


def test_without_gas_nothing_is_added(lit, galaxy):
    library = lit[0]
    same, none = gas.with_gas(library, NoGas(), lines=("Halpha",), passbands=BANDS, dust=1.0)
    assert same is library
    seen = none(galaxy[0].mass.reshape(-1), jnp.asarray(0.1), screens(1.0))
    assert seen.lum.shape == (0,)
    assert none.shown == ()
    np.testing.assert_array_equal(seen.seen, [0.0, 0.0])


def test_lines_that_are_not_there_and_libraries_without_ionising_light_are_refused(lit):
    library, nebular = lit[0], HIIRegions(**NEBULAR)
    with pytest.raises(InputError, match="lines hold 'Hbogus'; choose among Lyalpha"):
        gas.with_gas(library, nebular, lines=("Hbogus",), passbands=BANDS, dust=1.0)
    cut = dataclasses.replace(
        library,
        ssp_wave=library.ssp_wave[2500:],
        ssp_flux=library.ssp_flux[..., 2500:],
        ssp_fwhm=library.ssp_fwhm[2500:],
    )
    with pytest.raises(InputError, match="without emission of gas: nebular=none"):
        gas.with_gas(cut, nebular, lines=("Halpha",), passbands=BANDS, dust=1.0)
