"""Light of ionised gas: its grid, photon and energy budgets, gradients, and lines as they are measured."""

import csv
import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from astropy.io import fits
from flax import nnx
from scipy.interpolate import RegularGridInterpolator

from galdiff import units
from galdiff.core.correction import LogGain
from galdiff.errors import InputError
from galdiff.light_records import Epoch, IonisingPhotons, NebularLight, PopulationWeights, Spectrum
from galdiff.nebular import byler17, continuum, doublets
from galdiff.nebular.h_ii_regions import HIIRegions, NoGas
from galdiff.nebular.lines import HYDROGEN, LINES, NAMES, NITROGEN
from galdiff.observing.galaxy_lines import MeasureLines, by_name, continuum_beside, drawn_lines
from galdiff.observing.galaxy_sed import sed_pipeline
from galdiff.observing.spectrum_steps import SpectrumSteps
from galdiff.photometry.passband import Passband
from galdiff.records import SSPGrid
from galdiff.sfh.constant import Constant
from galdiff.sfh.metallicity import OneMetallicity
from galdiff.sps.ionising import log10_photon_rates
from galdiff.sps.library import load_ssp

LIGHT_S = units.C_KMS * 1e13  # Angstrom/s
RATIOS = {
    "ha_hb": ("Halpha", "Hbeta"),
    "hg_hb": ("Hgamma", "Hbeta"),
    "hd_hb": ("Hdelta", "Hbeta"),
    "oiii5007_hb": ("[OIII]5007", "Hbeta"),
    "oiii5007_4959": ("[OIII]5007", "[OIII]4959"),
    "nii6584_ha": ("[NII]6584", "Halpha"),
    "nii6584_6548": ("[NII]6584", "[NII]6548"),
    "sii_sum_ha": ("[SII]6716 [SII]6731", "Halpha"),
    "oii_sum_hb": ("[OII]3726 [OII]3729", "Hbeta"),
    "oi6300_ha": ("[OI]6300", "Halpha"),
    "siii9069_hb": ("[SIII]9069", "Hbeta"),
}
read = jax.jit(lambda *at: byler17.log10_per_photon(byler17.line_grid(), *at))


def line(lum, names):
    return sum(lum[..., NAMES.index(name)] for name in names.split())


def gas(**changes):
    return HIIRegions(**({"log10_u": -2.5, "escape": 1e-6, "log10_z_gas": None, "n_to_o": None} | changes))


@pytest.fixture(scope="module")
def published(data_dir):
    """The grid as it was published: axes, wavelengths, and luminosities [erg per photon]."""
    axes, wave, lum = byler17.read_text(data_dir / "nebular" / "fsps_ZAU_ND_mist.lines")
    return axes, wave, lum * units.LSUN_FSPS_ERG_S


@pytest.fixture(scope="module")
def popstar(data_dir):
    library = load_ssp(data_dir / "ssp" / "ssp_popstar_chabrier.h5")
    library = dataclasses.replace(library, ssp_flux=np.asarray(library.ssp_flux, float))
    return library, IonisingPhotons(log10_rate=jax.jit(log10_photon_rates)(library))


@pytest.fixture(scope="module")
def shine(popstar):
    """Light of the gas around some masses of stars at the nodes of the library; one program for all."""
    library, ionising = popstar
    graph, state = nnx.split(gas())

    @jax.jit
    def run(state, mass):
        stars = PopulationWeights(mass=mass, lg_age=jnp.asarray(library.ssp_lg_age_gyr))
        return nnx.merge(graph, state)(stars, ionising, library)

    return lambda mass, **changes: run(nnx.split(gas(**changes))[1] if changes else state, jnp.asarray(mass))


def constant_sfr(library):
    """Mass [Msun] at the nodes of Z = 0.02 of one Msun/yr for 100 Myr."""
    age = 10.0 ** np.asarray(library.ssp_lg_age_gyr) * 1e9
    edges = np.concatenate([[0.0], np.sqrt(age[1:] * age[:-1]), age[-1:]])
    mass = np.zeros((len(library.ssp_lgmet), age.size))
    mass[4] = np.diff(np.minimum(edges, 1e8))
    return mass


def test_ratios_at_nodes_are_those_of_the_published_grid(data_dir):
    rows = list(csv.DictReader((data_dir / "nebular" / "check_values.csv").read_text().splitlines()))
    for dtype in (jnp.float64, jnp.float32):
        axes = [jnp.asarray(np.unique([float(row[name]) for row in rows]), dtype) for name in ("log_z_zsun", "age_yr")]
        tables = {u: read(axes[0], jnp.log10(axes[1]) - 9, jnp.asarray(u, dtype)) for u in (-4.0, -2.5, -1.0)}
        for row in rows:
            i, j = (
                int(jnp.argmin(jnp.abs(x - float(row[n])))) for x, n in zip(axes, ("log_z_zsun", "age_yr"), strict=True)
            )
            lum = 10.0 ** (np.asarray(tables[float(row["log_u"])][i, j], float) + 45)
            for name, (above, below) in RATIOS.items():
                got = line(lum, above) / line(lum, below)
                np.testing.assert_allclose(np.log10(got / float(row[name])), 0.0, atol=0.001, err_msg=f"{name} {row}")
            if float(row["age_yr"]) < 5.5e6:
                per_photon = line(lum, "Halpha") * units.LSUN_ERG_S * 1e-45
                np.testing.assert_allclose(per_photon, float(row["ha_erg_per_photon"]), rtol=1e-3)


def test_the_file_of_the_package_is_that_of_the_source(published):
    axes, wave, lum = published
    grid = byler17.line_grid()
    for name in ("log_z", "lg_age", "log_u"):
        np.testing.assert_allclose(getattr(grid, name), axes[name], atol=1e-6)
    columns = [int(np.argmin(np.abs(wave - at.wave))) for at in LINES]
    assert len(set(columns)) == len(LINES) >= 42
    np.testing.assert_allclose(wave[columns], [at.wave for at in LINES], rtol=1e-4)
    young = axes["lg_age"] < np.log10(0.0051)
    expected = np.log10(lum[..., columns] / units.LSUN_ERG_S)
    np.testing.assert_allclose(grid.log10_lum[:, young], expected[:, young], atol=1e-5)
    same = grid.log10_lum - grid.log10_lum[..., [NAMES.index("Halpha")]]  # older: all ratios but Lyman-alpha
    theirs = expected - expected[..., [NAMES.index("Halpha")]]
    np.testing.assert_allclose(same[..., 1:], theirs[..., 1:], atol=1e-5)


def test_between_nodes_the_cubic_finds_what_a_node_left_out_says_better_than_lines():
    full = byler17.line_grid()
    middle = 3  # log U = -2.5
    few = {"log_u": np.delete(full.log_u, middle)}
    few |= {name: np.delete(getattr(full, name), middle, 2) for name in ("log10_lum", "by_age")}
    young = full.lg_age[:6]
    few_nodes = dataclasses.replace(full, **few)
    got = jax.jit(byler17.log10_per_photon)(few_nodes, full.log_z, young, jnp.asarray(-2.5))
    truth = full.log10_lum[:, :6, middle]
    straight = full.log10_lum[:, :6, [middle - 1, middle + 1]].mean(2)
    for name, most in (("Halpha", 0.002), ("[NII]6584", 0.025), ("[SII]6716", 0.02), ("[OIII]5007", 0.08)):
        miss = np.abs(np.asarray(line(got - truth, name)))
        assert miss.max() < most, name
        assert np.median(miss) < np.median(np.abs(line(straight - truth, name))), name
    assert np.median(miss) < 0.5 * np.median(np.abs(line(straight - truth, name)))  # [O III], the hardest


def test_hydrogen_counts_photons_and_balmer_lines_keep_their_ratios_between_nodes():
    z, age = jnp.linspace(-2.5, 0.5, 25), jnp.linspace(-4.0, np.log10(0.005), 21)
    for log_u in (-3.7, -2.26):
        lum = 10 ** (read(z, age, jnp.asarray(log_u)) + 45)
        per_photon = np.asarray(line(lum, "Halpha")) * units.LSUN_ERG_S * 1e-45
        assert (per_photon > 1.34e-12).all()
        assert (per_photon < 1.57e-12).all()
        for name, lo, hi in (("Halpha", 2.86, 3.18), ("Hgamma", 0.459, 0.475), ("Hdelta", 0.251, 0.268)):
            ratio = line(lum, name) / line(lum, "Hbeta")
            assert float(ratio.min()) > 0.99 * lo
            assert float(ratio.max()) < 1.01 * hi


def test_constant_star_formation_has_the_lines_of_the_grids_own_sum(popstar, shine, published):
    library, ionising = popstar
    mass = constant_sfr(library)
    axes, wave, lum = published
    got = shine(mass)
    keep = np.asarray(library.ssp_lg_age_gyr) <= byler17.OLDEST
    at = np.clip(np.asarray(library.ssp_lg_age_gyr), axes["lg_age"][0], axes["lg_age"][-1])
    z = np.log10(0.02 / units.Z_SUN_BYLER17)
    photons = mass[4] * 10.0 ** np.asarray(ionising.log10_rate[0, 4]) * keep
    for name, most in (("Halpha", 0.03), ("Hbeta", 0.03), ("[OIII]5007", 0.06), ("[NII]6584", 0.03)):
        column = np.argmin(np.abs(wave - dict(LINES)[name]))
        rule = RegularGridInterpolator(tuple(axes.values()), np.log10(lum[..., column]))
        own = photons @ 10.0 ** rule(np.stack([np.full(at.size, z), at, np.full(at.size, -2.5)], -1))
        np.testing.assert_allclose(line(got.line_lum, name) * units.LSUN_ERG_S, own, rtol=most)
    assert 1.7e41 < float(line(got.line_lum, "Halpha")) * units.LSUN_ERG_S < 2.1e41  # as by Kennicutt & Evans (2012)


def test_gas_gives_no_more_power_than_it_takes(popstar, shine):
    library, _ = popstar
    wave, flux = np.asarray(library.ssp_wave, float), np.asarray(library.ssp_flux, float)
    power = np.trapezoid(np.where(wave < 911.9, flux, 0.0), wave)

    def share(mass, log10_u):
        got = shine(mass, log10_u=log10_u)
        return float(got.line_lum.sum() + np.trapezoid(got.continuum, wave)) / float((mass * power).sum())

    assert 0.8 < share(constant_sfr(library), -2.5) < 1.0
    age = np.asarray(library.ssp_lg_age_gyr)
    for at in (0.0005, 0.004, 0.01, 0.02):  # Gyr; the grid was computed with other stars
        for i in range(len(power)):
            mass = np.zeros(power.shape)
            mass[i, np.argmin(np.abs(age - np.log10(at)))] = 1e6
            assert 0.7 < share(mass, -3.0) < 1.2


def test_the_continuum_is_that_of_theory_and_near_that_of_another_code(popstar, shine, data_dir):
    wave = jnp.array([3590.0, 3670.0, 4870.0])
    one = jnp.array([1.0])

    def per_photon(light):
        return np.asarray(light[0] * wave**2 / LIGHT_S * units.LSUN_ERG_S / 1e47)

    both = jax.jit(lambda wave: (continuum.recombination_light(wave, one), continuum.two_photon_light(wave, one)))
    np.testing.assert_allclose(per_photon(both(wave)[0])[0], 1.0e-26, rtol=0.1)  # erg/Hz below the Balmer edge at 1e4 K
    fine = jnp.geomspace(1216.0, 1e6, 4000)
    power = np.trapezoid(both(fine)[1][0], fine) * units.LSUN_ERG_S / 1e47
    expected = continuum.TWO_PHOTON_SHARE * units.HC_ERG_ANGSTROM / continuum.LYMAN_ALPHA
    np.testing.assert_allclose(power, expected, rtol=0.01)  # two photons share the energy of Lyman-alpha
    library, ionising = popstar
    theirs = _popstar_gas(data_dir)
    for i in (2, 4):  # Z = 0.004 and 0.02 at 1 Myr
        j = int(np.argmin(np.abs(np.asarray(library.ssp_lg_age_gyr) + 3)))
        stars = jnp.zeros(ionising.log10_rate.shape[1:]).at[i, j].set(1.0)
        mine = np.asarray(shine(stars).continuum)
        for at in (1500.0, 2500.0, 3590.0, 3700.0, 4800.0, 7000.0):
            k = int(np.argmin(np.abs(np.asarray(library.ssp_wave) - at)))
            np.testing.assert_allclose(mine[k], theirs[i, j, k], rtol=0.4, err_msg=f"{i} {at}")


def _popstar_gas(data_dir):
    import h5py

    with h5py.File(data_dir / "ssp" / "ssp_popstar_chabrier.h5") as file:
        per_hz = file["ssp_flux_total"][:].astype(float) - file["ssp_flux"][:]
        return per_hz * LIGHT_S / file["ssp_wave"][:] ** 2


def test_gradients_in_all_inputs_are_those_of_differences(popstar):
    library, ionising = popstar
    mass = jnp.asarray(constant_sfr(library) + 1e4)
    young = slice(0, 60)
    rates = ionising.log10_rate[:, :, young]
    weights = jnp.asarray(np.random.default_rng(0).uniform(0.5, 1.5, len(LINES)))
    thin = {"ssp_wave": jnp.asarray(library.ssp_wave)[60::40], "ssp_flux": jnp.zeros((6, 60, 21))}
    small = dataclasses.replace(library, **thin, ssp_fwhm=jnp.ones(21), ssp_lg_age_gyr=library.ssp_lg_age_gyr[young])
    graph, state = nnx.split(gas(log10_u=-2.73, escape=0.2, log10_z_gas=-2.03, n_to_o=0.1, log10_density=2.6))
    params, rest = nnx.split_state(state, nnx.Param, ...)
    stars_graph, stars_state = nnx.split(gas(log10_u=-2.73, escape=0.2))
    stars_params, stars_rest = nnx.split_state(stars_state, nnx.Param, ...)

    def total(inputs):
        params, stars_params, log10_mass, rates, lgmet = inputs
        populations = PopulationWeights(mass=10**log10_mass, lg_age=jnp.asarray(library.ssp_lg_age_gyr)[young])
        nodes = dataclasses.replace(small, ssp_lgmet=lgmet)
        each = ((graph, params, rest), (stars_graph, stars_params, stars_rest))
        light = [nnx.merge(*parts)(populations, IonisingPhotons(log10_rate=rates), nodes) for parts in each]
        return sum(jnp.log(n.line_lum @ weights) + jnp.log(n.continuum.sum()) + n.passes.sum() for n in light)

    inputs = (params, stars_params, jnp.log10(mass[:, young]), rates, jnp.asarray(library.ssp_lgmet) + 0.013)
    value = jax.jit(total)
    slope = jax.jit(jax.grad(total))(inputs)
    leaves, tree = jax.tree.flatten(inputs)
    for i, got in enumerate(jax.tree.leaves(slope)):
        assert jnp.isfinite(got).all()
        step = 1e-5 * jnp.asarray(np.random.default_rng(i).uniform(0.5, 1.0, leaves[i].shape))
        ends = [
            value(jax.tree.unflatten(tree, [x + s * step if k == i else x for k, x in enumerate(leaves)]))
            for s in (1, -1)
        ]
        np.testing.assert_allclose((got * step).sum(), (ends[0] - ends[1]) / 2, rtol=1e-4, atol=1e-12)
        assert float(jnp.abs(got).max()) > 0


def test_beyond_the_grid_its_edge_is_held_with_finite_gradients():
    z, age = jnp.array([-3.5, 0.2, 0.7]), jnp.array([-4.0, byler17.OLDEST, 0.0])
    held = read(jnp.clip(z, -1.98, 0.2), jnp.clip(age, np.log10(0.5e-3), byler17.OLDEST), jnp.asarray(-1.0))
    np.testing.assert_allclose(read(z, age, jnp.asarray(-0.5)), held, rtol=1e-12)
    slopes = jax.grad(lambda *at: (10 ** (read(*at) + 44)).sum(), argnums=(0, 1, 2))(z, age, jnp.asarray(-1.0))
    assert all(np.isfinite(s).all() for s in slopes)
    assert float(slopes[0][0]) == float(slopes[1][-1]) == 0.0


def test_old_stars_ionise_nothing_and_what_escapes_shines_less(popstar, shine):
    library, _ = popstar
    mass = constant_sfr(library)
    old = np.where(np.asarray(library.ssp_lg_age_gyr) > np.log10(0.021), 1e9, 0.0) * np.ones_like(mass)
    assert not np.any(shine(old).line_lum)
    assert not np.any(shine(old).continuum)
    half, whole = shine(mass, escape=0.5), shine(mass)
    np.testing.assert_allclose(half.line_lum, 0.5 * whole.line_lum, rtol=1e-5)
    np.testing.assert_allclose(half.continuum, 0.5 * whole.continuum, rtol=1e-5)
    blue = np.asarray(library.ssp_wave) < 911
    np.testing.assert_allclose(half.passes[blue], 0.5, rtol=1e-6)
    assert (half.passes[~blue][2:] == 1).all()


def test_more_nitrogen_brightens_its_lines_alone(popstar):
    library, ionising = popstar
    stars = PopulationWeights(mass=jnp.asarray(constant_sfr(library)), lg_age=jnp.asarray(library.ssp_lg_age_gyr))
    lines = nnx.jit(lambda gas: gas(stars, ionising, library).line_lum)
    plain, rich = (np.asarray(lines(gas(n_to_o=x))) for x in (0.0, 0.3))
    np.testing.assert_allclose(rich / plain, 10 ** np.where(NITROGEN, 0.3, 0.0), rtol=1e-6)
    assert [NAMES[i] for i in np.flatnonzero(NITROGEN)] == [
        "NII]2141",
        "[NI]5200",
        "[NII]5755",
        "[NII]6548",
        "[NII]6584",
    ]


def test_a_correction_keeps_the_lines_that_count_photons_and_is_bounded(popstar):
    library, ionising = popstar
    stars = PopulationWeights(mass=jnp.asarray(constant_sfr(library)), lg_age=jnp.asarray(library.ssp_lg_age_gyr))

    def bright(drivers):
        return 100.0 * jnp.ones((*drivers.shape[:-1], len(NAMES))) * jnp.sign(drivers[..., :1] + 3)

    lines = nnx.jit(lambda gas: gas(stars, ionising, library).line_lum)
    plain, changed = (np.asarray(lines(g)) for g in (gas(), gas(correction=LogGain(net=bright, bound=0.7))))
    np.testing.assert_allclose(changed / plain, np.exp(np.where(HYDROGEN, 0.0, 0.7)), rtol=1e-6)
    assert {"Lyalpha", "Halpha", "H8", "Hepsilon", "Paalpha", "Br10"} <= {NAMES[i] for i in np.flatnonzero(HYDROGEN)}
    assert "HeI5876" not in {NAMES[i] for i in np.flatnonzero(HYDROGEN)}


def test_another_code_agrees_within_a_factor_of_two(data_dir):
    table = fits.getdata(data_dir / "nebular" / "NB_HII_grid.fits.gz")
    theirs = {name.lower(): np.asarray(table[name], float) for name in table.names}
    log_z = jnp.array([-0.58, -0.39, -0.2])
    for log_u in (-3.0, -2.5):
        lum = 10 ** (read(log_z, jnp.log10(jnp.array([5e-4])), jnp.asarray(log_u))[:, 0] + 45)
        oxygen = byler17.OXYGEN + np.asarray(log_z)
        for ours, name in (
            ("Halpha", "halpha"),
            ("[OIII]5007", "oiii5007"),
            ("[NII]6584", "nii6583"),
            ("[OII]3726 [OII]3729", "oii3726_29"),
        ):
            near = (np.abs(theirs["log u"] - log_u) < 0.01) & (np.abs(theirs["log p/k"] - 5.8) < 0.01)
            order = np.argsort(theirs["12 + log o/h"][near])
            expected = np.interp(oxygen, theirs["12 + log o/h"][near][order], np.log10(theirs[name][near][order]))
            got = np.log10(line(lum, ours) / line(lum, "Hbeta"))
            np.testing.assert_allclose(got, expected, atol=0.4 if name != "halpha" else 0.03, err_msg=name)


def test_doublets_follow_the_density_like_those_of_another_code_and_keep_their_sums(data_dir):
    table = fits.getdata(data_dir / "nebular" / "NB_HII_grid.fits.gz")
    near = (np.abs(table["log U"] + 2.5) < 0.01) & (np.abs(table["12 + log O/H"] - 8.605) < 0.01)
    kelvin = 8e3  # of the gas there: its pressure is that of two particles for each electron
    log10_density = np.array(table["log P/k"][near], float) - np.log10(2.1 * kelvin)
    got = jax.vmap(doublets.ratios)(log10_density)
    fitted = (log10_density > 1.0) & (log10_density < 3.7)
    assert fitted.sum() >= 6
    for i, (red, blue) in enumerate((("OII3729", "OII3726"), ("SII6716", "SII6731"))):
        expected = np.array(table[red][near] / table[blue][near], float)
        np.testing.assert_allclose(got[fitted, i], expected[fitted], rtol=0.1)
    lum = jnp.linspace(1.0, 2.0, 3 * len(LINES), dtype=jnp.float32).reshape(3, -1)
    dense = doublets.at_density(lum, jnp.float32(4.0))
    assert dense.dtype == jnp.float32
    both = [("[OII]3729", "[OII]3726"), ("[SII]6716", "[SII]6731")]
    for i, (red, blue) in enumerate(both):
        np.testing.assert_allclose(line(dense, f"{red} {blue}"), line(lum, f"{red} {blue}"), rtol=1e-6)
        np.testing.assert_allclose(line(dense, red) / line(dense, blue), doublets.ratios(4.0)[i], rtol=1e-5)
    others = [i for i, name in enumerate(NAMES) if not any(name in pair for pair in both)]
    np.testing.assert_array_equal(dense[:, others], lum[:, others])


WAVE = jnp.linspace(4000.0, 7000.0, 601)


def test_lines_are_measured_on_the_light_beside_them():
    at, lum = jnp.array([4862.0, 6565.0, 30000.0]), jnp.array([3e7, 9e7, 1e7])
    slope = 1e5 + 10.0 * (WAVE - 5000.0)
    nebular = NebularLight(
        continuum=0 * WAVE, passes=0 * WAVE + 1, line_wave=at, line_lum=2 * lum, line_names=("Hbeta", "Halpha", "far")
    )
    epoch = Epoch(time=jnp.asarray(8.0), redshift=jnp.asarray(0.1), luminosity_distance=jnp.asarray(475.0))
    more = {"line_wave": jnp.append(at, 5000.0), "line_lum": jnp.append(lum, 1.0)}  # a step may add its own
    lines = MeasureLines()(nebular, Spectrum(wave=WAVE, lum=slope, **more), epoch)
    np.testing.assert_allclose(lines.ew[:2], lum[:2] / (1e5 + 10 * (at[:2] - 5000)), rtol=1e-6)
    assert np.isnan(lines.ew[2])
    expected = float(lum[1]) * units.LSUN_ERG_S / (4 * np.pi * (475.0 * units.MPC_CM) ** 2)
    np.testing.assert_allclose(by_name(lines, "flux", "Halpha")[0] * 1e-20, expected, rtol=1e-6)
    np.testing.assert_allclose(
        by_name(lines, "bare", "Halpha", "Hbeta") / by_name(lines, "lum", "Halpha", "Hbeta"), 2.0
    )
    dip = slope * (1 - 0.5 * jnp.exp(-0.5 * ((WAVE - 4862.0) / 5.0) ** 2))
    np.testing.assert_allclose(continuum_beside(WAVE, dip, at[:1]), continuum_beside(WAVE, slope, at[:1]), rtol=1e-3)
    for bad, said in (
        (("lum", "Hzeta"), "no line 'Hzeta'; known are Hbeta, Halpha"),
        (("size", "Halpha"), "choose lum"),
    ):
        with pytest.raises(InputError, match=said):
            by_name(lines, *bad)


def test_drawn_lines_hold_all_their_light_on_any_grid():
    for wave in (WAVE, WAVE[::40]):
        drawn = drawn_lines(wave, jnp.array([5008.24, 6564.61]), jnp.array([2e7, 3e7]), 60.0)
        width = np.gradient(np.asarray(wave))
        np.testing.assert_allclose((drawn * width).sum(), 5e7, rtol=1e-6)
    fine = jnp.linspace(6500.0, 6630.0, 2601)
    drawn = drawn_lines(fine, jnp.array([6564.61]), jnp.array([1.0]), 60.0)
    sigma = np.sqrt((drawn * (fine - 6564.61) ** 2).sum() / drawn.sum()) / 6564.61 * units.C_KMS
    np.testing.assert_allclose(sigma, 60.0, rtol=1e-3)


def test_steps_follow_one_another_and_others_are_refused():
    class Redder(type(NoGas()).__mro__[1]):
        def __call__(self, spectrum: Spectrum, epoch: Epoch) -> Spectrum:
            return dataclasses.replace(spectrum, lum=spectrum.lum * spectrum.wave + epoch.redshift)

    epoch = Epoch(time=jnp.asarray(8.0), redshift=jnp.asarray(0.1), luminosity_distance=jnp.asarray(475.0))
    start = Spectrum(wave=WAVE, lum=jnp.ones(WAVE.size))
    np.testing.assert_allclose(SpectrumSteps(steps=[Redder(), Redder()])(start, epoch).lum, (WAVE + 0.1) * WAVE + 0.1)
    assert SpectrumSteps(steps=[])(start, epoch) is start
    with pytest.raises(InputError, match="NoGas is no step from a spectrum to the next: it reads starlight"):
        SpectrumSteps(steps=[NoGas()])


def test_gas_needs_ionising_light_in_the_library():
    wave = np.linspace(1000.0, 9000.0, 50)
    library = SSPGrid(
        ssp_wave=wave, ssp_lg_age_gyr=np.array([-3.0, 0.0, 1.0]), ssp_lgmet=np.array([-2.0, -1.5]),
        ssp_flux=np.ones((2, 3, 50)), ssp_fwhm=np.ones(50), name="optical",
    )  # fmt: skip
    band = Passband("hump", np.array([4500.0, 5000.0, 5310.0]), np.array([0.0, 1.0, 0.0]))
    make = functools.partial(
        sed_pipeline, law=Constant(), metallicity=OneMetallicity(), library=library, passbands=[band],
        dust=SpectrumSteps(steps=[]),
    )  # fmt: skip
    with pytest.raises(InputError, match=r"'optical' begins at 1000\.0 Angstrom.*or do not cut it; .*nebular=none"):
        make(nebular=gas())
