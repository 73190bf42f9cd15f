"""Speed and accuracy of the baryon cycle: python benchmarks/baryons.py [--halos 1000] [--quick] [--figure FILE].

1000 halos at the baseline, compared in one process with the peer's setting restated (`peer_baryons.py`). Errors are
those of the seven log10 contents at z = 0 against each model's own converged solution; seconds are those of
`timing.py`, the least of some repetitions after compilation. The processor is one JAX device per core: the peer and
galdiff run on one of them, and "on N devices", which compares by the clock, spreads the halos over all, as `Population`
does. galdiff's tables of the halos are made once and timed apart; "end to end" counts them, as the peer's time does.
Halos are those of the reference set where it is at hand (GALDIFF_DATA or ../shared/data), with the published cooling
table; else an embedded population and the fit. --quick ends within two minutes.
"""

import argparse
import dataclasses
import os
import pathlib
import time
from typing import NamedTuple

import diffrax
import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from peer_baryons import STATE, many
from rich.console import Console
from rich.table import Table
from timing import Taken, machine, measure, unit

from galdiff import runtime
from galdiff.baryons.cooling import SmoothCooling, TableCooling
from galdiff.baryons.evolve import Outputs, evolve_adaptively, evolve_prepared, prepare
from galdiff.baryons.laws.cooling_time import CoolingTime
from galdiff.baryons.pandya23 import Pandya23, published
from galdiff.cosmology import Cosmology, radiation_density
from galdiff.halo.ensemble import diffmah_population
from galdiff.halo.tabulated import from_matrix
from galdiff.io.cooling_tables import load_sd93_csv

ROOT = pathlib.Path(__file__).resolve().parent.parent
DATA = pathlib.Path(os.environ.get("GALDIFF_DATA", ROOT.parent / "shared/data"))
BASELINE = np.array([0.0, -1.0, -1.0, -1.0, 0.8, -1.8, -1.7, -0.3])
JACOBIAN_ERROR = 0.02  # 99th percentile at which Jacobians are compared
GOALS = {4e-4: 30.0, 2e-5: 25.0}  # 99th percentile of the error [dex] -> times the peer's throughput


def load_halos(n: int):
    """n halos and the sharp model's cooling."""
    cosmology = Cosmology(h0=67.74, omega_m=0.3075, omega_b=0.0486, omega_r=radiation_density(67.74))
    if (DATA / "baryons").exists():
        file = np.load(DATA / "baryons/halos_2000.npz", allow_pickle=True)
        pick = np.linspace(0, 1999, n).astype(int)
        matrix, start = file["halo_matrix"][pick], file["halo_tinit"][pick]
        halos = from_matrix(matrix, file["ts_full"], start, cosmology=cosmology, interpolation="backward")
        return halos, TableCooling(table=load_sd93_csv(DATA / "cooling/sd93_cie.csv", padded="keep"))
    return diffmah_population(log10_mvir=[10.0, 12.3], n=n, cosmology=cosmology), SmoothCooling()


def equations_of(stage: Pandya23):
    """Equations as a function of the eight parameters."""

    def make(p):
        own = jax.tree.map(lambda x: x.astype(p.dtype), stage.parameters())
        laws = {
            name: dataclasses.replace(getattr(own, name), log10_a=p[2 * k], alpha0=p[2 * k + 1])
            for k, name in enumerate(("eta_mass", "eta_energy", "star_formation", "eta_metal"))
        }
        return stage.equations(dataclasses.replace(own, **laws))

    return make


def spread(run, p, tables):
    """The same function with halos on all devices, and its arguments there."""
    mesh = Mesh(np.array(jax.devices()), ("halo",))
    everywhere = jax.shard_map(
        run,
        mesh=mesh,
        in_specs=(PartitionSpec(), PartitionSpec("halo")),
        out_specs=PartitionSpec("halo"),
        check_vma=False,
    )
    given = jax.device_put(p, NamedSharding(mesh, PartitionSpec()))
    return everywhere, given, jax.device_put(tables, NamedSharding(mesh, PartitionSpec("halo")))


class Row(NamedTuple):
    """One setting of one solver."""

    setting: str
    median: float  # errors [dex], or of Jacobians
    p99: float
    largest: float
    taken: Taken
    tables: float = 0.0  # seconds in which the tables of the halos are made


class Rows:
    """What was measured, by solver, and a table of it."""

    def __init__(self, title: str):
        self.found: dict[str, list[Row]] = {}
        self.table = Table(title=title, title_justify="left")
        for name in ("solver", "setting", "median", "99 %", "max", f"{unit()} / 1000", "wall [ms]", "first [s]"):
            self.table.add_column(name, justify="right")

    def add(self, solver: str, setting: str, state, exact, taken: Taken, tables: float = 0.0) -> None:
        """Note results and the time they took."""
        error = np.abs(np.asarray(state, np.float64) - exact)
        numbers = float(np.median(error)), float(np.quantile(error, 0.99)), float(error.max())
        self.found.setdefault(solver, []).append(Row(setting, *numbers, taken, tables))
        seconds = (f"{taken.seconds * 1e3:.1f}", f"{taken.wall * 1e3:.1f}", f"{taken.first:.1f}")
        self.table.add_row(solver, setting, *(f"{e:.0e}" for e in numbers), *seconds)


def ours(stage, halos, n_steps: int, dtype=float):
    """Log10 states (halo, 7) as a function of (parameters, tables), the tables, and the function that makes them."""
    make = equations_of(stage)
    outputs = Outputs(redshifts=(0.0,), n_steps=n_steps, land=(3.5,) if stage.sharp else ())
    tables = jax.jit(jax.vmap(lambda h: prepare(make(jnp.asarray(BASELINE)), h, outputs)))
    made = jax.tree.map(lambda x: x.astype(dtype), tables(halos))

    def run(p, made):
        contents = jax.vmap(lambda t: evolve_prepared(make(p), t))(made).contents
        return jnp.stack([jnp.log10(contents[q][n][:, -1]) for q, n in STATE], -1)

    return run, made, tables


def curves(halos, cooling, quick: bool) -> Rows:
    """Error and time of both, for a range of settings."""
    p = jnp.asarray(BASELINE)
    repeat = 3 if quick else 5
    rows = Rows(f"{halos.t_start.shape[0]} halos, float64 unless named; errors in dex")
    sharp = published(sharp=True, cooling=CoolingTime(function=cooling, convention="n2"))
    make = equations_of(sharp)
    fine = {True: 4096 if quick else 8192, False: 2048}  # steps of the converged solution, by whether there are kinks
    exact = {}
    for stage in (sharp, published()):
        run, tables, _ = ours(stage, halos, fine[stage.sharp])
        exact[stage.sharp] = np.asarray(jax.jit(run)(p, tables))
    for rtol in (1e-5, 1e-7) if quick else (1e-5, 1e-6, 1e-7, 1e-8):
        solve = many(make, halos, rtol)
        taken = measure(solve, p, repeat=1 if quick else 2)
        rows.add("peer", f"{rtol:.0e}", solve(p), exact[True], taken)
    many_devices = jax.device_count() > 1 and not quick
    for label, stage, dtype, everywhere in (
        ("galdiff sharp", sharp, float, False),
        ("galdiff smooth", published(), float, False),
        ("galdiff smooth float32", published(), np.float32, False),
        (f"galdiff smooth on {jax.device_count()} devices", published(), float, True),
        (f"galdiff smooth float32 on {jax.device_count()} devices", published(), np.float32, True),
    ):
        if everywhere and not many_devices:
            continue
        for n_steps in (128, 512) if quick else (64, 96, 128, 256, 512):
            run, tables, make_tables = ours(stage, halos, n_steps, dtype)
            cost = measure(make_tables, halos).seconds
            given = p.astype(dtype)
            if everywhere:
                run, given, tables = spread(run, given, tables)
            solve = jax.jit(run)
            taken = measure(solve, given, tables, repeat=repeat)
            rows.add(label, f"{n_steps} steps", solve(given, tables), exact[stage.sharp], taken, cost)
    return rows


def at_error(rows: list[Row], error: float, seconds) -> float:
    """Seconds at a 99th-percentile error, on lines in log-log, the outermost drawn on."""
    e, t = np.log(sorted((row.p99, seconds(row)) for row in rows)).T
    k = int(np.clip(np.searchsorted(e, np.log(error)), 1, len(e) - 1))
    return float(np.exp(t[k] + (t[k] - t[k - 1]) / (e[k] - e[k - 1]) * (np.log(error) - e[k])))


def ratios(console, rows: dict[str, list[Row]]) -> None:
    """Throughput at equal error, of the solve alone and end to end."""
    for error, goal in GOALS.items():
        for label in rows.keys() - {"peer"}:
            counted = (lambda r: r.taken.wall) if "devices" in label else (lambda r: r.taken.seconds)
            peer, own, whole = (
                at_error(r, error, s)
                for r, s in (
                    (rows["peer"], counted),
                    (rows[label], counted),
                    (rows[label], lambda r, c=counted: c(r) + r.tables),
                )
            )
            console.print(
                f"at a 99 % error of {error:.0e} dex: {label} {peer / own:.0f} times the peer (goal {goal:.0f}),"
                f" end to end {peer / whole:.1f}"
            )


def jacobians(halos, cooling) -> Rows:
    """Time and error of the Jacobian of seven log10 contents in eight parameters, of both."""
    p = jnp.asarray(BASELINE)
    sharp = published(sharp=True, cooling=CoolingTime(function=cooling, convention="n2"))
    peer_model = equations_of(sharp)
    rows = Rows(f"Jacobian of {halos.t_start.shape[0]} halos, 8 parameters")
    for label, stage, dtype in (
        ("galdiff sharp", sharp, float),
        ("galdiff smooth", published(), float),
        ("galdiff smooth float32", published(), np.float32),
    ):
        run, tables, _ = ours(stage, halos, 8192 if stage.sharp else 2048)
        exact = np.asarray(jax.jit(jax.jacfwd(run))(p, tables))
        for n_steps in (48, 64, 96, 128, 256):
            run, tables, _ = ours(stage, halos, n_steps, dtype)
            given, solve = p.astype(dtype), jax.jit(jax.jacfwd(run))
            taken = measure(solve, given, tables, repeat=10)
            rows.add(label, f"{n_steps} steps", solve(given, tables), exact, taken)
        if stage is sharp:  # the peer's own model: the same truth
            for rtol in (1e-5, 1e-6, 1e-7, 1e-8):
                peer = jax.jit(jax.jacfwd(lambda p, r=rtol: many(peer_model, halos, r, diffrax.ForwardMode())(p)))
                taken = measure(peer, p, repeat=2)
                rows.add("peer", f"{rtol:.0e}", peer(p), exact, taken)
    return rows


def jacobian_ratios(console, rows: dict[str, list[Row]]) -> None:
    """Throughput of Jacobians at equal error."""
    for label in rows.keys() - {"peer"}:
        peer, own = (at_error(rows[n], JACOBIAN_ERROR, lambda r: r.taken.seconds) for n in ("peer", label))
        console.print(
            f"Jacobian at a 99 % error of {JACOBIAN_ERROR}: {label} {peer / own:.0f} times the peer (goal 20)"
        )


def reverse(console, batches) -> None:
    """Reverse gradients of a sum over the halos, in forward solves."""
    p = jnp.asarray(BASELINE)
    for halos in batches:
        run, tables, _ = ours(published(), halos, 128)
        forward = measure(jax.jit(run), p, tables, repeat=5)
        back = measure(jax.jit(jax.grad(lambda p, t, run=run: run(p, t).sum())), p, tables, repeat=5)
        console.print(
            f"reverse gradient, {halos.t_start.shape[0]} halos: {back.seconds * 1e3:.1f} {unit()} / 1000,"
            f" {back.seconds / forward.seconds:.1f} solves; first {back.first:.1f} s"
        )


def asked_and_got(rows, halos) -> dict[str, list]:
    """Points (rtol, 99 % error [dex]) of the solvers that choose their steps."""
    stage = published()
    make, outputs = equations_of(stage), Outputs(redshifts=(0.0,))
    run, tables, _ = ours(stage, halos, 2048)
    p = jnp.asarray(BASELINE)
    exact = np.asarray(jax.jit(run)(p, tables))
    points = {"peer": [(float(row.setting), row.p99) for row in rows["peer"]]}
    for solver in ("patankar", "stiff"):
        for rtol in (1e-3, 1e-4, 1e-5, 1e-6):

            def solve(halo, rtol=rtol, solver=solver):
                contents = evolve_adaptively(make(p), halo, outputs, rtol, max_steps=20_000, solver=solver).contents
                return jnp.stack([jnp.log10(contents[q][n][-1]) for q, n in STATE])

            error = np.abs(np.asarray(jax.jit(jax.vmap(solve))(halos)) - exact)
            points.setdefault(f"galdiff {solver}", []).append((rtol, np.nanquantile(error, 0.99)))
    return points


def draw(rows, asked, path: str) -> None:
    """Error against tolerance and against time, as figures 20 and 21 of the paper."""
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, axes) = plt.subplots(1, 2, figsize=(11, 4.5), layout="constrained", sharey=True)
    for label, points in asked.items():
        left.loglog(*np.transpose(points), "s--", ms=4, label=f"{label}, own steps")
    left.set(xlabel="relative tolerance asked", ylabel="99th percentile of the error at z = 0 [dex]")
    left.legend(fontsize=8, frameon=False)
    for label, points in rows.items():
        axes.loglog([r.taken.wall * 1e3 for r in points], [r.p99 for r in points], "o-", ms=4, label=label)
    for label in (next(iter(rows)), list(rows)[-1]):  # the others take the steps of the last
        for r in rows[label]:
            place = dict(textcoords="offset points", xytext=(-5, -9), fontsize=7, ha="right")
            axes.annotate(r.setting, (r.taken.wall * 1e3, r.p99), **place)
    axes.set(xlabel="time for all halos [ms]")
    axes.legend(fontsize=8, frameon=False)
    figure.savefig(path, dpi=120)


def main() -> None:
    """Run all parts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--halos", type=int, default=1000)
    parser.add_argument("--quick", action="store_true", help="fewer settings, no Jacobians (within two minutes)")
    parser.add_argument("--figure", help="where to draw error against tolerance and time")
    args = parser.parse_args()
    runtime.configure(precision="float64", cpu_devices=os.cpu_count())
    console, begin = Console(width=130), time.perf_counter()
    console.print(machine())
    halos, cooling = load_halos(args.halos)
    rows = curves(halos, cooling, args.quick)
    console.print(rows.table)
    ratios(console, rows.found)
    few = jax.tree.map(lambda x: x[:: max(1, x.shape[0] // 100)], halos)
    if not args.quick:
        found = jacobians(few, cooling)
        console.print(found.table)
        jacobian_ratios(console, found.found)
    reverse(console, (halos,) if args.quick else (few, halos))
    if args.figure:
        draw(rows.found, asked_and_got(rows.found, few), args.figure)
    console.print(f"{time.perf_counter() - begin:.0f} s in all, {time.process_time():.0f} of the processor")


if __name__ == "__main__":
    main()
