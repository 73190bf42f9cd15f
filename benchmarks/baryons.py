"""Speed and accuracy of the baryon cycle: python benchmarks/baryons.py [--halos 1000] [--quick] [--figure FILE].

1000 halos at the baseline, compared in one process with the peer's setting restated (`peer_baryons.py`). Errors are
those of the seven log10 contents at z = 0 against each model's own converged solution; times are the least of some
repetitions after compilation. The processor is one JAX device per core: the peer and galdiff run on one of them,
whose operations may use all cores, and "on N devices" spreads the halos over all, as `Population` does. galdiff's
tables of the halos are made once and timed apart. Halos are those of the reference set where it is at hand
(GALDIFF_DATA or ../shared/data), with the published cooling table; else an embedded population and the fit.
"""

import argparse
import dataclasses
import os
import pathlib
import time

import diffrax
import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from peer_baryons import STATE, many
from rich.console import Console
from rich.table import Table

from galdiff import runtime
from galdiff.baryons.cooling import SmoothCooling, TableCooling
from galdiff.baryons.evolve import Outputs, evolve_adaptively, evolve_prepared, prepare
from galdiff.baryons.pandya23 import Pandya23
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


def ours(stage, halos, n_steps: int, dtype=float):
    """Compiled log10 states (halo, 7) as a function of (parameters, tables), the tables, and their time [s]."""
    make = equations_of(stage)
    outputs = Outputs(redshifts=(0.0,), n_steps=n_steps, land=(3.5,) if stage.sharp else ())
    tables = jax.jit(jax.vmap(lambda h: prepare(make(jnp.asarray(BASELINE)), h, outputs)))
    made = jax.block_until_ready(tables(halos))
    begin = time.perf_counter()
    jax.block_until_ready(tables(halos))
    cost = time.perf_counter() - begin
    made = jax.tree.map(lambda x: x.astype(dtype), made)

    def run(p, made):
        contents = jax.vmap(lambda t: evolve_prepared(make(p), t))(made).contents
        return jnp.stack([jnp.log10(contents[q][n][:, -1]) for q, n in STATE], -1)

    return run, made, cost


def measure(call, repeat: int) -> tuple[float, float]:
    """Least wall and CPU seconds."""
    times = []
    for _ in range(repeat):
        wall, cpu = time.perf_counter(), time.process_time()
        jax.block_until_ready(call())
        times.append((time.perf_counter() - wall, time.process_time() - cpu))
    return min(w for w, _ in times), min(c for _, c in times)


def compiled(function, *args):
    """Compiled function and the seconds it took to trace and compile."""
    begin = time.perf_counter()
    made = jax.jit(function).lower(*args).compile()
    return made, time.perf_counter() - begin


def curves(console, halos, cooling, quick: bool) -> dict[str, list]:
    """Error and time of both, for a range of settings; rows (label, median, p99, max, wall)."""
    p = jnp.asarray(BASELINE)
    repeat = 2 if quick else 5
    rows: dict[str, list] = {}
    table = Table(title=f"{halos.t_start.shape[0]} halos, float64 unless named", title_justify="left")
    for name in ("solver", "setting", "median", "99 %", "max [dex]", "wall [ms]", "CPU [ms]", "compile [s]"):
        table.add_column(name, justify="right")

    def add(solver, setting, state, exact, wall, cpu, compile_s):
        error = np.abs(np.asarray(state, np.float64) - exact)
        numbers = np.median(error), np.quantile(error, 0.99), error.max()
        rows.setdefault(solver, []).append((setting, *numbers, wall))
        text = (*(f"{e:.0e}" for e in numbers), f"{wall * 1e3:.1f}", f"{cpu * 1e3:.1f}", f"{compile_s:.1f}")
        table.add_row(solver, setting, *text)

    sharp = Pandya23(sharp=True, cooling=cooling)
    make = equations_of(sharp)
    run, tables, _ = ours(sharp, halos, 8192)
    exact = np.asarray(jax.jit(run)(p, tables))
    for rtol in (1e-5, 1e-7) if quick else (1e-5, 1e-6, 1e-7, 1e-8):
        solve = many(make, halos, rtol)
        begin = time.perf_counter()
        state = jax.block_until_ready(solve(p))
        first = time.perf_counter() - begin
        wall, cpu = measure(lambda solve=solve: solve(p), 2)
        add("peer", f"{rtol:.0e}", state, exact, wall, cpu, first - wall)
    n_devices = jax.device_count()
    for label, stage, dtype, everywhere in (
        ("galdiff sharp", sharp, float, False),
        ("galdiff smooth", Pandya23(), float, False),
        (f"galdiff smooth on {n_devices} devices", Pandya23(), float, True),
        ("galdiff smooth float32", Pandya23(), np.float32, False),
        (f"galdiff smooth float32 on {n_devices} devices", Pandya23(), np.float32, True),
    ):
        run, tables, _ = ours(stage, halos, 2048 if not stage.sharp else 8192)
        exact = np.asarray(jax.jit(run)(p, tables))
        for n_steps in (64, 96, 128, 256, 512):
            run, tables, cost = ours(stage, halos, n_steps, dtype)
            given = p.astype(dtype)
            if everywhere:
                run, given, tables = spread(run, given, tables)
            solve, compile_s = compiled(run, given, tables)
            wall, cpu = measure(lambda s=solve, g=given, t=tables: s(g, t), repeat)
            add(label, f"{n_steps} steps", solve(given, tables), exact, wall, cpu, compile_s)
        console.print(f"{label}: tables of the halos, once, 512 steps: {cost * 1e3:.0f} ms")
    console.print(table)
    return rows


def at_error(rows: list, error: float) -> float:
    """Wall seconds at a 99th-percentile error, by interpolation in log-log."""
    points = sorted((row[2], row[4]) for row in rows)
    e, t = np.log(points).T
    return float(np.exp(np.interp(np.log(error), e, t)))


def ratios(console, rows) -> None:
    """Throughput at equal error."""
    for error, goal in GOALS.items():
        for label in rows.keys() - {"peer"}:
            found = at_error(rows["peer"], error) / at_error(rows[label], error)
            console.print(f"at a 99 % error of {error:.0e} dex: {label} {found:.0f} times the peer (goal {goal:.0f})")


def jacobians(console, halos, cooling, quick: bool) -> None:
    """Time and error of the Jacobian of seven log10 contents in eight parameters, of both, at equal error."""
    p = jnp.asarray(BASELINE)
    sharp = Pandya23(sharp=True, cooling=cooling)
    peer_model = equations_of(sharp)
    table = Table(title=f"Jacobian of {halos.t_start.shape[0]} halos, 8 parameters", title_justify="left")
    for name in ("solver", "setting", "median", "99 %", "max", "wall [ms]", "compile [s]"):
        table.add_column(name, justify="right")
    rows: dict[str, list] = {}

    def add(solver, setting, found, exact, wall, compile_s):
        error = np.abs(np.asarray(found, np.float64) - exact)
        numbers = np.median(error), np.quantile(error, 0.99), error.max()
        rows.setdefault(solver, []).append((setting, *numbers, wall))
        table.add_row(solver, setting, *(f"{e:.0e}" for e in numbers), f"{wall * 1e3:.1f}", f"{compile_s:.1f}")

    for label, stage, dtype in (
        ("galdiff sharp", sharp, float),
        ("galdiff smooth", Pandya23(), float),
        ("galdiff smooth float32", Pandya23(), np.float32),
    ):
        run, tables, _ = ours(stage, halos, 2048 if not stage.sharp else 8192)
        exact = np.asarray(jax.jit(jax.jacfwd(run))(p, tables))
        for n_steps in (48, 64, 96, 128, 256):
            run, tables, _ = ours(stage, halos, n_steps, dtype)
            given = p.astype(dtype)
            solve, compile_s = compiled(jax.jacfwd(run), given, tables)
            wall, _ = measure(lambda s=solve, g=given, t=tables: s(g, t), 10)
            add(label, f"{n_steps} steps", solve(given, tables), exact, wall, compile_s)
        if stage is sharp:  # the peer's own model: the same truth
            for rtol in (1e-5, 1e-7) if quick else (1e-5, 1e-6, 1e-7, 1e-8):
                peer = jax.jit(jax.jacfwd(lambda p, r=rtol: many(peer_model, halos, r, diffrax.ForwardMode())(p)))
                begin = time.perf_counter()
                found = jax.block_until_ready(peer(p))
                first = time.perf_counter() - begin
                wall, _ = measure(lambda f=peer: f(p), 2)
                add("peer", f"{rtol:.0e}", found, exact, wall, first - wall)
    console.print(table)
    for label in rows.keys() - {"peer"}:
        found = at_error(rows["peer"], JACOBIAN_ERROR) / at_error(rows[label], JACOBIAN_ERROR)
        console.print(f"Jacobian at a 99 % error of {JACOBIAN_ERROR}: {label} {found:.0f} times the peer (goal 20)")


def reverse(console, halos, few) -> None:
    """Reverse gradients of a sum over the halos, in forward solves."""
    p = jnp.asarray(BASELINE)
    for some in (few, halos):
        run, tables, _ = ours(Pandya23(), some, 128)
        forward, _ = compiled(run, p, tables)
        solve, compile_s = compiled(jax.grad(lambda p, t, run=run: run(p, t).sum()), p, tables)
        a, b = (measure(lambda f=f, t=tables: f(p, t), 5)[0] for f in (forward, solve))
        n = some.t_start.shape[0]
        console.print(f"reverse gradient, {n} halos: {b * 1e3:.1f} ms, {b / a:.1f} solves; compile {compile_s:.1f} s")


def asked_and_got(rows, halos) -> dict[str, list]:
    """Points (rtol, 99 % error [dex]) of the solvers that choose their steps."""
    stage = Pandya23()
    make, outputs = equations_of(stage), Outputs(redshifts=(0.0,))
    run, tables, _ = ours(stage, halos, 2048)
    p = jnp.asarray(BASELINE)
    exact = np.asarray(jax.jit(run)(p, tables))
    points = {"peer": [(float(row[0]), row[2]) for row in rows["peer"]]}
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
        axes.loglog([r[4] * 1e3 for r in points], [r[2] for r in points], "o-", ms=4, label=label)
    for label in (next(iter(rows)), list(rows)[-1]):  # the others take the steps of the last
        for setting, _, p99, _, wall in rows[label]:
            axes.annotate(
                setting, (wall * 1e3, p99), textcoords="offset points", xytext=(-5, -9), fontsize=7, ha="right"
            )
    axes.set(xlabel="time for all halos [ms]")
    axes.legend(fontsize=8, frameon=False)
    figure.savefig(path, dpi=120)


def main() -> None:
    """Run all parts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--halos", type=int, default=1000)
    parser.add_argument("--quick", action="store_true", help="fewer settings and repetitions")
    parser.add_argument("--figure", help="where to draw error against tolerance and time")
    args = parser.parse_args()
    runtime.configure(precision="float64", cpu_devices=os.cpu_count())
    console = Console(width=130)
    console.print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, jax {runtime.versions()['jax']}")
    halos, cooling = load_halos(args.halos)
    rows = curves(console, halos, cooling, args.quick)
    ratios(console, rows)
    few = jax.tree.map(lambda x: x[:: max(1, x.shape[0] // 100)], halos)
    jacobians(console, few, cooling, args.quick)
    reverse(console, halos, few)
    if args.figure:
        draw(rows, asked_and_got(rows, few), args.figure)


if __name__ == "__main__":
    main()
