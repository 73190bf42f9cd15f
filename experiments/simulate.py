"""A galaxy, from a snapshot or the embedded disc, as an integral-field spectrograph records it.

One folder holds cube.fits, maps.fits, maps.png, spectra.png, summary.json and config.yaml.
"""

import dataclasses
import hashlib
import json
import math
import pathlib
import time
import warnings

import jax
import jax.numpy as jnp
import numpy as np
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from galdiff import runtime
from galdiff.build import build
from galdiff.cli import experiment
from galdiff.core.compiled import compiled
from galdiff.core.pipeline import Pipeline
from galdiff.errors import InputError
from galdiff.galaxy.view import GasView, StarView
from galdiff.ifu.basis import no_attenuation
from galdiff.ifu.bank import velocity_nodes
from galdiff.ifu.deposit import Bins
from galdiff.ifu.engine import choose_engine, ifu_stages
from galdiff.ifu.field import field_corner
from galdiff.ifu.instrument import aperture_mask
from galdiff.ifu.lsf import warn_deficient
from galdiff.ifu.noise import add_noise, variance
from galdiff.ifu.placement import AtRedshift
from galdiff.ifu.plan import Precision, make_plan
from galdiff.ifu.spread import lsf_fwhm
from galdiff.ifu.stages import Deposit
from galdiff.ifu.tiles import TILE, observe_in_tiles, tile_instrument, tiles_of
from galdiff.io.atomic import atomic_path
from galdiff.io.fits_cube import write_cube, write_maps
from galdiff.io.preflight import OUTPUTS, check_output, cube_bytes
from galdiff.kinematics.maps import MapMaker, node_tables
from galdiff.kinematics.summary import summarise
from galdiff.plotting.maps import plot_maps
from galdiff.plotting.spectra import plot_spectra
from galdiff.records import Galaxy, KinematicMaps, ObservedCube, Placement, SkyStars
from galdiff.sps.clip import clip_report, warn_clipped

NEAR = 0.002  # snapshots below this redshift are observed from DEFAULT_REDSHIFT
DEFAULT_REDSHIFT = 0.05
MAX_LIGHT = 1 << 30  # bytes of a light distribution; larger fields go in tiles


def redshift_of(cfg: DictConfig, galaxy: Galaxy) -> float:
    """Redshift of the observation: asked for, else that of the snapshot, else DEFAULT_REDSHIFT."""
    if cfg.placement.redshift is not None:
        return float(cfg.placement.redshift)
    return galaxy.redshift if galaxy.redshift >= NEAR else DEFAULT_REDSHIFT


def cut_field(instrument, max_spaxels: int | None):
    """The central part of a field that has more than max_spaxels on a side."""
    if max_spaxels is None:
        return instrument
    if max_spaxels < 1:
        raise InputError(f"max_spaxels is {max_spaxels}; give at least 1, or null for the whole field")
    n_y, n_x = (n - (n - min(n, max_spaxels)) // 2 * 2 for n in (instrument.n_y, instrument.n_x))
    return dataclasses.replace(instrument, n_y=n_y, n_x=n_x)


def look(cfg: DictConfig, galaxy: Galaxy, redshift: float) -> tuple[SkyStars, Placement]:
    """Stars on the sky, with their dust, and where they are."""
    view = OmegaConf.to_container(cfg.view, resolve=True)
    place = {**OmegaConf.to_container(cfg.placement, resolve=True), "redshift": redshift}
    place["cosmology"] = build(cfg.placement.cosmology, path="placement.cosmology")
    stages = {
        "sky_stars": StarView(**view),
        "attenuated": build(cfg.dust.stage, path="dust.stage"),
        "placement": AtRedshift(**place),
    }
    if galaxy.gas is not None and "sky_gas" in stages["attenuated"].reads():
        stages["sky_gas"] = GasView(**view)
    run, state = compiled(Pipeline(stages=stages, inputs={"galaxy": Galaxy}), ["attenuated", "placement"])
    made = run(state, galaxy=jax.tree.map(lambda x: jnp.asarray(x, jnp.result_type(float)), galaxy))
    return made["attenuated"], made["placement"]


def stars_in_field(stars: SkyStars, placement: Placement, instrument) -> np.ndarray:
    """Which stars fall on the instrument's field."""
    scale, centre = float(placement.kpc_per_arcsec), np.asarray(placement.pointing)
    x, y = np.asarray(stars.x) / scale - centre[0], np.asarray(stars.y) / scale - centre[1]
    half_x, half_y = (
        n * s / 2
        for n, s in ((instrument.n_x, instrument.spaxel_x_arcsec), (instrument.n_y, instrument.spaxel_y_arcsec))
    )
    inside = (np.abs(x) < half_x) & (np.abs(y) < half_y)
    if not inside.any():
        raise InputError(
            f"none of the {len(x)} stars falls on the field of {2 * half_x:.1f} x {2 * half_y:.1f} arcsec: they lie"
            f" {np.hypot(x, y).min():.1f} to {np.hypot(x, y).max():.1f} arcsec from its centre; change"
            " placement.pointing_arcsec, placement.redshift or the instrument"
        )
    return inside


def precision_of(cfg: DictConfig, stars: SkyStars, inside: np.ndarray) -> Precision:
    """Precision, with the ranges of velocity and attenuation that the stars in the field have."""
    asked = OmegaConf.to_container(cfg.precision, resolve=True)
    if asked["v_max_kms"] is None:
        fastest = np.quantile(np.abs(np.asarray(stars.v_los))[inside], 0.9999)
        asked["v_max_kms"] = float(min(max(50 * math.ceil(fastest / 50), 200), 2000))
    if asked["a_v_max"] is None:
        most = 0.0 if stars.a_v is None else float(np.asarray(stars.a_v)[inside].max())
        asked["a_v_max"] = min(0.5 * math.ceil(most / 0.5), 6.0)
    return Precision(**asked)


def map_maker(cfg: DictConfig, plan, ssp, v_max: float) -> tuple[Bins, MapMaker]:
    """Bins without margin and with fine velocities, and what reads maps from them."""
    if cfg.maps.weight not in ("light", "mass"):
        raise InputError(f"maps.weight is '{cfg.maps.weight}'; choose light or mass")
    band = slice(*np.searchsorted(plan.node_wave, plan.wave_vacuum[[0, -1]] / (1 + plan.redshift)))
    light = np.trapezoid(plan.nodes[:, band], plan.node_wave[band], axis=-1)  # Lsun/Msun in the recorded band
    tables = node_tables(
        ssp.ssp_lg_age_gyr,
        ssp.ssp_lgmet,
        interpolation=plan.precision.interpolation,
        weight=light if cfg.maps.weight == "light" else None,
    )
    bins = dataclasses.replace(
        plan.bins,
        n_y=plan.instrument.n_y,
        n_x=plan.instrument.n_x,
        v_nodes=velocity_nodes(v_max, cfg.maps.h_v_kms),
        attenuation=no_attenuation(1),
    )
    return bins, MapMaker(tables=tables, gauss_hermite=cfg.maps.gauss_hermite)


def tile_size(plan) -> int:
    """Spaxels on a side of a tile: the whole field where its light distribution fits in memory."""
    whole = max(plan.instrument.n_y, plan.instrument.n_x)
    return whole if math.prod(plan.bins.shape) * 4 <= MAX_LIGHT else min(TILE, whole)


def render(make, instrument, stars: SkyStars, placement: Placement, progress):
    """Noiseless cube and maps of the whole field, tile after tile."""
    plan, tile, stages, bins, maker = make
    inputs = {"attenuated": SkyStars, "placement": Placement}
    cube_of = compiled(Pipeline(stages=stages, inputs=inputs), ["cube"])
    maps_of = compiled(Pipeline(stages={"light": Deposit(bins=bins), "maps": maker}, inputs=inputs), ["maps"])
    tiles = list(tiles_of(instrument, tile))
    task = progress.add_task("compile and observe", total=len(tiles))
    flux = np.zeros((instrument.n_y, instrument.n_x, len(plan.wave)), np.float32)
    maps = {f.name: np.full(flux.shape[:2], np.nan, np.float32) for f in dataclasses.fields(KinematicMaps)}

    def observe(stars, placement):
        return {k: v for run, state in (cube_of, maps_of) for k, v in run(state, attenuated=stars, placement=placement).items()}

    for part, made in observe_in_tiles(observe, stars, placement, instrument, plan.bins, tile):
        flux[part.y, part.x] = made["cube"].flux
        for name, values in maps.items():
            values[part.y, part.x] = getattr(made["maps"], name)
        progress.update(task, advance=1, description=f"observe, {len(tiles)} tile{'s' * (len(tiles) > 1)}")
    inside = aperture_mask(instrument)
    flux[~inside] = 0
    for values in maps.values():
        values[~inside] = np.nan
    return dataclasses.replace(made["cube"], flux=flux, variance=np.zeros_like(flux), inside=inside), KinematicMaps(**maps)


def with_noise(cfg: DictConfig, cube: ObservedCube) -> ObservedCube:
    """Cube with noise and its exact variance; as it is where noise.snr is null."""
    if cfg.noise.snr is None:
        return cube
    if not cfg.noise.snr > 0:
        raise InputError(f"noise.snr is {cfg.noise.snr}; give a positive number, or null for no noise")
    options = {k: cfg.noise[k] for k in ("mode", "snr", "reference", "wave_ref")}
    flux = jnp.asarray(cube.flux)
    known = jnp.where(cube.inside[..., None], variance(flux, jnp.asarray(cube.wave), **options), 0)
    return dataclasses.replace(cube, flux=add_noise(jax.random.key(cfg.seed), flux, known), variance=known)


def save(cfg: DictConfig, cube: ObservedCube, maps: KinematicMaps, facts: dict, plan, title: str) -> None:
    """Write the folder; every file is whole or absent."""
    folder, replace = pathlib.Path(cfg.output), cfg.overwrite
    resolved = OmegaConf.to_yaml(cfg, resolve=True)
    provenance = {
        "VERSION": facts["versions"]["galdiff"],
        "CONFHASH": hashlib.sha256(resolved.encode()).hexdigest()[:16],
        "DISTANCE": facts["luminosity_distance_mpc"],
        "INC": cfg.view.inclination,
        "PA": cfg.view.position_angle,
        "SSP": facts["library"],
        "IMF": facts["imf"],
        "SEED": cfg.seed,
        "NPART": facts["stars"]["in_field"],
        "SNR": cfg.noise.snr if cfg.noise.snr is not None else "none",
        "INSTRUME": plan.instrument.name,
        "SOURCE": facts["galaxy"],
    }
    redshift, lsf = facts["redshift"], (plan.wave, lsf_fwhm(plan.instrument.lsf, plan.wave) * cfg.lsf_scale)
    write_cube(folder / "cube.fits", cube, provenance=provenance, redshift=redshift, lsf=lsf, overwrite=replace)
    fits_maps = {cfg.maps.weight: maps}
    arcsec = plan.instrument.spaxel_x_arcsec
    write_maps(
        folder / "maps.fits", fits_maps, spaxel_arcsec=arcsec, provenance=provenance, redshift=redshift, overwrite=replace
    )
    scale = facts["kpc_per_arcsec"]
    for name, figure in (
        ("maps.png", plot_maps(cube, maps, title=title, kpc_per_arcsec=scale)),
        ("spectra.png", plot_spectra(cube, title=title, redshift=redshift)),
    ):
        with atomic_path(folder / name, replace) as path:
            figure.savefig(path, dpi=150)
    for name, text in (("config.yaml", resolved), ("summary.json", json.dumps(facts, indent=2) + "\n")):
        with atomic_path(folder / name, replace) as path:
            path.write_text(text)


def summary_of(cfg, galaxy, ssp, plan, stars, placement, inside, report) -> dict:
    """What went in and how it was computed."""
    masses = np.asarray(stars.mass, np.float64)
    return {
        "galaxy": galaxy.name,
        "redshift": float(placement.redshift),
        "luminosity_distance_mpc": float(placement.luminosity_distance),
        "kpc_per_arcsec": float(placement.kpc_per_arcsec),
        "instrument": plan.instrument.name,
        "library": ssp.name,
        "imf": ssp.imf,
        "stars": {"all": len(masses), "in_field": int(inside.sum()), "outside_library": report.n_clipped},
        "mass_formed_msun": {"all": masses.sum(), "in_field": masses[inside].sum()},
        "engine": {
            "name": cfg.engine,
            "spaxels": [plan.instrument.n_y, plan.instrument.n_x],
            "wavelengths": len(plan.wave),
            "velocity_nodes_kms": [float(plan.bins.v_nodes[0]), float(plan.bins.v_nodes[-1]), len(plan.bins.v_nodes)],
            "rank": len(plan.templates),
            "basis_rms": plan.basis.rms,
            "a_v_max": plan.precision.a_v_max,
        },
        "versions": runtime.versions(),
    }


def simulate(cfg: DictConfig, progress: Progress, console: Console) -> dict:
    """Read, look, lay out, observe, save; returns the summary."""
    started = time.perf_counter()
    steps: dict[str, float] = {}

    def step(name: str):
        steps[name] = round(time.perf_counter() - started - sum(steps.values()), 3)

    task = progress.add_task("read galaxy and library", total=None)
    instrument = cut_field(build(cfg.instrument, path="instrument"), cfg.max_spaxels)
    size = 1.2 * cube_bytes(instrument.n_y, instrument.n_x, instrument.n_wave) + 5e6
    check_output(cfg.output, int(size), cfg.overwrite, (*OUTPUTS, "config.yaml"))
    galaxy, ssp = build(cfg.input, path="input"), build(cfg.ssp, path="ssp")
    step("read")
    progress.update(task, description="lay out the observation")
    redshift = redshift_of(cfg, galaxy)
    stars, placement = look(cfg, galaxy, redshift)
    inside = stars_in_field(stars, placement, instrument)
    report = clip_report(stars.age, stars.metallicity, stars.mass, ssp)
    warn_clipped(report)
    precision, curve = precision_of(cfg, stars, inside), build(cfg.dust.curve, path="dust.curve")
    plan = make_plan(ssp, instrument, redshift, precision, curve)
    wave = plan.wave_vacuum
    deficient = lsf_fwhm(instrument.lsf, wave) * cfg.lsf_scale < (1 + redshift) * plan.fwhm_template
    warn_deficient(plan.wave, deficient)
    tile = tile_size(plan)
    tile_plan = plan
    if tile < max(instrument.n_y, instrument.n_x):
        tile_plan = make_plan(ssp, tile_instrument(instrument, tile), redshift, precision, curve)
    engine = choose_engine(int(inside.sum()), tile_plan) if cfg.engine == "auto" else cfg.engine
    stages = ifu_stages(
        plan=tile_plan, engine=engine, curve=curve, lsf_scale=cfg.lsf_scale, psf_scale=cfg.psf_scale
    )
    step("lay out")
    progress.update(task, total=1, completed=1)
    make = (tile_plan, tile, stages, *map_maker(cfg, tile_plan, ssp, precision.v_max_kms))
    cube, maps = render(make, instrument, stars, placement, progress)
    cube = with_noise(cfg, cube)
    step("observe")
    task = progress.add_task("write files and pictures", total=None)
    facts = summary_of(cfg, galaxy, ssp, plan, stars, placement, inside, report)
    facts["engine"]["name"], facts["engine"]["tile"] = engine, tile
    kinematics = summarise(maps, instrument.spaxel_x_arcsec * facts["kpc_per_arcsec"])
    facts["kinematics"] = {f.name: float(getattr(kinematics, f.name)) for f in dataclasses.fields(kinematics)}
    facts["seconds"] = steps
    save(cfg, cube, maps, facts, plan, f"{galaxy.name or 'galaxy'}, {instrument.name}, z = {redshift:.4g}")
    step("write")
    progress.update(task, total=1, completed=1)
    return facts


@experiment("simulate")
def main(cfg: DictConfig) -> None:
    """Run with progress on the terminal; warnings are shown once, as single lines."""
    runtime.configure(**OmegaConf.to_container(cfg.runtime, resolve=True))
    console = Console(stderr=False, highlight=False)
    columns = (SpinnerColumn(finished_text="done"), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with warnings.catch_warnings(record=True) as caught, Progress(*columns, console=console) as progress:
        warnings.simplefilter("default")
        facts = simulate(cfg, progress, console)
    for text in dict.fromkeys(str(w.message) for w in caught if issubclass(w.category, UserWarning)):
        console.print(f"warning: {text}", soft_wrap=True)
    n, k = facts["stars"], facts["kinematics"]
    console.print(
        f"{n['in_field']} of {n['all']} stars, r_half = {k['r_half']:.2f} kpc, lambda_R = {k['lambda_r']:.2f},"
        f" V/sigma = {k['v_over_sigma']:.2f}; {sum(facts['seconds'].values()):.1f} s; results in {cfg.output}",
        soft_wrap=True,
    )


if __name__ == "__main__":
    main()
