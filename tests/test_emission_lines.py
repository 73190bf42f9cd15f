"""Emission lines in a cube: their light, places, widths and derivatives, and where they come from."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import ndtr

from galdiff import units
from galdiff.core.correction import NoCorrection
from galdiff.cosmology import Cosmology
from galdiff.dust.attenuation import DustScreen, NoDust
from galdiff.errors import InputError
from galdiff.ifu.emission import LineDeposit, line_profiles, plan_lines, recorded_lines
from galdiff.ifu.instrument import make_instrument
from galdiff.ifu.placement import place
from galdiff.ifu.plan import Precision, make_plan
from galdiff.ifu.stages import Spectrograph
from galdiff.light_records import LineTable, PopulationWeights
from galdiff.nebular.emitters import StarFormingGas, YoungStars
from galdiff.nebular.h_ii_regions import HIIRegions
from galdiff.nebular.lines import LINES, NAMES, atomic_mass
from galdiff.nebular.lines_per_mass import SPAN, LinesPerMass, thermal_sigma, time_shares
from galdiff.records import Bank, SkyGas, SkyStars, SpectralCube, SSPGrid
from galdiff.sps.analytic import default_grid
from galdiff.sps.ionising_light import IonisingLight

REDSHIFT, STEP, FWHM = 0.02, 1.25, 2.6
WAVE = np.array([4862.68, 5008.24, 6564.61, 9071.25])
SIGMA = np.array([20.0, 20.0, 25.0, 20.0])


@functools.cache
def library():
    wave = np.linspace(4500.0, 7000.0, 501)
    flux = np.random.default_rng(0).uniform(1.0, 2.0, (2, 2, 501))
    nodes = {"ssp_lg_age_gyr": np.array([-3.0, 1.0]), "ssp_lgmet": np.array([-2.5, -1.5])}
    return SSPGrid(ssp_wave=wave, ssp_flux=flux, ssp_fwhm=np.full(501, 2.0), **nodes)


@functools.cache
def plan(psf="none"):
    wave = {"grid": "linear", "start_angstrom": 4900.0, "end_angstrom": 6800.0, "step_angstrom": STEP}
    instrument = make_instrument(
        name="small",
        n_x=6,
        n_y=5,
        spaxel_x_arcsec=1.0,
        wave={**wave, "medium": "vacuum"},
        lsf={"kind": "constant", "fwhm_angstrom": FWHM},
        psf={"kind": psf, **({} if psf == "none" else {"fwhm_arcsec": 1.8})},
    )
    return make_plan(library(), instrument, REDSHIFT, Precision(rank=2, v_max_kms=300.0))


@functools.cache
def placement():
    return place(Cosmology(), jnp.asarray(REDSHIFT, jnp.result_type(float)))


@functools.cache
def lines():
    return plan_lines(
        plan(), ("Hbeta", "[OIII]5007", "Halpha", "[SIII]9069"), WAVE, SIGMA, np.array([1.2, 1.1, 0.8, 0.5])
    )


def emitters(x, y, v_los, mass, **more):
    given = {"age": jnp.full(len(mass), 1e-3), "metallicity": jnp.full(len(mass), 0.02), **more}
    x, y, v_los, mass = (jnp.asarray(q, float) for q in (x, y, v_los, mass))
    return SkyStars(x=x, y=y, z=jnp.zeros_like(x), v_los=v_los, mass=mass, **given)


def flat_table(*lum):
    return LineTable(lum=jnp.array(lum)[None, None], lg_age=jnp.array([-3.0]), lgmet=jnp.array([-1.7]))


def sharp(stars, table, where=None, redshift=REDSHIFT, **changed):
    where = where or placement()
    light = LineDeposit(lines=dataclasses.replace(lines(), **changed))(stars, table, where)
    z = jnp.asarray(redshift, where.redshift.dtype)
    profiles = line_profiles(plan(), lines(), jnp.ones_like(z), z, NoCorrection())
    return recorded_lines(plan(), lines(), light, profiles, z)


def reference(v_los, lum, redshift=REDSHIFT):
    """Spectrum of lines at one velocity, from the definition, in float64."""
    edges = np.append(plan().layout.wave_lower.reshape(-1)[: len(plan().wave)], plan().layout.wave_upper.max())
    edges[-1] = plan().layout.wave_upper.reshape(-1)[len(plan().wave) - 1]
    total = 0
    for wave, sigma, light in zip(lines().wave, lines().sigma, lum, strict=True):
        at, centre = wave * (1 + redshift), wave * (1 + redshift) * np.exp(v_los / units.C_KMS)
        spread = np.hypot(FWHM / units.FWHM_PER_SIGMA, at * sigma / units.C_KMS)
        total = total + light * np.diff(ndtr((edges - centre) / spread)) / STEP
    return total


def test_only_lines_on_the_detector_are_recorded():
    assert lines().names == ("Hbeta", "[OIII]5007", "Halpha")
    assert lines().number == (0, 1, 2)


@pytest.mark.parametrize("v_los", [0.0, 137.0, -291.0])
def test_a_line_is_where_its_gas_moves_and_as_wide_as_lsf_and_gas_make_it(v_los):
    cube = sharp(emitters([0.0], [0.0], [v_los], [2.0]), flat_table(1.0, 3.0, 4.0))
    expected = reference(v_los, [2.0, 6.0, 8.0])
    np.testing.assert_allclose(cube.sum((0, 1)), expected, atol=3e-4 * expected.max())


def test_light_of_every_line_is_kept():
    rng = np.random.default_rng(1)
    (x, y), v = rng.uniform(-0.4, 0.4, (2, 50)), rng.uniform(-300, 300, 50)
    cube = sharp(emitters(x, y, v, np.full(50, 0.1)), flat_table(1.0, 2.0, 3.0))
    assert float(cube.sum()) * STEP == pytest.approx(50 * 0.1 * 6.0, rel=1e-6)


def test_single_precision_keeps_lines_in_place():
    stars = emitters([0.0], [0.0], [123.0], [1.0])
    inputs = stars, flat_table(1.0, 3.0, 4.0), placement()
    double = np.asarray(sharp(*inputs))
    with jax.enable_x64(False):
        single = np.asarray(sharp(*jax.tree.map(jnp.float32, inputs)))
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, double, atol=3e-6 * double.max())


def test_dust_dims_each_line_by_its_own_wavelength():
    dark = emitters([0.0], [0.0], [0.0], [1.0], a_v=jnp.array([1.5]))
    cube = np.asarray(sharp(dark, flat_table(1.0, 1.0, 1.0), a_v_ratio=2.0)).sum((0, 1))
    at_alpha = plan().wave > 6500
    assert cube[at_alpha].sum() * STEP == pytest.approx(10 ** (-0.4 * 3.0 * 0.8), rel=1e-5)
    assert cube.sum() * STEP == pytest.approx(sum(10 ** (-0.4 * 3.0 * k) for k in (1.2, 1.1, 0.8)), rel=1e-5)


def test_a_redshift_that_moves_takes_the_lines_with_it():
    cube = np.asarray(sharp(emitters([0.0], [0.0], [0.0], [1.0]), flat_table(1.0, 1.0, 1.0), redshift=REDSHIFT + 2e-3))
    expected = reference(0.0, [1.0, 1.0, 1.0], REDSHIFT + 2e-3)
    np.testing.assert_allclose(cube.sum((0, 1)), expected, atol=3e-4 * expected.max())


def test_derivatives_in_place_velocity_light_and_width_are_those_of_differences():
    weight = jnp.asarray(np.random.default_rng(2).normal(size=(5, 6, len(plan().wave))))

    @jax.jit
    def total(values):
        x, v, mass, a_v, scale = values
        stars = emitters([x], [0.3 * x], [v], [mass], a_v=jnp.reshape(a_v, 1))
        light = LineDeposit(lines=lines())(stars, flat_table(1.0, 2.0, 3.0), placement())
        z = jnp.asarray(REDSHIFT)
        profiles = line_profiles(plan(), lines(), scale, z, NoCorrection())
        return jnp.sum(weight * recorded_lines(plan(), lines(), light, profiles, z))

    at = jnp.array([0.1, 40.0, 1.0, 0.7, 1.0])
    steps = np.diag([1e-4, 0.05, 1e-4, 1e-4, 1e-4])
    both = jax.vmap(total)(jnp.concatenate([at + steps, at - steps]))
    expected = (both[:5] - both[5:]) / (2 * np.diag(steps))
    np.testing.assert_allclose(jax.grad(total)(at), expected, rtol=2e-4)


@functools.cache
def stars_library():
    return default_grid()


@functools.cache
def regions():
    return HIIRegions(log10_u=-2.7, escape=1e-3, log10_z_gas=None, n_to_o=None)


@functools.cache
def table_of(steady):
    ssp = stars_library()
    stage = LinesPerMass(regions=regions(), library=ssp, ionising=IonisingLight()(ssp), steady=steady)
    return jax.jit(lambda: stage())()


def test_shares_of_time_integrate_what_is_linear_in_log_age():
    age = np.array([0.1, 0.5, 2.0, 20.0])
    y = 3.0 - 2.0 * np.log10(age)
    t = np.linspace(0.1, 20.0, 400_001)
    expected = 0.1 * y[0] + np.trapezoid(3.0 - 2.0 * np.log10(t), t)
    assert time_shares(age) @ y == pytest.approx(expected, rel=1e-8)


def test_lines_per_mass_are_those_of_the_whole_galaxy():
    ssp = stars_library()
    mass = np.zeros(ssp.ssp_flux.shape[:2])
    mass[3, 8:12] = [1e5, 2e5, 3e5, 1e5]
    weights = PopulationWeights(mass=jnp.asarray(mass), lg_age=jnp.asarray(ssp.ssp_lg_age_gyr))
    gas, photons = regions(), IonisingLight()(ssp)
    whole = jax.jit(lambda weights: gas(weights, photons, ssp))(weights)
    lum = np.einsum("za,zal->l", mass[:, : table_of(False).lum.shape[1]], table_of(False).lum)
    np.testing.assert_allclose(lum, whole.line_lum, rtol=1e-10)


def test_steady_star_formation_shines_as_published_in_h_alpha():
    """Kennicutt & Evans (2012, ARA&A 50, 531): log10 L(Halpha) = log10 SFR + 41.27, a Kroupa function at solar."""
    solar = int(np.argmin(np.abs(np.asarray(table_of(True).lgmet) + 1.85)))
    per_rate = float(table_of(True).lum[solar, 0, NAMES.index("Halpha")]) * SPAN * units.YR_PER_GYR
    assert np.log10(per_rate * units.LSUN_ERG_S) == pytest.approx(41.27, abs=0.1)


def test_gas_that_forms_stars_shines_as_stars_of_all_ages_do():
    rng = np.random.default_rng(3)
    age = (rng.permutation(4000) + 0.5) / 4000 * SPAN
    stars = emitters(*np.zeros((3, 4000)), np.full(4000, 1e3), age=jnp.asarray(age), metallicity=jnp.full(4000, 0.012))
    gas = SkyGas(
        **{name: jnp.zeros(1) for name in ("x", "y", "z", "v_los")},
        mass=jnp.array([1e8]),
        metallicity=jnp.array([0.012]),
        sfr=jnp.array([4e6 / (SPAN * units.YR_PER_GYR)]),
    )
    light = [
        np.asarray(LineDeposit(lines=of_all())(source, table, placement()).lum.sum((0, 1, 2)))
        for source, table in (
            (YoungStars()(stars), table_of(False)),
            (StarFormingGas(dust=NoDust())(gas), table_of(True)),
        )
    ]
    np.testing.assert_allclose(light[0], light[1], rtol=5e-3)


@functools.cache
def of_all():
    wave = np.array([line.wave for line in LINES])
    return plan_lines(plan(), NAMES, wave, np.full(len(wave), 20.0), np.zeros(len(wave)))


def test_gas_is_behind_the_dust_of_the_stars():
    gas = SkyGas(**{name: jnp.ones(2) for name in ("x", "y", "z", "v_los", "mass", "metallicity")}, sfr=jnp.ones(2))
    young = StarFormingGas(dust=DustScreen(a_v=0.7))(gas)
    np.testing.assert_allclose(young.a_v, 0.7)


def test_gas_without_a_rate_is_dark():
    gas = SkyGas(**{name: jnp.ones(2) for name in ("x", "y", "z", "v_los", "mass", "metallicity")})
    assert float(StarFormingGas(dust=NoDust())(gas).mass.sum()) == 0.0


def test_stars_without_ionising_ages_are_refused():
    ssp = library()
    old = SSPGrid(**{**vars(ssp), "ssp_lg_age_gyr": np.array([-1.5, 1.0]), "name": "old"})
    with pytest.raises(InputError, match=r"library 'old' are 31.6 Myr old.*gas=none"):
        LinesPerMass(regions=regions(), library=old, ionising=IonisingLight()(stars_library()))


def test_light_atoms_move_faster():
    hydrogen, oxygen, neon = (atomic_mass(name) for name in ("Halpha", "[OIII]5007", "[NeIII]3869"))
    assert (hydrogen, oxygen, neon) == (1.008, 15.999, 20.180)
    assert atomic_mass("HeI5876") == 4.003
    assert {atomic_mass(name) for name in NAMES} <= {
        1.008,
        4.003,
        12.011,
        14.007,
        15.999,
        20.180,
        24.305,
        26.982,
        32.06,
        35.45,
        39.95,
        55.845,
    }
    assert thermal_sigma(np.array([1.008]))[0] == pytest.approx(9.08, abs=0.01)


def test_the_psf_moves_light_between_spaxels_and_makes_none():
    seen, where = plan("gaussian"), placement()
    made = plan_lines(seen, ("Halpha",), WAVE[2:3], SIGMA[2:3], np.zeros(1))
    light = LineDeposit(lines=made)(emitters([0.0], [0.0], [50.0], [1.0]), flat_table(1.0), where)
    profiles = line_profiles(seen, made, jnp.asarray(1.0), where.redshift, NoCorrection())
    bank = Bank(response=jnp.zeros((len(seen.bins.v_nodes), 1, len(seen.wave))), lines=profiles)
    dark = SpectralCube(coef=jnp.zeros((seen.bins.n_y, seen.bins.n_x, len(seen.bins.v_nodes), 1)))
    cube = Spectrograph(plan=dataclasses.replace(seen, lines=made))(dark, bank, where, light)
    image = np.asarray(cube.flux).sum(-1) * STEP * float(where.luminosity_distance) ** 2
    image /= units.FLUX_OF_ONE_LSUN_AT_ONE_MPC
    sigma = 1.8 / units.FWHM_PER_SIGMA
    inside = np.prod([1 - 2 * ndtr(-half / sigma) for half in (3.0, 2.5)])
    assert image.sum() == pytest.approx(inside, abs=3e-3)
    assert image[2, 2:4].min() == pytest.approx(image.max())
