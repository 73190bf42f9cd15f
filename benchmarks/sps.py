"""Speed of whole-galaxy light: python benchmarks/sps.py [--galaxies 2000] [--quick].

Spectra and magnitudes of galaxies with diffmah haloes and diffstar histories, a lognormal metallicity each, compared in
one process with DSPS (Hearin et al. 2023, MNRAS 521, 1741) where it is installed: all galaxies at once (vmap), and one
compiled call for each. DSPS gets its tables of 100 times for free and makes its spectra with
`calc_rest_sed_sfh_table_lognormal_mdf`; galdiff's time counts the history too. The library is that of the DSPS file in
GALDIFF_DATA or ../shared/data where it is at hand, else the embedded one.
"""

import argparse
import dataclasses
import os
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console
from rich.table import Table
from timing import machine, measure, peak_mb, unit

from galdiff import runtime
from galdiff.core.powers import exp10
from galdiff.core.rolling import normal_hats
from galdiff.cosmology import Cosmology
from galdiff.dust.curves.modified_calzetti import ModifiedCalzetti
from galdiff.halo import diffmah
from galdiff.photometry.colours import colour_tables, coloured_magnitudes
from galdiff.photometry.read import load_passband
from galdiff.photometry.tables import band_tables
from galdiff.sfh.diffstar import NAMES, DiffstarParams, diffstar_sfr
from galdiff.sfh.epoch import epoch_at
from galdiff.sfh.panels import AgePanels, panels_of
from galdiff.sps.galaxy_light import GalaxyLight
from galdiff.sps.library import load_ssp

DATA = pathlib.Path(os.environ.get("GALDIFF_DATA", pathlib.Path(__file__).resolve().parents[2] / "shared/data"))
T_TODAY = 13.8
BANDS = ("sdss2010-g", "sdss2010-r", "bessell-V", "hsc2017-g", "hsc2017-r", "BASS-g", "BASS-r", "cfht_megacam-g")
Z_PHOTOMETRY = 0.02
SLICE = 250  # galaxies at once


def library():
    """The DSPS file of MILES spectra, or the embedded library in its range."""
    path = DATA / "ssp/ssp_miles_basti_kb.h5"
    return load_ssp(path, kind="dsps") if path.exists() else load_ssp(None, kind="analytic", wave_range=(3600, 7400))


def draws(n: int, dtype) -> tuple:
    """Haloes, galaxies, mean log10 Z and times of observation, spread as in a survey."""
    rng = np.random.default_rng(0)
    late = rng.uniform(0.1, 0.8, n)
    halo = dict(logm0=rng.uniform(11, 14, n), logtc=rng.normal(0.2, 0.2, n), late_index=late)
    halo |= dict(early_index=late + rng.uniform(1.0, 3.0, n), t_peak=np.full(n, 20.0))
    ranges = ((11.5, 12.5), (-11, -9.5), (0.5, 3), (-3, -0.5), (0.5, 1.6), (-1.0, -0.2), (-2, -0.3), (-0.25, -0.05))
    galaxy = {name: rng.uniform(*ends, n) for name, ends in zip(NAMES, ranges, strict=True)}
    made = diffmah.DiffmahParams(**halo), DiffstarParams(**galaxy), rng.uniform(-2.5, -1.6, n), rng.uniform(6, 13.5, n)
    return jax.tree.map(lambda x: jnp.asarray(x, dtype), made)


def shares_of(panels: AgePanels, grid):
    """Mass formed at each age, and the shares of the metallicities, from the parameters of one galaxy."""
    lgmet = np.asarray(grid.ssp_lgmet)

    def shares(halo, galaxy, mean, time):
        points = panels.points_before(time)
        born = time - points.age
        sfr = diffstar_sfr(galaxy, born, diffmah.log10_mass(halo, born, T_TODAY))
        return panels.on_nodes(sfr * points.width * 1e9, time), normal_hats(mean, 0.2, lgmet)

    return shares


def spectra(panels: AgePanels, grid):
    """Spectra of a batch as a product with matrices: (node, wave), or (node, rank) and (rank, wave)."""
    shares = shares_of(panels, grid)

    def make(halo, galaxy, mean, time, matrices):
        ages, mets = jax.vmap(shares)(halo, galaxy, mean, time)
        product = (mets[:, :, None] * ages[:, None]).reshape(len(ages), -1)
        for matrix in matrices:
            product = product @ matrix
        return product

    return make


def reduced(flux: np.ndarray, rank: int) -> tuple[list[np.ndarray], float]:
    """Two factors of a table (node, wave), each row of mean 1, and the largest rms of a row after them."""
    scale = flux.mean(1, keepdims=True)
    u, s, v = np.linalg.svd(flux / scale, full_matrices=False)
    left, right = scale * u[:, :rank] * s[:rank], v[:rank]
    return [left, right], float(np.sqrt(np.mean((left @ right / scale - flux / scale) ** 2, 1)).max())


def peer(grid, galaxies: tuple):
    """DSPS on tables of 100 times: spectra of a batch, the same by one call for each galaxy, and what they take."""
    try:
        from dsps import calc_rest_sed_sfh_table_lognormal_mdf as rest_sed
    except ImportError:
        return None
    halo, galaxy, mean, times = galaxies
    table = jnp.linspace(0.1, T_TODAY, 100)
    sfr = jax.vmap(lambda h, g: diffstar_sfr(g, table, diffmah.log10_mass(h, table, T_TODAY)))(halo, galaxy)
    data = [jnp.asarray(x) for x in (grid.ssp_lgmet, grid.ssp_lg_age_gyr, grid.ssp_flux)]

    def one(sfr, mean, time):
        return rest_sed(table, sfr, mean, 0.2, *data, time).rest_sed

    def each(sfr, mean, time):
        return [compiled(*args) for args in zip(sfr, mean, time, strict=True)]

    compiled = jax.jit(one)
    return jax.jit(jax.vmap(one)), each, (sfr, mean, times)


def rows(table: Table, name: str, call, args, n: int, base: float | None) -> float:
    """Measure a call and add a row: microseconds a galaxy, and how many times faster than the base."""
    taken = measure(call, *args)
    each = taken.seconds / n * 1e6
    ratio = "" if base is None else f"{base / each:.1f}"
    table.add_row(name, str(n), f"{each:.4g}", ratio, f"{taken.first:.2f}")
    return each


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--galaxies", type=int, default=2000)
    parser.add_argument("--quick", action="store_true", help="fewer galaxies for DSPS")
    args = parser.parse_args()
    runtime.configure(precision="float64")
    console, grid = Console(), library()
    console.print(machine())
    flux = np.asarray(grid.ssp_flux, float).reshape(-1, len(grid.ssp_wave))
    factors, error = reduced(flux, 64)
    console.print(f"{grid.name}: {flux.shape[0]} nodes, {flux.shape[1]} wavelengths; rank 64 has rms <= {error:.1e}")
    table = Table("what", "galaxies", f"micro-{unit()} a galaxy", "times faster than dsps", "first [s]")
    few = 50 if args.quick else 200
    found, slow = peer(grid, draws(few, jnp.float64)), {}
    if found is not None:
        call, each, inputs = found
        total = jax.jit(jax.grad(lambda sfr, *rest: jnp.sum(call(sfr, *rest) ** 2), argnums=(0, 1)))
        slow = {"spectra": rows(table, "dsps, spectra", call, inputs, few, None)}
        rows(table, "dsps, one by one", each, jax.tree.map(lambda x: np.asarray(x[:20]), inputs), 20, slow["spectra"])
        slow["gradient"] = rows(table, "dsps, with gradient", total, inputs, few, None)
    panels = panels_of(grid)
    for dtype in (jnp.float32, jnp.float64):
        inputs = draws(args.galaxies, dtype)
        for name, matrices in (("", [flux]), (", rank 64", factors)):
            make, held = spectra(panels, grid), [jnp.asarray(matrix, dtype) for matrix in matrices]
            label = f"{jnp.dtype(dtype).name}{name}"
            rows(table, f"spectra, {label}", jax.jit(make), (*inputs, held), args.galaxies, slow.get("spectra"))
            slope = jax.jit(jax.grad(lambda *p, make=make: jnp.sum(make(*p) ** 2), argnums=(0, 1, 2, 3)))
            rows(table, f"with gradient, {label}", slope, (*inputs, held), args.galaxies, slow.get("gradient"))
    photometry(table, grid, args.galaxies, slow.get("spectra"))
    console.print(table)
    if (peak := peak_mb()) is not None:
        console.print(f"peak memory of the device until here: {peak:.0f} MB")


def photometry(table: Table, grid, n: int, base: float | None) -> None:
    """Magnitudes in eight bands behind dust, from tables, and what they gain of 12 parameters a galaxy and its dust."""
    bands = [load_passband(name) for name in BANDS]
    shares = shares_of(panels_of(grid), grid)
    inside = GalaxyLight().inside(jnp.asarray(grid.ssp_lg_age_gyr))
    inside = inside[: int((inside > 1e-6).sum())]  # no older stars are in birth clouds
    for dtype in (jnp.float32, jnp.float64):
        inputs = draws(n, dtype)
        epoch = jax.tree.map(lambda x, d=dtype: x.astype(d), epoch_at(redshift=Z_PHOTOMETRY, cosmology=Cosmology()))
        tables = colour_tables(band_tables(grid, bands, Z_PHOTOMETRY))
        tables = jax.tree.map(lambda x, d=dtype: x.astype(d), tables)

        def magnitudes(a_v, halo, galaxy, mean, time, tables=tables, epoch=epoch):
            ages, mets = shares(halo, galaxy, mean, time)
            return coloured_magnitudes(ages, mets, inside, tables, epoch, Screen(a_v=a_v)).mag

        def loss(*p, magnitudes=magnitudes):
            return jnp.sum(magnitudes(*p) ** 2)

        a_v = jnp.linspace(0.0, 2.0, n).astype(dtype)
        label = f"{len(bands)} magnitudes, {jnp.dtype(dtype).name}"
        for name, one in ((label, magnitudes), (f"with gradient, {label}", jax.value_and_grad(loss, (0, 1, 2, 3)))):
            rows(table, name, jax.jit(in_slices(one)), (a_v, *inputs), n, base)


def in_slices(one):
    """A function of one galaxy for many: slices of them stay in the cache, and their gradients need little memory."""

    def many(*args):
        return jax.lax.map(lambda each: one(*each), args, batch_size=SLICE)

    return many


@dataclasses.dataclass(frozen=True)
class Screen:
    """One screen whose depth is a traced number."""

    a_v: jax.Array

    def transmissions(self, wave):
        curve = ModifiedCalzetti(slope=-0.2, bump=1.23)(wave)
        passed = exp10(-0.4 * self.a_v * curve)
        return passed, passed


if __name__ == "__main__":
    main()
