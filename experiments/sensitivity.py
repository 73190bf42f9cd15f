"""Jacobians of the baryon cycle: a population over a Latin hypercube of its numbers, and one halo in time.

The local and global sensitivity analysis of Pandya et al. (2026, arXiv:2604.06318, figures 4, 5, 22, 23): derivatives
of log10 of any outputs with respect to any numbers of the model, their check against central differences, their mean
over a population, and how they change with halo mass.
"""

import csv
import dataclasses
import functools
import gzip
import json
import pathlib
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from omegaconf import DictConfig, OmegaConf
from scipy.stats import qmc

from galdiff import runtime
from galdiff.baryons.evolve import Outputs
from galdiff.baryons.parameters import V_0
from galdiff.baryons.population import cut, pad
from galdiff.build import build
from galdiff.cli import check_kinds, experiment
from galdiff.core.variables import Physical
from galdiff.errors import InputError
from galdiff.halo.history import diffmah_history
from galdiff.inference import sensitivity as s
from galdiff.io.atomic import atomic_path
from galdiff.io.preflight import check_output
from galdiff.io.progress import Steps
from galdiff.plotting import sensitivity as plots
from galdiff.records import HaloHistory

FILES = ("heat_map.png", "mass_dependence.png", "agreement.png", "one_halo.png", "jacobians.csv.gz", "means.csv")
FILES += ("draws.csv", "metrics.json", "config.yaml")
SHOWN = 4  # outputs of one halo
ROW = 8  # bytes of a compressed row of jacobians.csv.gz


def stage_with(cfg: DictConfig, **outputs):
    """The baryon cycle of the config with outputs of this experiment."""
    node = OmegaConf.to_container(cfg.baryons, resolve=True)
    return build({**node, "outputs": Outputs(**outputs)}, path="baryons")


def ranges(cfg: DictConfig, stage) -> dict[str, tuple[float, float]]:
    """Range of each parameter by dotted name, within its bounds."""
    found: dict[str, tuple[float, float]] = {}

    def walk(node, path):
        for name, child in node.items():
            if isinstance(child, dict):
                walk(child, f"{path}{name}.")
            elif child is not None:
                found[f"{path}{name}"] = child

    walk(OmegaConf.to_container(cfg.parameters, resolve=True), "")
    s.choose("parameter", found, list(s.leaves_by_name(stage.parameters())))
    for name, pair in found.items():
        numbers = isinstance(pair, list) and len(pair) == 2 and all(type(x) in (int, float) for x in pair)
        if not numbers or not pair[0] < pair[1]:
            raise InputError(f"parameters.{name} is {pair}; give a range [low, high], or null to keep its value")
        known = functools.reduce(lambda node, part: getattr(node, part, None), name.split("."), stage)
        if isinstance(known, Physical) and known.lo is not None and not known.lo <= pair[0] < pair[1] <= known.hi:
            raise InputError(
                f"parameters.{name} is {pair} {known.unit}; it must stay within its bounds [{known.lo}, {known.hi}]"
            )
    return {name: (float(lo), float(hi)) for name, (lo, hi) in found.items()}


def halos_of(cfg: DictConfig) -> HaloHistory:
    """Halos of the config, on a leading axis."""
    halos = build(cfg.halo, path="halo")
    return halos if jnp.ndim(halos.t_start) else jax.tree.map(lambda x: jnp.asarray(x)[None], halos)


def design(n_halos: int, draws: int, box: np.ndarray, baseline: np.ndarray, seed: int) -> tuple[np.ndarray, ...]:
    """Which halo, draw (0 for the baseline) and values (galaxy, parameter) make each galaxy."""
    hypercube = qmc.LatinHypercube(len(baseline), seed=seed).random(n_halos * draws)
    values = np.concatenate([np.tile(baseline, (n_halos, 1)), qmc.scale(hypercube, *box)])
    halo = np.concatenate([np.arange(n_halos), np.tile(np.arange(n_halos), draws)])
    draw = np.concatenate([np.zeros(n_halos, int), np.arange(1, n_halos * draws + 1)])
    return halo, draw, values


def in_chunks(run: Callable, tables, which: np.ndarray, values: np.ndarray, chunk: int, done: Callable):
    """Apply a compiled function to galaxies (halo `which` with `values`), a chunk at a time."""
    chunk, parts = min(chunk, len(which)), []
    for begin in range(0, len(which), chunk):
        here = which[begin : begin + chunk]
        few = jax.tree.map(lambda x, h=here: x[h], tables)
        found = run(pad(few, chunk), pad(jnp.asarray(values[begin : begin + chunk]), chunk))
        parts.append(jax.tree.map(np.asarray, cut(found, len(here))))
        done()
    return jax.tree.map(lambda *x: np.concatenate(x), *parts)


def sizes(relative: np.ndarray) -> dict[str, float]:
    """Percentiles for the metrics."""
    names = ("median", "p90", "p99", "max")
    return dict(zip(names, map(float, np.percentile(relative, [50, 90, 99, 100])), strict=True))


def compare(exact: np.ndarray, differences: np.ndarray, floor: float) -> tuple[dict, np.ndarray]:
    """Percentiles of absolute and relative differences of derivatives, and the relative ones above the floor."""
    apart = np.abs(exact - differences)
    large = np.isfinite(apart) & (np.abs(differences) > floor)
    if not large.any():
        raise InputError(f"no derivative is above compare.floor = {floor:g}; lower it")
    relative = apart[large] / np.abs(differences[large])
    found = {"relative": sizes(relative), "absolute": sizes(apart[np.isfinite(apart)])}
    return found | {"compared": int(large.sum()), "below_floor": int(apart.size - large.sum())}, relative


def dominance(size: np.ndarray, outputs: list[str], names: list[str]) -> dict:
    """Parameters ranked by the mean size (output, parameter) of the derivative, for each output and over all."""
    rank = lambda row: {names[k]: round(float(row[k]), 4) for k in np.argsort(-row)}  # noqa: E731
    by_output = {o: names[int(np.argmax(row))] for o, row in zip(outputs, size, strict=True)}
    return {"all_outputs": rank(size.mean(0)), "by_output": by_output}


def dead_stripes(masses, v_vir, slopes: np.ndarray, names: list[str]) -> dict:
    """Where the derivative in a slope is smallest, over that in the amplitude of the same law: mass and velocity."""
    found = {}
    for name in (n for n in names if n.endswith(".alpha0")):
        law = name.removesuffix(".alpha0")
        if f"{law}.log10_a" not in names:
            continue
        size = [s.mean_in_bins(masses, np.abs(slopes[:, names.index(f"{law}.{n}")])) for n in ("alpha0", "log10_a")]
        (centre, slope, _), (_, amplitude, _) = size
        ratio = slope / np.where(amplitude > 0, amplitude, np.nan)
        if not np.isfinite(ratio).any():
            continue
        least = int(np.nanargmin(ratio))
        order = np.argsort(masses)
        velocity = np.interp(centre[least], *s.mean_in_bins(masses[order], v_vir[order])[:2])
        found[law] = {
            "log10_mvir": round(float(centre[least]), 3),
            "v_vir_km_s": round(float(velocity), 1),
            "slope_over_amplitude": round(float(ratio[least]), 4),
            "largest_slope_over_amplitude": round(float(np.nanmax(ratio)), 4),
        }
    return found


def write_rows(text, header: list[str], rows) -> None:
    """A CSV table."""
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)


def long_rows(halo, draw, masses, found: s.Sensitivity):
    """Rows (halo, log10_mvir, draw, output, redshift, parameter, value) of all galaxies."""
    redshifts = [f"{z:.5g}" for z in np.round(found.redshift[0], 6) + 0.0]
    for h, k, m, slopes in zip(halo, draw, masses, found.jacobian, strict=True):
        for z, at_redshift in zip(redshifts, slopes, strict=True):
            for output, row in zip(found.outputs, at_redshift, strict=True):
                for parameter, value in zip(found.parameters, row, strict=True):
                    yield h, f"{m:.4f}", k, output, z, parameter, f"{value:.5g}"


def one_halo(cfg: DictConfig, halos: HaloHistory, outputs: list[str], names: list[str]):
    """Jacobians of one halo in time, and of its main output at the end with respect to all numbers of the model."""
    cosmology = jax.tree.map(lambda x: x[0], halos.cosmology)
    halo = diffmah_history(log10_mvir=float(cfg.one_halo.log10_mvir), cosmology=cosmology)
    stage = stage_with(cfg, n_times=cfg.one_halo.n_times, n_steps=cfg.n_steps)
    tables = s.tables(stage, halo)
    in_time = s.jacobian(stage, tables, outputs[:SHOWN], names, mode=cfg.mode)
    shown, forcing = jax.tree.map(lambda x: x[-1:], (tables.shown, tables.forcing_shown))
    end = dataclasses.replace(tables, shown=shown, forcing_shown=forcing, wanted=tables.wanted[-1:])
    everything = s.jacobian(stage, end, cfg.main_output, mode=cfg.mode)
    return jax.tree.map(np.asarray, (in_time, everything))


def check(cfg: DictConfig) -> None:
    """Refuse what would fail late."""
    check_kinds(cfg, "sensitivity")
    least = {"draws": 1, "chunk": 1, "n_steps": 2, "compare.n": 1, "one_halo.n_times": 2}
    for key, low in least.items():
        if OmegaConf.select(cfg, key) < low:
            raise InputError(f"{key} is {OmegaConf.select(cfg, key)}; give {low} or more")
    if not (cfg.compare.step > 0 and cfg.compare.floor > 0):
        raise InputError(f"compare.step is {cfg.compare.step} and compare.floor {cfg.compare.floor}; give them above 0")
    if cfg.main_output not in cfg.outputs:
        raise InputError(f"main_output is '{cfg.main_output}'; choose one of outputs: {', '.join(cfg.outputs)}")


@experiment("sensitivity")
def main(cfg: DictConfig) -> None:
    runtime.configure(**cfg.runtime)
    check(cfg)
    folder, outputs = pathlib.Path(cfg.output), list(cfg.outputs)
    stage = stage_with(cfg, redshifts=tuple(cfg.redshifts), n_steps=cfg.n_steps)
    box = ranges(cfg, stage)
    names, bounds = list(box), np.array(list(box.values())).T
    with Steps() as steps:
        with steps("halos"):
            halos = halos_of(cfg)
            n_halos = halos.t_start.shape[0]
            n_rows = n_halos * (1 + cfg.draws) * len(cfg.redshifts) * len(outputs) * len(names)
            check_output(folder, 2_000_000 + ROW * n_rows, cfg.overwrite, FILES)
            tables = jax.block_until_ready(s.tables(stage, halos))
        baseline = np.asarray(s.named_values(stage.parameters(), names))
        halo, draw, values = design(n_halos, cfg.draws, bounds, baseline, cfg.seed)
        n_chunks = -(-len(halo) // cfg.chunk)
        with steps(f"Jacobians of {len(halo)} galaxies", n_chunks) as done:
            run = s.jacobian_function(stage, outputs, names, mode=cfg.mode)
            found = in_chunks(run, tables, halo, values, cfg.chunk, done)
        picks = n_halos + np.unique(np.linspace(0, n_halos * cfg.draws - 1, cfg.compare.n).astype(int))
        with steps("central differences", -(-len(picks) // cfg.chunk)) as done:
            run = s.central_differences(stage, outputs, names, cfg.compare.step * (bounds[1] - bounds[0]))
            differences = in_chunks(run, tables, halo[picks], values[picks], cfg.chunk, done)
        with steps("one halo"):
            in_time, everything = one_halo(cfg, halos, outputs, names)
        with steps("figures and tables"):
            masses = np.log10(np.asarray(halos.m_vir[:, -1], float))[halo]
            write(cfg, folder, (halo, draw, masses, values), found, differences, picks, (in_time, everything))
    metrics = json.loads((folder / "metrics.json").read_text())
    first = next(iter(metrics["dominant"]["all_outputs"]))
    print(
        f"{found.mode} mode; {first} dominates; autodiff and differences agree to"
        f" {metrics['agreement']['relative']['median']:.1e} (median), {metrics['agreement']['relative']['p99']:.1e}"
        f" (99%); {steps.summary()['total']:.0f} s: {folder}"
    )


def write(cfg, folder: pathlib.Path, galaxies, found: s.Sensitivity, differences, picks, alone) -> None:
    """All files of the run."""
    halo, draw, masses, values = galaxies
    outputs, names, last = list(found.outputs), list(found.parameters), int(np.argmin(cfg.redshifts))
    main_output, sampled = outputs.index(cfg.main_output), draw > 0
    good = found.solved & np.isfinite(found.jacobian).all((1, 2, 3))
    if not (good & sampled).any():
        raise InputError(f"none of {len(halo)} galaxies has finite derivatives; look at parameters, halo and n_steps")
    kept = found.jacobian[good & sampled]
    mean, size = kept.mean(0), np.abs(kept).mean(0)
    agreement, relative = compare(found.jacobian[picks], differences, cfg.compare.floor)
    at_end = found.jacobian[good][:, last, main_output]
    v_end = found.v_vir[good][:, last]
    order = np.argsort(v_end)
    pivot = float(np.interp(V_0, v_end[order], masses[good][order]))
    in_time, everything = alone
    metrics = {
        "galaxies": len(halo),
        "without_finite_derivatives": int((~good).sum()),
        "error_above_0.02_dex": int((found.error > 0.02).sum()),
        "mode": {"population": found.mode, "one_halo": in_time.mode, "one_halo_all_numbers": everything.mode},
        "dominant": dominance(size[last], outputs, names),
        "dominant_main_output": dominance(size[last][main_output, None], [cfg.main_output], names)["all_outputs"],
        "agreement": agreement,
        "dead_stripes": dead_stripes(masses[good], v_end, at_end, names),
        "one_halo": dict(zip(everything.parameters, map(float, everything.jacobian[0, 0]), strict=True)),
        "versions": runtime.versions(),
    }
    redshift = [f"z = {z:g}" for z in cfg.redshifts]
    panels = {f"mean, {z}": m for z, m in zip(redshift, mean, strict=True)}
    panels[f"mean size, {redshift[last]}"] = size[last]
    of = f"d log$_{{10}}$(output) / d parameter, {len(kept)} galaxies over the hypercube"
    main_label = f"d log$_{{10}}$ {plots.label(cfg.main_output)} / d parameter at {redshift[last]}"
    n_compared = f"{agreement['compared']} derivatives of {len(picks)} galaxies"
    lone = (
        f"d log$_{{10}}$(output) / d parameter: one halo of $10^{{{cfg.one_halo.log10_mvir:g}}}$ M$_\\odot$, baseline"
    )
    figures = (
        plots.plot_heat_maps(panels, outputs, names, of),
        plots.plot_mass_dependence(masses[good], at_end, ~sampled[good], names, pivot, main_label),
        plots.plot_agreement(found.jacobian[picks], differences, relative, n_compared),
        plots.plot_one_halo(in_time.redshift, in_time.jacobian, in_time.outputs, names, lone),
    )
    for name, figure in zip(FILES, figures, strict=False):
        with atomic_path(folder / name, cfg.overwrite) as path:
            figure.savefig(path)
    header = ["halo", "log10_mvir", "draw", "output", "redshift", "parameter", "value"]
    with atomic_path(folder / FILES[4], cfg.overwrite) as path, gzip.open(path, "wt", 5, newline="") as text:
        write_rows(text, header, long_rows(halo, draw, masses, found))
    rows = (
        (o, z, p, f"{mean[k, i, j]:.6g}", f"{kept[:, k, i, j].std():.6g}", f"{size[k, i, j]:.6g}", len(kept))
        for k, z in enumerate(cfg.redshifts)
        for i, o in enumerate(outputs)
        for j, p in enumerate(names)
    )
    with atomic_path(folder / FILES[5], cfg.overwrite) as path, path.open("w", newline="") as text:
        write_rows(text, ["output", "redshift", "parameter", "mean", "std", "mean_size", "galaxies"], rows)
    with atomic_path(folder / FILES[6], cfg.overwrite) as path, path.open("w", newline="") as text:
        write_rows(text, ["draw", *names], ((d, *(f"{x:.8g}" for x in v)) for d, v in zip(draw, values, strict=True)))
    with atomic_path(folder / FILES[7], cfg.overwrite) as path:
        path.write_text(json.dumps(metrics, indent=2) + "\n")
    with atomic_path(folder / FILES[8], cfg.overwrite) as path:
        path.write_text(OmegaConf.to_yaml(cfg, resolve=True))


if __name__ == "__main__":
    main()
