"""Images of stars through the PSF of every instrument, and of fields that go in tiles, against the profiles."""

import dataclasses
import functools
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import yaml
from jax.scipy.special import ndtr

from galdiff.build import build
from galdiff.core.kernels import bspline_weights
from galdiff.ifu.blur import blur_kernel
from galdiff.ifu.instrument import make_instrument, output_wave
from galdiff.ifu.plan import Precision
from galdiff.ifu.psf import anchor_waves, anchor_weights, kernel_radius, wings_of
from galdiff.ifu.spread_functions import psf_fwhm
from galdiff.observing import layout as laying
from galdiff.observing.field import served_precision
from galdiff.observing.render import render
from galdiff.observing.sky import Seen
from galdiff.records import Placement, SkyStars, SSPGrid

PRESETS = sorted((pathlib.Path(__file__).parent.parent / "conf" / "instrument").glob("*.yaml"))
RULE = np.polynomial.legendre.leggauss(6)
FIELD = 35  # spaxels on a side
PLACES = [((i + 0.3) / 5, (j + 0.55) / 5) for i in range(5) for j in range(5)]  # within a spaxel


def energies(instr, fwhm, py, px, n_y=FIELD, n_x=FIELD):
    """Energy of a point source in each spaxel [1], from its profile; its place is in spaxels from the corner."""
    y, x = np.arange(n_y) - py, np.arange(n_x) - px
    if instr.psf.kind == "gaussian":
        per_sigma = 2.3548200450309493 / fwhm
        ey, ex = (
            np.diff(np.asarray(ndtr(np.append(e, e[-1] + 1) * spaxel * per_sigma)))
            for e, spaxel in ((y, instr.spaxel_y_arcsec), (x, instr.spaxel_x_arcsec))
        )
        return np.outer(ey, ex)
    points, weights = (RULE[0] + 1) / 2, RULE[1] / 2
    y2, x2 = (((e[:, None] + points) * s) ** 2 for e, s in ((y, instr.spaxel_y_arcsec), (x, instr.spaxel_x_arcsec)))
    beta = instr.psf.beta
    alpha2 = fwhm**2 / (4 * (2 ** (1 / beta) - 1))
    profile = (1 + (y2[:, :, None, None] + x2) / alpha2) ** -beta * (beta - 1) / (np.pi * alpha2)
    return np.einsum("yaxb,a,b->yx", profile, weights, weights) * instr.spaxel_y_arcsec * instr.spaxel_x_arcsec


def image(kernel, wings, py, px):
    """The same as the engine has it: shares of cells, and the kernel between cells and spaxels."""
    rows = []
    for place, cells, radius in zip((py, px), wings.cells, wings.radius, strict=True):
        cell, weight = (np.asarray(v) for v in bspline_weights(np.asarray(place * cells), "cubic"))
        apart = np.arange(FIELD)[:, None] - cell // cells
        index = (apart + radius) * cells + cells - 1 - cell % cells
        size = (2 * radius + 1) * cells
        weight = np.where(abs(apart) <= radius, weight, 0)
        rows.append(np.stack([np.bincount(i.clip(0, size - 1), w, size) for i, w in zip(index, weight, strict=True)]))
    return rows[0] @ kernel @ rows[1].T


def half_width(values, offsets):
    """Offset at which a falling profile is half of its first value."""
    return np.interp(-0.5 * values[0], -np.array(values), offsets)


@functools.cache
def errors_of(instr):
    """Largest errors at both ends of the wavelengths and between anchors: of the FWHM [1] that the image has as the
    star moves over a spaxel, and of the encircled energy [1] at five radii: on average over places, and at the worst.
    """
    wings = wings_of(instr, kernel_radius(instr, 1.3), 1.3)
    anchors, middle = anchor_waves(instr), FIELD // 2
    kernels = np.stack([blur_kernel(instr, float(psf_fwhm(instr.psf, a)), wings, "cubic") for a in anchors])
    found: dict = {"cells": [max(wings.cells)], "fwhm": [], "mean": [], "worst": [], "negative": []}
    for wave in {anchors[0], anchors[:2].mean(), anchors[-2:].mean(), anchors[-1]}:
        kernel, fwhm = np.tensordot(anchor_weights([wave], anchors)[:, 0], kernels, 1), psf_fwhm(instr.psf, wave)
        spaxel = np.array([instr.spaxel_y_arcsec, instr.spaxel_x_arcsec])
        radii, off = np.array([0.75, 1.0, 1.5, 2.0, 3.0]) * max(fwhm, 0.8 * spaxel.max()), []
        for dy, dx in PLACES:
            py, px = middle + dy, middle + dx
            made, true = image(kernel, wings, py, px), energies(instr, fwhm, py, px)
            r = np.hypot((np.arange(FIELD) + 0.5 - py)[:, None] * spaxel[0], (np.arange(FIELD) + 0.5 - px) * spaxel[1])
            off.append([(made - true)[r < radius].sum() for radius in radii])
            found["negative"].append(-made.min() / made.max())
        found["mean"].append(abs(np.mean(off, 0)).max())
        found["worst"].append(abs(np.array(off)).max())
        for axis in ((1, 0), (0, 1)):
            steps = np.linspace(0, 1.2 * max(fwhm / spaxel[axis.index(1)], 1), 25)
            places = [(middle + 0.5 + s * axis[0], middle + 0.5 + s * axis[1]) for s in steps]
            made = [image(kernel, wings, *place)[middle, middle] for place in places]
            true = [energies(instr, fwhm, *(p - middle for p in place), 1, 1)[0, 0] for place in places]
            found["fwhm"].append(abs(half_width(made, steps) / half_width(true, steps) - 1))
    return {name: max(values) for name, values in found.items()}


@pytest.mark.parametrize("path", PRESETS, ids=lambda p: p.stem)
@pytest.mark.filterwarnings("ignore:instrument .* the wavelength step")
def test_a_star_has_the_width_and_the_encircled_energy_of_the_psf_of_every_preset(path):
    whole = build(yaml.safe_load(path.read_text(encoding="utf-8")), path=f"instrument={path.stem}")
    wave = output_wave(whole)
    alike = dict(name="", n_x=FIELD, n_y=FIELD, n_wave=2, references=(), aperture="square", lsf=None)
    ends = dict(grid="linear", wave_start=wave[0], wave_step=wave[-1] - wave[0], medium="vacuum")
    errors = errors_of(dataclasses.replace(whole, **alike, **ends))  # few presets differ in their PSF
    resolved = errors["cells"] < 4  # or narrower than a spaxel: where a star is near its edge, its share is uncertain
    assert errors["fwhm"] < 0.01, errors
    assert errors["mean"] < 0.002, errors
    assert errors["worst"] < (0.005 if resolved else 0.008), errors
    assert errors["negative"] < (1e-4 if resolved else 2e-3), errors


def setup_of(kind, fwhm):
    """A field of 17 x 13 spaxels of 1 arcsec, two populations and 40 wavelengths."""
    rng, wave = np.random.default_rng(3), np.linspace(4500.0, 6000.0, 500)
    library = SSPGrid(
        ssp_wave=wave, ssp_lg_age_gyr=np.array([-1.0, 0.0, 1.0]), ssp_lgmet=np.array([-2.5, -1.7]),
        ssp_flux=1 + rng.random((2, 3, 500)), ssp_fwhm=np.zeros(500),
    )  # fmt: skip
    band = dict(grid="linear", start_angstrom=5000, end_angstrom=5390, step_angstrom=10, medium="vacuum")
    psf = dict(kind=kind, fwhm_arcsec=fwhm, wave_ref_angstrom=5200, power=-3.0)
    lsf = dict(kind="constant", fwhm_angstrom=20.0)
    instrument = make_instrument(name="made", n_y=17, n_x=13, spaxel_x_arcsec=1.0, wave=band, lsf=lsf, psf=psf)
    return laying.Setup(
        instrument=instrument, ssp=library, redshift=0.05, precision={}, curve=None, engine="compressed",
        spectrograph={"lsf_scale": 1.0, "psf_scale": 1.0},
        maps=dict(weight="mass", h_v_kms=200.0, gauss_hermite=False), noise={}, seed=0,
    )  # fmt: skip


@pytest.mark.parametrize(("kind", "fwhm"), [("moffat", 3.0), ("moffat", 1.5), ("gaussian", 2.5)])
def test_tiles_make_the_cube_and_the_maps_of_the_whole_field(kind, fwhm, monkeypatch):
    rng, n = np.random.default_rng(0), 60
    stars = SkyStars(
        x=jnp.asarray(rng.uniform(-7, 7, n)), y=jnp.asarray(rng.uniform(-9, 9, n)), z=jnp.zeros(n),
        v_los=jnp.asarray(rng.normal(0, 80.0, n)), mass=jnp.asarray(10 ** rng.uniform(4, 6, n)),
        age=jnp.asarray(rng.uniform(0.2, 8, n)), metallicity=jnp.full(n, 0.01),
    )  # fmt: skip
    number = lambda value: jnp.asarray(value, float)  # noqa: E731
    placement = Placement(
        redshift=number(0.05), luminosity_distance=number(200.0), kpc_per_arcsec=number(1.0), pointing=jnp.zeros(2)
    )
    setup = setup_of(kind, fwhm)
    lay_out = functools.partial(laying.lay_out, setup, Precision(rank=4, v_max_kms=300.0, h_v_kms=200.0), n)
    whole, *maps = render(lay_out(tiled=False), Seen(stars, placement))
    monkeypatch.setattr(laying, "MAX_DISTRIBUTION", 0)
    monkeypatch.setattr(laying, "TILE", 7)
    tiled = lay_out()
    assert tiled.tile.instrument.n_y <= 7
    assert tiled.blurs_late == (kind == "moffat")
    parts, *part_maps = render(tiled, Seen(stars, placement))
    assert parts.spaxel_size == whole.spaxel_size
    np.testing.assert_allclose(parts.flux, whole.flux, atol=1e-6 * whole.flux.max())  # float32
    np.testing.assert_allclose(parts.flux.sum(), whole.flux.sum(), rtol=1e-6)
    for one, other in zip(jax.tree.leaves(maps), jax.tree.leaves(part_maps), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


def test_fast_stars_widen_the_range_of_velocities():
    zero, fast = jnp.zeros(3), jnp.asarray([10.0, -3210.0, 9e4])
    stars = SkyStars(x=zero, y=zero, z=zero, v_los=fast, mass=zero + 1, age=zero + 1, metallicity=zero + 0.01)
    asked = dict(v_max_kms=None, a_v_max=0.0, rank=4, a_v_modes=2)
    served = lambda *inside: served_precision(asked, stars, np.array(inside), None, None).v_max_kms  # noqa: E731
    assert served(True, False, False) == 200.0
    assert served(True, True, False) == 3250.0
    assert served(True, True, True) == 10_000.0  # no part of a galaxy; counted, with a warning
