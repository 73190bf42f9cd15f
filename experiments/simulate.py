"""A galaxy, grown in a halo, from a snapshot or drawn, as an integral-field spectrograph records it.

One folder holds cube.fits, maps.fits, maps.png, spectra.png, summary.json and config.yaml, and for a grown galaxy its
history, history.h5 and history.png (docs/simulate.md).
"""

import dataclasses
import math
import pathlib
import warnings

import jax
import jax.numpy as jnp
import numpy as np
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from galdiff import runtime
from galdiff.baryons.population import Population
from galdiff.build import build
from galdiff.cli import check_kinds, experiment, run_folder
from galdiff.core.compiled import compiled
from galdiff.core.kernels import TAPS
from galdiff.core.pipeline import Pipeline
from galdiff.core.stage import Stage
from galdiff.errors import InputError
from galdiff.halo.history import stack
from galdiff.ifu.engine import ENGINES, IFU_HOOKS, choose_engine, ifu_stages
from galdiff.ifu.instrument import aperture_mask
from galdiff.ifu.lsf import warn_deficient
from galdiff.ifu.noise import MODES, REFERENCES, add_noise, variance
from galdiff.ifu.plan import Precision, make_plan
from galdiff.ifu.spread import lsf_fwhm
from galdiff.ifu.stages import Deposit
from galdiff.ifu.tiles import TILE, observe_in_tiles, tile_instrument, tiles_of
from galdiff.io.histories import write_history
from galdiff.io.preflight import OUTPUTS, check_output, cube_bytes
from galdiff.io.products import config_hash, write_products
from galdiff.io.progress import Steps
from galdiff.kinematics.summary import summarise
from galdiff.observables.mock import count_stars, cut_field, map_maker, served_precision, stars_in_field
from galdiff.plotting.histories import plot_history
from galdiff.plotting.maps import plot_maps
from galdiff.plotting.spectra import plot_spectra
from galdiff.records import BaryonHistory, Galaxy, KinematicMaps, ObservedCube, Placement, SkyStars

NEAR = 0.002  # snapshots below this redshift are observed from DEFAULT_REDSHIFT
DEFAULT_REDSHIFT = 0.05
GROWN = ("history.h5", "history.png")
MAX_LIGHT = 1 << 30  # bytes of a light distribution; larger fields go in tiles
CHOICES = {
    "precision.kernel": tuple(TAPS),
    "precision.interpolation": ("linear", "cubic"),
    "precision.coverage": ("error", "crop"),
    "engine": ENGINES,
    "noise.mode": MODES,
    "noise.reference": REFERENCES,
    "maps.weight": ("light", "mass"),
}
POSITIVE = (
    *(f"precision.{name}" for name in ("rank", "h_v_kms", "v_max_kms", "a_v_modes")),
    *("max_spaxels", "lsf_scale", "psf_scale", "noise.snr", "noise.wave_ref", "maps.h_v_kms"),
)
OPTIONAL = ("max_spaxels", "noise.snr", "noise.wave_ref", "precision.h_v_kms", "precision.v_max_kms")


def check_settings(cfg: DictConfig) -> None:
    """Refuse settings that would fail later on."""
    check_kinds(cfg, "simulate", ignore=(*IFU_HOOKS, "spectra.correction"))
    for key, allowed in CHOICES.items():
        if (value := OmegaConf.select(cfg, key)) not in allowed:
            raise InputError(f"{key} is '{value}'; choose one of {', '.join(allowed)}")
    for key in POSITIVE:
        value = OmegaConf.select(cfg, key)
        if (value is None and key not in OPTIONAL) or (value is not None and not 0 < value < math.inf):
            raise InputError(f"{key} is {value}; give a positive number{', or null' if key in OPTIONAL else ''}")
    if (most := cfg.precision.a_v_max) is not None and not 0 <= most < math.inf:
        raise InputError(f"precision.a_v_max is {most}; give zero or a positive number [mag], or null")
    pointing = cfg.placement.pointing_arcsec
    if not OmegaConf.is_list(pointing) or len(pointing) != 2 or not all(isinstance(p, int | float) for p in pointing):
        raise InputError(f"placement.pointing_arcsec is {pointing}; give two numbers, [East, North]")


def grow(cfg: DictConfig, stage: Stage) -> tuple[Galaxy, BaryonHistory]:
    """The galaxy that a stage builds from the baryons of the config's halo, and their history."""
    halos, baryons = build(cfg.halo, path="halo"), build(cfg.baryons, path="baryons")
    if jnp.ndim(halos.t_start) and len(halos.t_start) > 1:
        raise InputError(f"halo holds {len(halos.t_start)} haloes; one is observed: halo=diffmah, or halo.index=0")
    one = halos if jnp.ndim(halos.t_start) else stack([halos])
    histories, report = Population(baryons, baryons.outputs, chunk=1).solve(one)
    if report.failed:
        raise InputError("baryons of this halo have no solution; move the numbers of baryons towards their defaults")
    history = jax.tree.map(lambda x: x[0], histories)
    run, state = compiled(Pipeline(stages={"galaxy": stage}, inputs={"history": BaryonHistory}), ["galaxy"])
    galaxy = run(state, history=history)["galaxy"]
    name = f"galaxy grown in a halo of 10^{np.log10(history.m_vir[-1]):.2f} Msun"
    redshift = max(float(history.redshift[-1]), 0.0)  # that of an age: round-off may pass today
    return dataclasses.replace(galaxy, redshift=redshift, name=name), history


def sight(cfg: DictConfig, redshift: float) -> dict[str, Stage]:
    """Stages that put stars on the sky, behind their dust, at a redshift."""
    view = OmegaConf.to_container(cfg.view, resolve=True)
    place = {**OmegaConf.to_container(cfg.placement, resolve=True), "redshift": redshift}
    return {
        "sky_stars": build({"_target_": "galdiff.galaxy.view.StarView", **view}, path="view"),
        "sky_gas": build({"_target_": "galdiff.galaxy.view.GasView", **view}, path="view"),
        "attenuated": build(cfg.dust.stage, path="dust.stage"),
        "placement": build({"_target_": "galdiff.ifu.placement.AtRedshift", **place}, path="placement"),
    }


def look(stages: dict[str, Stage], galaxy: Galaxy) -> tuple[SkyStars, Placement]:
    """Stars on the sky, with their dust, and where they are."""
    seen = dict(stages)
    if "sky_gas" not in stages["attenuated"].reads() or galaxy.gas is None:
        del seen["sky_gas"]
        if "sky_gas" in stages["attenuated"].reads():
            warnings.warn(f"{galaxy.name} has no gas, hence no dust", stacklevel=2)
    run, state = compiled(Pipeline(stages=seen, inputs={"galaxy": Galaxy}), ["attenuated", "placement"])
    made = run(state, galaxy=jax.tree.map(lambda x: jnp.asarray(x, jnp.result_type(float)), galaxy))
    return made["attenuated"], made["placement"]


def lay_out(cfg: DictConfig, ssp, instrument, redshift: float, precision: Precision, curve, n_stars: int):
    """Plans of the whole field and of a tile, and the pipelines that make a cube and maps of a tile."""
    whole = plan = make_plan(ssp, instrument, redshift, precision, curve)
    deficient = lsf_fwhm(instrument.lsf, plan.wave_vacuum) * cfg.lsf_scale < (1 + redshift) * plan.fwhm_template
    warn_deficient(plan.wave, deficient)
    bins, maker = map_maker(plan, ssp, **cfg.maps)
    engine = choose_engine(n_stars, plan) if cfg.engine == "auto" else cfg.engine
    held = math.prod(bins.shape) if engine == "direct" else max(math.prod(plan.bins.shape), math.prod(bins.shape))
    if 4 * held > MAX_LIGHT:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they were given for the whole field
            plan = make_plan(ssp, tile_instrument(instrument, TILE), redshift, precision, curve)
        bins, maker = map_maker(plan, ssp, **cfg.maps)
        engine = choose_engine(n_stars, plan) if cfg.engine == "auto" else cfg.engine
    factors = {"lsf_scale": cfg.lsf_scale, "psf_scale": cfg.psf_scale}
    corrections = {name: build(cfg[name], path=name, hook=hook) for name, hook in IFU_HOOKS.items()}
    stages = ifu_stages(plan=plan, engine=engine, curve=curve, **factors, **corrections)
    inputs = {"attenuated": SkyStars, "placement": Placement}
    pipelines = (
        compiled(Pipeline(stages=stages, inputs=inputs), ["cube"]),
        compiled(Pipeline(stages={"light": Deposit(bins=bins), "maps": maker}, inputs=inputs), ["maps"]),
    )
    return whole, plan, engine, pipelines


def render(plan, tile, pipelines, stars: SkyStars, placement: Placement, step: Steps):
    """Noiseless cube and maps of the whole field, tile after tile; says what it compiles."""
    instrument, size = plan.instrument, max(tile.instrument.n_y, tile.instrument.n_x)
    tiles = list(tiles_of(instrument, size))
    flux = np.zeros((instrument.n_y, instrument.n_x, len(plan.wave)), np.float32)
    maps = {f.name: np.full(flux.shape[:2], np.nan, np.float32) for f in dataclasses.fields(KinematicMaps)}
    programs: dict[int, list] = {}

    def observe(stars, placement):
        inputs, n = {"attenuated": stars, "placement": placement}, len(stars.mass)
        if n not in programs:
            with step(f"compile spectrograph and maps for {n} stars"):
                programs[n] = [(run.lower(state, **inputs).compile(), state) for run, state in pipelines]
        return jax.block_until_ready({k: v for run, state in programs[n] for k, v in run(state, **inputs).items()})

    with step(f"observe {len(tiles)} tile{'s' * (len(tiles) > 1)}", total=len(tiles)) as done:
        for part, made in observe_in_tiles(observe, stars, placement, instrument, tile.bins, size):
            flux[part.y, part.x] = made["cube"].flux
            for name, values in maps.items():
                values[part.y, part.x] = getattr(made["maps"], name)
            done()
    inside = aperture_mask(instrument)
    flux[~inside] = 0
    for values in maps.values():
        values[~inside] = np.nan
    whole = dataclasses.replace(made["cube"], flux=flux, variance=np.zeros_like(flux), inside=inside)
    return whole, KinematicMaps(**maps)


def with_noise(cfg: DictConfig, cube: ObservedCube) -> ObservedCube:
    """Cube with noise and its exact variance; as it is where noise.snr is null."""
    if cfg.noise.snr is None:
        return cube
    options = {k: cfg.noise[k] for k in ("mode", "snr", "reference", "wave_ref")}
    flux = jnp.asarray(cube.flux)
    known = jnp.where(cube.inside[..., None], variance(flux, jnp.asarray(cube.wave), **options), 0)
    return dataclasses.replace(cube, flux=add_noise(jax.random.key(int(cfg.seed)), flux, known), variance=known)


def summary_of(cfg, galaxy, ssp, plan, placement, maps) -> dict:
    """What was observed and how."""
    scale = float(placement.kpc_per_arcsec)
    size = jnp.array([plan.instrument.spaxel_x_arcsec, plan.instrument.spaxel_y_arcsec])
    found = summarise(maps, size * scale)
    return {
        "galaxy": galaxy.name,
        "redshift": plan.redshift,
        "luminosity_distance_mpc": float(placement.luminosity_distance),
        "kpc_per_arcsec": scale,
        "instrument": plan.instrument.name,
        "view": OmegaConf.to_container(cfg.view),
        "library": ssp.name,
        "imf": ssp.imf,
        "kinematics": {**dataclasses.asdict(found), "r_half_arcsec": found.r_half / scale},
        "noise": {"snr": cfg.noise.snr, "mode": cfg.noise.mode, "seed": cfg.seed},
        "versions": runtime.versions(),
    }


def grown_facts(history: BaryonHistory) -> dict:
    """What a grown galaxy has become, in numbers."""
    sizes = {"log10_mvir": history.m_vir, "log10_mstar": history.m_star, "log10_mism": history.m_ism}
    found = {name: float(np.log10(mass[-1])) for name, mass in sizes.items()}
    metals = {f"z_{name}": float(history.metallicity(name)[-1]) for name in ("stars", "ism")}
    return {**found, "sfr_msun_yr": float(history.sfr[-1]) / 1e9, **metals, "error_dex": float(history.error)}


def simulate(cfg: DictConfig, folder: str, step: Steps, said: list) -> dict:
    """Read, look, lay out, observe, save; returns the summary."""
    with step("read the galaxy"):
        instrument = cut_field(build(cfg.instrument, path="instrument"), cfg.max_spaxels)
        size = 1.2 * cube_bytes(instrument.n_y, instrument.n_x, instrument.n_wave) + 5e6
        check_output(folder, int(size), cfg.overwrite, (*OUTPUTS, *GROWN, "config.yaml"))
        curve, galaxy = build(cfg.dust.curve, path="dust.curve"), build(cfg.input, path="input")
        redshift = cfg.placement.redshift
        sight(cfg, DEFAULT_REDSHIFT if redshift is None else redshift)  # wrong numbers show before long work
    with step("load the SSP library"):
        ssp = build(cfg.ssp, path="ssp")
        if cfg.spectra.correction is not None:
            ssp = build(cfg.spectra, path="spectra")(ssp)
    history = None
    if isinstance(galaxy, Stage):
        with step("grow the galaxy in its halo (compiles)"):
            galaxy, history = jax.block_until_ready(grow(cfg, galaxy))
    if redshift is None:
        redshift = galaxy.redshift if galaxy.redshift >= NEAR else DEFAULT_REDSHIFT
    with step("turn it to the line of sight (compiles)"):
        stars, placement = look(sight(cfg, redshift), galaxy)
        inside = stars_in_field(stars, placement, instrument)
        precision = served_precision(cfg.precision, stars, inside)
    with step("lay out the observation"):
        plan, tile, engine, pipelines = lay_out(cfg, ssp, instrument, redshift, precision, curve, int(inside.sum()))
        counts = count_stars(stars, inside, plan, ssp, engine)
    cube, maps = render(plan, tile, pipelines, stars, placement, step)
    with step("add noise"):
        cube = jax.block_until_ready(with_noise(cfg, cube))
    physics = OmegaConf.masked_copy(cfg, [name for name in cfg if name not in ("output", "overwrite")])
    facts = {
        **summary_of(cfg, galaxy, ssp, plan, placement, maps),
        "stars": counts,
        **({} if history is None else {"grown": grown_facts(history)}),
        "config_hash": config_hash(OmegaConf.to_yaml(physics, resolve=True)),
        "engine": {
            "name": engine,
            "spaxels": [instrument.n_y, instrument.n_x],
            "tile": [tile.instrument.n_y, tile.instrument.n_x],
            "wavelengths": len(plan.wave),
            "wave_angstrom": [plan.wave[0], plan.wave[-1], plan.instrument.medium],
            "velocity_nodes_kms": [plan.bins.v_nodes[0], plan.bins.v_nodes[-1], len(plan.bins.v_nodes)],
            "rank": len(plan.templates),
            "basis_rms": plan.basis.rms,
            "a_v_max": precision.a_v_max,
        },
    }
    with step("write files and pictures"):
        title = f"{galaxy.name or 'galaxy'}, {instrument.name}, z = {redshift:.4g}"
        figures = {
            "maps.png": plot_maps(cube, maps, title=title, kpc_per_arcsec=facts["kpc_per_arcsec"]),
            "spectra.png": plot_spectra(cube, title=title, redshift=redshift),
        }
        if history is not None:
            figures["history.png"] = plot_history(history, title=galaxy.name)
            write_history(history, pathlib.Path(folder) / "history.h5", overwrite=cfg.overwrite)
        write_products(
            folder,
            cube,
            {cfg.maps.weight: maps},
            summary=lambda: {**facts, "warnings": lines_of(said), "seconds": step.summary()},
            config=OmegaConf.to_yaml(cfg, resolve=True),
            lsf=(plan.wave, lsf_fwhm(instrument.lsf, plan.wave) * cfg.lsf_scale),
            figures=figures,
            overwrite=cfg.overwrite,
        )
    return facts


def lines_of(said: list) -> list[str]:
    """Each warning to the user once, on one line."""
    return list(dict.fromkeys(" ".join(str(w.message).split()) for w in said if issubclass(w.category, UserWarning)))


@experiment("simulate")
def main(cfg: DictConfig) -> None:
    """Run with progress on the terminal; warnings are shown once, as single lines."""
    check_settings(cfg)
    runtime.configure(**OmegaConf.to_container(cfg.runtime, resolve=True))
    folder = str(run_folder(cfg))
    console = Console(highlight=False)
    with warnings.catch_warnings(record=True) as said, Steps(console) as step:
        warnings.simplefilter("always")
        facts = simulate(cfg, folder, step, said)
    for text in lines_of(said):
        console.print(f"warning: {text}", soft_wrap=True, markup=False)
    n, k, seconds = facts["stars"], facts["kinematics"], step.summary()
    compiling = sum(s for name, s in seconds.items() if "compile" in name)
    console.print(
        f"{n['in_field']['number']} of {n['all']['number']} stars, r_half = {k['r_half']:.2f} kpc"
        f" ({k['r_half_arcsec']:.2f} arcsec), lambda_R = {k['lambda_r']:.2f}, V/sigma = {k['v_over_sigma']:.2f};"
        f" {seconds['total']:.1f} s, of which {compiling:.1f} s to compile; results in {folder}",
        soft_wrap=True,
        markup=False,
    )


if __name__ == "__main__":
    main()
