"""One small case of every stage, for the contracts in test_contracts.py.

A stage joins by one entry in BUILDERS: a function that makes the stage and the records it reads, at small size. It is
called afresh for every precision, so it keeps no JAX arrays.
"""

import dataclasses
import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from galdiff.agn.none import NoAGN
from galdiff.agn.schartmann05 import Schartmann05
from galdiff.baryons.evolve import Outputs
from galdiff.baryons.laws.power_law import PowerLaw
from galdiff.baryons.pandya23 import Pandya23
from galdiff.baryons.regulator import Regulator
from galdiff.core.record import quantity, record
from galdiff.core.stage import Stage
from galdiff.core.variables import physical, table
from galdiff.cosmology import Cosmology
from galdiff.dust.attenuation import BirthCloudDust, DustScreen, GasColumnDust, NoDust
from galdiff.dust.column import ColumnGrid
from galdiff.dust.curves.modified_calzetti import ModifiedCalzetti
from galdiff.dust.emission.modified_black_body import ModifiedBlackBody
from galdiff.dust.emission.none import NoDustEmission
from galdiff.dust.emission.pah import AromaticDust
from galdiff.dust.galaxy import GalaxyDust, NoGalaxyDust
from galdiff.galaxy.grown import GrownGalaxy
from galdiff.galaxy.streaming import StreamingDisc
from galdiff.galaxy.view import GasView, StarView
from galdiff.halo.history import HistorySettings, diffmah_history
from galdiff.ifu.direct import DirectSpectrograph
from galdiff.ifu.emission import LineDeposit, plan_lines
from galdiff.ifu.instrument import make_instrument
from galdiff.ifu.per_star import PerStar
from galdiff.ifu.placement import AtRedshift, place
from galdiff.ifu.plan import Plan, Precision, make_plan
from galdiff.ifu.stages import Deposit, Spectrograph, Synthesis, Templates
from galdiff.ifu.uncompressed import LibraryTemplates, NodeSpectra
from galdiff.igm.damping_wing import DampingWing
from galdiff.igm.inoue14 import Inoue14
from galdiff.igm.none import NoIGM
from galdiff.kinematics.maps import MapMaker, node_tables
from galdiff.light_records import (
    Epoch,
    IonisingPhotons,
    NebularLight,
    PopulationWeights,
    Spectrum,
    Starlight,
    StellarHistory,
)
from galdiff.nebular.emitters import StarFormingGas, YoungStars
from galdiff.nebular.h_ii_regions import HIIRegions, NoGas
from galdiff.nebular.lines import LINES, NAMES
from galdiff.nebular.lines_per_mass import LinesPerMass
from galdiff.observing.broadening import Broadening, NoBroadening
from galdiff.observing.galaxy_lines import MeasureLines
from galdiff.observing.gas_lines import SeenLines
from galdiff.observing.seen_maps import SeenMaps, seen_stages
from galdiff.observing.spectrum_steps import SpectrumSteps
from galdiff.observing.spectrum_tables import spectrum_tables
from galdiff.observing.star_sums import BareMaps
from galdiff.observing.tabled_light import TabledLight
from galdiff.photometry.magnitudes import Photometry
from galdiff.photometry.passband import Passband
from galdiff.photometry.tabled import TabledPhotometry
from galdiff.photometry.tables import BandTables
from galdiff.populations import diffmahpop, diffstarpop, dust_population
from galdiff.records import (
    Galaxy,
    GasParticles,
    HaloHistory,
    MassDistribution,
    Placement,
    SkyGas,
    SkyStars,
    SpectralCube,
    SSPGrid,
    StarParticles,
)
from galdiff.sfh.burst import RecentBurst
from galdiff.sfh.delayed_tau import DelayedTau
from galdiff.sfh.metallicity import OneMetallicity
from galdiff.sfh.model import FormStars
from galdiff.sfh.panels import AgePanels
from galdiff.sfh.weights import Enrich
from galdiff.sps.alpha import joined
from galdiff.sps.galaxy_light import GalaxyLight
from galdiff.sps.ionising_light import IonisingLight
from galdiff.sps.spectral_correction import CorrectedSpectra


@record
class Ages:
    """Ages of a toy population."""

    age: Float[Array, "star"] = quantity("Gyr", "age")
    mass: Float[Array, "star"] | None = quantity("Msun", "mass", default=None)


class Older(Stage):
    """The example of a stage: it keeps all the promises."""

    def __init__(self, *, by: float = 1.0):
        self.by = physical(by, lo=0.0, hi=5.0, unit="Gyr")
        self.curve = table(np.linspace(1.0, 2.0, 3))

    def __call__(self, ages: Ages) -> Ages:
        return dataclasses.replace(ages, age=ages.age * self.curve[...] + self.by.bounded)


def older():
    return Older(by=0.5), {"ages": Ages(age=jnp.array([0.1, 1.0, 10.0]))}


def random(*shape: int, lo: float = 0.0, hi: float = 1.0, seed: int = 0) -> jax.Array:
    """The same numbers in every precision, between lo and hi."""
    return jnp.asarray(np.random.default_rng([seed, *shape]).uniform(lo, hi, shape), jnp.result_type(float))


def galaxy() -> Galaxy:
    pos = random(6, 3, lo=-5.0, hi=5.0) * jnp.array([1.0, 1.0, 0.2])
    vel = jnp.stack([-pos[:, 1], pos[:, 0], 0 * pos[:, 0]], -1) * 30.0  # it turns, so it has an axis
    stars = StarParticles(
        pos=pos,
        vel=vel,
        mass=random(6, lo=1e5, hi=1e6, seed=1),
        age=random(6, lo=0.01, hi=12.0, seed=2),
        metallicity=random(6, lo=1e-3, hi=0.03, seed=3),
    )
    gas = GasParticles(pos=pos, vel=vel, mass=stars.mass, metallicity=stars.metallicity)
    return Galaxy(stars=stars, gas=gas, redshift=0.1, name="toy")


def sky_stars() -> SkyStars:
    xyz = {name: random(5, lo=-0.9, hi=0.9, seed=i) for i, name in enumerate("xyz")}
    return SkyStars(
        **xyz,
        v_los=random(5, lo=-100.0, hi=100.0, seed=4),
        mass=random(5, lo=1e5, hi=1e6, seed=5),
        age=random(5, lo=0.005, hi=0.05, seed=6),
        metallicity=random(5, lo=1e-3, hi=0.03, seed=7),
        a_v=random(5, seed=8),
    )


def sky_gas() -> SkyGas:
    xyz = {name: random(4, lo=-0.9, hi=0.9, seed=10 + i) for i, name in enumerate("xyz")}
    return SkyGas(
        **xyz,
        v_los=random(4, lo=-100.0, hi=100.0, seed=14),
        mass=random(4, lo=1e6, hi=1e7, seed=15),
        metallicity=random(4, lo=1e-3, hi=0.03, seed=16),
        temperature=random(4, lo=1e3, hi=1e4, seed=17),
    )


def light() -> MassDistribution:
    v = jnp.linspace(-400.0, 400.0, 17)
    profile = jnp.exp(-((v / 120.0) ** 2) / 2) * (1 + 0.5 * jnp.tanh(v / 100.0)) + 0.05 * jnp.exp(
        -((v / 250.0) ** 2)
    )  # skewed: no result is zero
    mass = random(2, 3, 1, 6, 1, lo=0.5) * profile[:, None, None]
    return MassDistribution(mass=mass, v_nodes=v, lost=jnp.asarray(0.0), clipped=jnp.asarray(0.0))


def maps():
    tables = node_tables(np.linspace(-1.0, 1.0, 3), np.array([-2.5, -1.5]))
    return MapMaker(tables=tables), {"mass_distribution": light()}


def bare_maps():
    bins = dataclasses.replace(plan().bins, v_nodes=np.asarray(light().v_nodes))
    return BareMaps(bins=bins), {"star_sums": SpectralCube(coef=light().mass[..., :3, 0])}


def seen():
    made = seen_stages(plan(), library(), h_v_kms=40.0, gauss_hermite=True, psf_scale=1.0)
    many = jax.tree.map(lambda x: jnp.tile(x, 40), sky_stars())  # every spaxel has stars enough to fit
    many = dataclasses.replace(many, x=random(200, lo=-1.4, hi=1.4, seed=20), y=random(200, lo=-1.4, hi=1.4, seed=21))
    speed = jax.scipy.special.ndtri(random(200, lo=0.02, hi=0.98, seed=22))
    many = dataclasses.replace(many, v_los=90.0 * speed + 30.0 * many.x)
    light = made["seen_light"](observed_stars=many, placement=placement())
    return made["seen_maps"], {"seen_light": light}


def gas_column():
    grid = ColumnGrid(half_width=1.0, half_depth=1.0, cell=0.5, cell_z=0.5)
    return GasColumnDust(grid=grid), {"sky_stars": sky_stars(), "sky_gas": sky_gas()}


def library() -> SSPGrid:
    """Two metallicities, three ages, a few lines."""
    wave = np.linspace(4000.0, 6000.0, 801)
    depth = np.random.default_rng(0).uniform(0.1, 0.8, (4, 2, 3, 1))  # so that every node has a spectrum of its own
    centres = (4990.0, 5030.0, 5065.0, 5100.0)
    lines = 1.0 - sum(d * np.exp(-(((wave - c) / 6.0) ** 2)) for d, c in zip(depth, centres, strict=True))
    tilt = (wave / 5000.0) ** np.linspace(-2.0, 0.5, 6).reshape(2, 3, 1)
    return SSPGrid(
        ssp_wave=wave,
        ssp_lg_age_gyr=np.array([-2.0, 0.0, 1.0]),
        ssp_lgmet=np.array([-2.5, -1.5]),
        ssp_flux=tilt * lines * np.array([1e-1, 1e-2, 1e-3])[:, None],
        ssp_fwhm=np.full(wave.shape, 2.5),
    )


@functools.cache
def plan() -> Plan:
    """A small observation with dust."""
    instrument = make_instrument(
        name="small",
        n_x=3,
        n_y=3,
        spaxel_x_arcsec=1.0,
        wave={
            "grid": "linear",
            "start_angstrom": 5200.0,
            "end_angstrom": 5400.0,
            "step_angstrom": 4.0,
            "medium": "vacuum",
        },
        lsf={"kind": "constant", "fwhm_angstrom": 6.0},
        psf={"kind": "gaussian", "fwhm_arcsec": 1.2},
    )
    precision = Precision(rank=4, v_max_kms=300.0, a_v_max=3.0, a_v_modes=3)
    return make_plan(library(), instrument, 0.05, precision, curve)


def curve(wave):
    return (5500.0 / wave) ** 0.7


def placement() -> Placement:
    return place(Cosmology(), jnp.asarray(0.05, jnp.result_type(float)))


def chain(n: int) -> tuple[Stage, dict]:
    """Stage n of deposit, synthesis, templates, spectrograph, with what the earlier ones make."""
    where = placement()
    stages = [Deposit(bins=plan().bins), Synthesis(plan=plan()), Templates(plan=plan()), Spectrograph(plan=plan())]
    if n == 0:
        return stages[0], {"observed_stars": sky_stars(), "placement": where}
    if n == 2:
        return stages[2], {"placement": where}
    mass_distribution = stages[0](sky_stars(), where)
    if n == 1:
        return stages[1], {"mass_distribution": mass_distribution}
    return stages[3], {"spectra": stages[1](mass_distribution), "bank": stages[2](where), "placement": where}


def halo() -> HaloHistory:
    cosmology = Cosmology(h0=67.74, omega_m=0.3075, omega_b=0.0486)
    return diffmah_history(log10_mvir=12.0, cosmology=cosmology, settings=HistorySettings(n_nodes=24))


def pandya23():
    return Pandya23(outputs=Outputs(n_times=2, n_steps=16)), {"halo": halo()}


def regulator():
    inflow = PowerLaw(log10_a=-3.0, alpha0=1.0, log10_a_range=(-4.0, -1.5), alpha0_range=(0.0, 4.0))
    return Regulator(z_inflow=inflow, outputs=Outputs(n_times=2, n_steps=16)), {"halo": halo()}


def grown_galaxy():
    cycle = Regulator(outputs=Outputs(n_times=8, n_steps=32))
    return GrownGalaxy(n_stars=24, n_gas=6), {"history": jax.jit(cycle)(halo())}


# Stage class -> function without arguments that returns (stage, records by name).
def epoch() -> Epoch:
    return Epoch(time=jnp.asarray(8.13), redshift=jnp.asarray(0.11), luminosity_distance=jnp.asarray(500.0))


PANELS = AgePanels(lg_age_gyr=(-2.0, 0.0, 1.0), widest=3.0)


def stellar_history() -> StellarHistory:
    age = PANELS.points_before(epoch().time).age
    return StellarHistory(age=age, mass=1e8 * (1 + age), time=epoch().time)


def starlight() -> Starlight:
    wave = jnp.asarray(library().ssp_wave)
    return Starlight(wave=wave, young=(wave / 5e3) ** -2, old=wave / 5e3)


def galaxy_dust():
    return GalaxyDust(curve=ModifiedCalzetti(), a_v=0.3, a_v_birth=0.6), {"starlight": starlight()}


def tabled_photometry():
    """One band of two parts, behind dust whose curve is tilted."""
    ages = jnp.asarray(PANELS.lg_age_gyr)
    mass = 1e9 * jnp.ones((2, ages.size))
    tables = BandTables(
        flux=1e4 * jnp.ones((2, ages.size, 2)),
        centre=jnp.asarray([4000.0, 5000.0]),
        redshift=epoch().redshift,
        names=("b",),
        parts=(2,),
    )
    stage = TabledPhotometry(dust=GalaxyDust(curve=ModifiedCalzetti(), tilt=-0.3), clouds=GalaxyLight())
    return stage, {"populations": PopulationWeights(mass=mass, lg_age=ages), "tables": tables, "epoch": epoch()}


def tabled_light() -> tuple[Stage, dict]:
    """Fifty pixels about a line of stars and one of gas."""
    wave, pixels = np.arange(4700.0, 5100.0, 1.0), np.exp(np.arange(np.log(5060.0), np.log(5360.0), 1e-3))
    dip = 1 - 0.3 * np.exp(-0.5 * ((wave - 4890.0) / 4.0) ** 2)
    grid = SSPGrid(
        ssp_wave=wave,
        ssp_lg_age_gyr=np.array([-2.5, 0.0, 1.0]),
        ssp_lgmet=np.array([-2.3, -1.8]),
        ssp_flux=np.linspace(1e-3, 3e-4, 6).reshape(2, 3, 1) * dip,
        ssp_fwhm=np.full(wave.shape, 2.5),
    )
    tables = spectrum_tables(grid, pixels, np.full(pixels.shape, 90.0), 0.08, lines=("Hbeta", "[OIII]5007"))
    ages = jnp.asarray(np.asarray(grid.ssp_lg_age_gyr), float)
    populations = PopulationWeights(mass=jnp.full((2, 3), 1e9), lg_age=ages)
    stage = TabledLight(dust=GalaxyDust(curve=ModifiedCalzetti(), tilt=-0.3), clouds=GalaxyLight())
    seen_at = dataclasses.replace(epoch(), redshift=jnp.asarray(0.08))
    return stage, {"populations": populations, "spectrum": tables, "epoch": seen_at}


def high_redshift() -> dict:
    """A spectrum about Lyman alpha and its limit, at redshift 7."""
    wave = jnp.asarray(np.linspace(600.0, 1500.0, 60))
    seen = dataclasses.replace(spectrum(), wave=wave, lum=jnp.ones_like(wave))
    return {"spectrum": seen, "epoch": dataclasses.replace(epoch(), redshift=jnp.asarray(7.03))}


def spectrum() -> Spectrum:
    line_wave = jnp.asarray([4862.7, 5008.2])
    lines = {"line_wave": line_wave, "line_lum": 1e3 * jnp.ones_like(line_wave)}
    return Spectrum(wave=starlight().wave, lum=starlight().old, dust_power=1e3 * line_wave[0], **lines)


def active_nucleus() -> tuple[Stage, dict]:
    settings = {"share": 0.3, "hot": 0.3, "temperature": 1244.0, "a_v": 0.2, "polar_temperature": 100.0}
    return Schartmann05(curve=ModifiedCalzetti(), **settings), {"spectrum": spectrum()}


def galaxy_light():
    populations = PopulationWeights(mass=random(2, 3, lo=1e8, hi=1e9), lg_age=jnp.array([-2.0, 0.0, 1.0]))
    grid = library()
    rich = joined([grid, dataclasses.replace(grid, ssp_flux=1.3 * grid.ssp_flux)], [0.0, 0.4])
    return GalaxyLight(t_birth=0.011, alpha_fe=0.15), {"populations": populations, "library": rich}


def photometry():
    band = Passband("hump", np.array([4800.0, 5000.0, 5400.0]), np.array([0.0, 1.0, 0.0]))
    spectrum = Spectrum(wave=starlight().wave, lum=starlight().old)
    return Photometry(passbands=[band]), {"spectrum": spectrum, "epoch": epoch()}


def ionising_library() -> SSPGrid:
    wave = np.geomspace(100.0, 30000.0, 120)
    flux = np.ones((2, 3, 1)) * np.array([1e-2, 1e-3, 1e-5])[:, None] * (wave / 912.0) ** 0.7 * np.exp(-300.0 / wave)
    axes = {"ssp_wave": wave, "ssp_lg_age_gyr": np.array([-2.9, -2.2, 0.0]), "ssp_lgmet": np.array([-2.5, -1.8])}
    axes |= {"ssp_flux": flux, "ssp_fwhm": wave / 100}
    return SSPGrid(**{name: jnp.asarray(values) for name, values in axes.items()})


def h_ii_regions():
    populations = PopulationWeights(mass=random(2, 3, lo=1e8, hi=1e9), lg_age=jnp.array([-2.9, -2.2, 0.0]))
    ionising = IonisingPhotons(log10_rate=jnp.array([46.6, 45.9, 44.0])[:, None, None] + jnp.array([0.0, -0.6, -4.0]))
    ionising = IonisingPhotons(log10_rate=jnp.broadcast_to(ionising.log10_rate, (3, 2, 3)) + 0.1 * random(3, 2, 3))
    stage = HIIRegions(log10_u=-2.6, escape=0.1, log10_z_gas=-2.1, n_to_o=0.1, log10_density=2.5)
    return stage, {"populations": populations, "ionising": ionising, "library": ionising_library()}


def measure_lines():
    line_wave, line_lum = jnp.array([4862.0, 5008.0]), jnp.array([1e8, 2e8])
    light = starlight()
    gas = {"continuum": light.young, "passes": jnp.ones_like(light.wave), "line_wave": line_wave, "line_lum": line_lum}
    spectrum = Spectrum(wave=light.wave, lum=light.old, line_wave=line_wave, line_lum=0.7 * line_lum)
    nebular = NebularLight(**gas, line_names=("Hbeta", "[OIII]5007"))
    return MeasureLines(), {"nebular": nebular, "spectrum": spectrum, "epoch": epoch()}


def emission(n: int) -> tuple[Stage, dict]:
    """Stage n of lines per mass, deposit and maps, with what the earlier ones make."""
    regions, where = h_ii_regions()[0], placement()
    wave = np.array([line.wave for line in LINES])
    lines = plan_lines(plan(), NAMES, wave, np.full(len(wave), 25.0), curve(wave))
    per_mass = LinesPerMass(regions=regions, library=ionising_library(), ionising=IonisingLight()(ionising_library()))
    stages = [per_mass, LineDeposit(lines=lines)]
    if n == 0:
        return stages[0], {}
    records = {"sky_emitters": sky_stars(), "line_table": stages[0](), "placement": where}
    if n == 1:
        return stages[1], records
    return SeenLines(plan=dataclasses.replace(plan(), lines=lines)), {
        "line_light": stages[1](**records),
        "placement": where,
    }


class Halved(Stage):
    """A step that dims all light."""

    def __call__(self, spectrum: Spectrum) -> Spectrum:
        return dataclasses.replace(spectrum, lum=spectrum.lum / 2)


def spectrum_steps():
    spectrum = Spectrum(wave=starlight().wave, lum=starlight().old)
    return SpectrumSteps(steps=[Halved(), Halved()]), {"attenuated": spectrum, "epoch": epoch()}


def galaxy_population():
    names = ("log10_m0", "t_peak", "satellite", "log10_mu", "log10_mhost", "since_infall")
    place = diffstarpop.GalaxyPlace(**dict(zip(names, jnp.array([12.3, 9.0, 1.0, -0.5, 13.5, 3.0]), strict=True)))
    noise = diffstarpop.SfhNoise(main_sequence=random(4, lo=-1.0, seed=30), quenched=random(8, lo=-1.0, seed=31))
    return diffstarpop.diffstar_population(), {"place": place, "noise": noise}


def population_dust():
    names = ("log10_mstar", "log10_ssfr", "redshift")
    galaxy = dust_population.FormedGalaxy(**dict(zip(names, jnp.array([10.2, -10.1, 0.9]), strict=True)))
    return dust_population.dust_population(), {"galaxy": galaxy}


def halo_population():
    names = ("log10_m", "time", "t_today", "satellite")
    halo = diffmahpop.ObservedHalo(**dict(zip(names, jnp.array([12.3, 9.0, 13.8, 0.0]), strict=True)))
    normal = {family: random(4, lo=-1.0, seed=i) for i, family in enumerate(("early", "late"))}
    noise = diffmahpop.HaloNoise(peak=random(lo=0.2, hi=0.6), **normal)
    return diffmahpop.halo_population(), {"halo": halo, "noise": noise}


BUILDERS: dict[type[Stage], Callable] = {
    Older: older,
    diffstarpop.DiffstarPopulation: galaxy_population,
    diffmahpop.DiffmahPopulation: halo_population,
    dust_population.DustPopulation: population_dust,
    FormStars: lambda: (FormStars(law=DelayedTau(), ages=PANELS), {"epoch": epoch()}),
    RecentBurst: lambda: (RecentBurst(lgyr_peak=7.0, lgyr_max=9.0 - 1e-3), {"smooth_stars": stellar_history()}),
    Enrich: lambda: (
        Enrich(law=OneMetallicity(lgmet=-1.9, scatter=0.3), ages=PANELS, library=library()),
        {"stars": stellar_history()},
    ),
    GalaxyLight: galaxy_light,
    GalaxyDust: galaxy_dust,
    TabledPhotometry: tabled_photometry,
    TabledLight: tabled_light,
    NoGalaxyDust: lambda: (NoGalaxyDust(), {"starlight": starlight()}),
    NoDustEmission: lambda: (NoDustEmission(), {"spectrum": spectrum()}),
    ModifiedBlackBody: lambda: (
        ModifiedBlackBody(temperature=35.0, beta=1.6, alpha=2.0, background=True),
        {"spectrum": spectrum(), "epoch": epoch()},
    ),
    AromaticDust: lambda: (
        AromaticDust(share=0.1, ionised=0.3, temperature=30.0, beta=1.6, alpha=2.2, background=True),
        {"spectrum": spectrum(), "epoch": epoch()},
    ),
    NoAGN: lambda: (NoAGN(), {"spectrum": spectrum()}),
    Schartmann05: active_nucleus,
    NoBroadening: lambda: (NoBroadening(), {"spectrum": spectrum()}),
    Broadening: lambda: (
        Broadening(sigma_v=200.0, fwhm=6.0, fwhm_library=2.5),
        {"spectrum": spectrum(), "epoch": epoch()},
    ),
    NoIGM: lambda: (NoIGM(), {"spectrum": spectrum()}),
    Inoue14: lambda: (Inoue14(strength=1.0), high_redshift()),
    DampingWing: lambda: (DampingWing(strength=1.0, neutral=0.5, end=6.0, bubble=0.5), high_redshift()),
    IonisingLight: lambda: (IonisingLight(), {"library": ionising_library()}),
    HIIRegions: h_ii_regions,
    NoGas: lambda: (NoGas(), {"starlight": starlight()}),
    MeasureLines: measure_lines,
    LinesPerMass: lambda: emission(0),
    LineDeposit: lambda: emission(1),
    SeenLines: lambda: emission(2),
    YoungStars: lambda: (YoungStars(), {"observed_stars": sky_stars()}),
    StarFormingGas: lambda: (StarFormingGas(dust=DustScreen(a_v=0.7)), {"sky_gas": gas_column()[1]["sky_gas"]}),
    SpectrumSteps: spectrum_steps,
    Photometry: photometry,
    Pandya23: pandya23,
    Regulator: regulator,
    GrownGalaxy: grown_galaxy,
    StarView: lambda: (StarView(inclination=50.0), {"galaxy": galaxy()}),
    StreamingDisc: lambda: (StreamingDisc(), {"stars": galaxy().stars}),
    GasView: lambda: (GasView(inclination=50.0), {"galaxy": galaxy()}),
    NoDust: lambda: (NoDust(), {"sky_stars": sky_stars()}),
    DustScreen: lambda: (DustScreen(a_v=0.7), {"sky_stars": sky_stars()}),
    BirthCloudDust: lambda: (
        BirthCloudDust(a_v=0.3, a_v_birth=0.6, t_birth=0.01, width=0.1),
        {"sky_stars": sky_stars()},
    ),
    GasColumnDust: gas_column,
    Deposit: lambda: chain(0),
    Synthesis: lambda: chain(1),
    Templates: lambda: chain(2),
    Spectrograph: lambda: chain(3),
    PerStar: lambda: (PerStar(plan=plan()), {"observed_stars": sky_stars(), "placement": placement()}),
    DirectSpectrograph: lambda: (
        DirectSpectrograph(plan=plan(), curve=curve),
        {"observed_stars": sky_stars(), "placement": placement()},
    ),
    AtRedshift: lambda: (AtRedshift(redshift=0.1), {}),
    LibraryTemplates: lambda: (
        LibraryTemplates(plan=plan()),
        {"library": library(), "placement": placement()},
    ),
    NodeSpectra: lambda: (NodeSpectra(), {"mass_distribution": light()}),
    BareMaps: bare_maps,
    MapMaker: maps,
    SeenMaps: seen,
    CorrectedSpectra: lambda: (CorrectedSpectra(start=4500.0, end=5500.0, n_wave=20), {"library": library()}),
}
