"""From settings to a mock, in the order in which errors show earliest: `galdiff simulate` and `galdiff.observe`."""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import jax

from galdiff.baryons.cycle import BaryonCycle
from galdiff.baryons.laws.yields import YieldsLaw
from galdiff.core.stage import Stage
from galdiff.errors import InputError
from galdiff.front.noise import noise_of
from galdiff.front.products import Mock, Target
from galdiff.front.settings import RunSettings
from galdiff.galaxy.neighbours import smoothing_of
from galdiff.ifu.engine import IFU_HOOKS
from galdiff.ifu.instrument import Instrument
from galdiff.ifu.plan import Precision, covered_pixels
from galdiff.imf import warn_recycling
from galdiff.io.progress import Steps
from galdiff.limits import SECTIONS
from galdiff.observing import mock
from galdiff.observing.field import LEAST_RANGE, cut_field
from galdiff.observing.gas_lines import GasLines, emission_stages, gas_lines, gas_smoothing, source_of
from galdiff.observing.grow import grow, one_halo, uncorrected_history
from galdiff.observing.layout import Setup
from galdiff.observing.outside_fits import baryon_fits, halo_fits, warn_outside
from galdiff.observing.sky import DEFAULT_REDSHIFT, redshift_of, warn_too_old
from galdiff.records import Galaxy, HaloHistory, SSPGrid
from galdiff.sps.analytic import default_grid
from galdiff.sps.ionising import EDGES


def run(
    settings: RunSettings,
    steps: Steps,
    said: Sequence[warnings.WarningMessage],
    target: Target | None = None,
    ready: Callable[[Instrument], None] = lambda instrument: None,
) -> Mock:
    """Read or grow the galaxy, look, lay out, observe.

    Args:
      settings: of all of it.
      steps: is told what begins and ends.
      said: list to which warnings are being added.
      target: the galaxy, where it has been made; by default it is that of the settings.
      ready: called with the instrument before long work.
    """
    with steps("read the galaxy"):
        cosmology = settings.build("cosmology")  # first under its own name: other nodes refer to it
        instrument = instrument_of(settings)
        ready(instrument)
        curve = curve_of(settings)
        asked = settings.config.placement.redshift
        noise_of(settings.config.noise, instrument)
        sky_of(settings, DEFAULT_REDSHIFT if asked is None else asked)  # wrong values show before long work
        source = settings.build("input") if target is None else target.galaxy
        parents = parents_of(settings) if isinstance(source, Stage) else None
    with steps("load the SSP library"):
        ssp = library_of(settings)
        if isinstance(source, Stage) and settings.config.precision.coverage == "error":  # shows before it grows
            slowest = Precision(v_max_kms=settings.config.precision.v_max_kms or LEAST_RANGE)
            covered_pixels(ssp, instrument, DEFAULT_REDSHIFT if asked is None else asked, slowest)
    target = target_of(settings, source, parents, steps) if target is None else target
    redshift = redshift_of(asked, target.galaxy)
    warn_too_old(target.galaxy, redshift, cosmology)
    setup = setup_of(settings, instrument, ssp, curve, redshift)
    with steps("measure how far stars are apart"):
        sky = lit_sky_of(settings, redshift, target.galaxy, ssp)
    return Mock(target, mock.observe(target.galaxy, sky, setup, steps), settings, steps, said)


def parents_of(settings: RunSettings) -> tuple[HaloHistory, BaryonCycle]:
    """What a galaxy grows from: one halo, and a baryon cycle."""
    baryons = settings.build("baryons")
    return one_halo(settings.build("halo")), baryons


def target_of(
    settings: RunSettings,
    source: Stage | Galaxy,
    parents: tuple[HaloHistory, BaryonCycle] | None,
    steps: Steps,
    chosen: dict[str, Any] | None = None,
) -> Target:
    """A galaxy as it is, or grown by a stage from the baryons of a halo."""
    if not isinstance(source, Stage):
        return Target(source, chosen=chosen or {})
    halo, baryons = parents or parents_of(settings)
    with steps("grow the galaxy in its halo (compiles)"):
        if isinstance(stars := baryons.laws().get("yields"), YieldsLaw):
            warn_recycling(settings.build("imf"), float(stars.generation(stars.parameters()).f_recycle))
        galaxy, history = jax.block_until_ready(grow(source, halo, baryons))
        warn_outside(history, [*halo_fits(settings.plain("halo")), *baryon_fits(baryons)])
        plain = uncorrected_history(halo, baryons)
    return Target(galaxy, history, halo, chosen or {}, plain)


def instrument_of(settings: RunSettings) -> Instrument:
    """The spectrograph with the part of its field that is rendered."""
    return cut_field(settings.build("instrument"), settings.config.max_spaxels)


def curve_of(settings: RunSettings) -> Any:
    """The dust curve, or None."""
    curve = settings.build("dust.curve")
    if curve is not None and not callable(curve):
        raise InputError(f"dust.curve is {curve}; choose a preset, such as dust=screen dust/curve=calzetti00, or null")
    return curve


def library_of(settings: RunSettings) -> SSPGrid:
    """The library, corrected where the settings say so."""
    ssp = settings.build("ssp")
    return ssp if settings.plain("spectra.correction") is None else settings.build("spectra")(ssp)


def sky_of(settings: RunSettings, redshift: float, galaxy: Galaxy | None = None) -> dict[str, Stage]:
    """Stages that put stars on the sky, behind their dust, at a redshift; as wide as those of `galaxy` are apart."""
    plain = settings.plain("smoothing")
    known: dict[str, Any] = {} if galaxy is None else {"smoothing": smoothing_of(galaxy.stars, **plain)}
    of_gas: dict[str, Any] = {} if galaxy is None else {"smoothing": gas_smoothing(galaxy, **plain)}
    return {
        "sky_stars": settings.build("view", _target_=SECTIONS["simulate"]["view"], **known),
        "sky_gas": settings.build("view", _target_="galdiff.galaxy.view.GasView", **of_gas),
        "observed_stars": settings.build("dust.stage"),
        "placement": settings.build("placement", _target_=SECTIONS["simulate"]["placement"], redshift=redshift),
    }


def lit_sky_of(settings: RunSettings, redshift: float, galaxy: Galaxy, ssp: SSPGrid) -> dict[str, Stage]:
    """Stages of the sky and, where the settings have gas that shines, those of its lines."""
    sky, regions = sky_of(settings, redshift, galaxy), settings.build("gas.regions")
    if regions is None:
        return sky
    source = source_of(settings.config.gas.source, galaxy)
    library = ssp if float(ssp.ssp_wave[0]) < EDGES[-1] else default_grid(imf=settings.build("imf"))
    smoothing = settings.plain("smoothing")
    lit = {"regions": regions, "library": library, "dust": sky["observed_stars"], "smoothing": smoothing}
    return {**sky, **emission_stages(source, galaxy, **lit)}


def setup_of(settings: RunSettings, instrument: Instrument, ssp: SSPGrid, curve: Any, redshift: float) -> Setup:
    """What a galaxy is observed with."""
    cfg = settings.config
    corrections = {name: settings.build(name, hook=hook) for name, hook in IFU_HOOKS.items()}
    maps = settings.plain("maps")
    if (bin_stars := maps.pop("bin_stars", None)) is not None:
        maps["gauss_hermite"] = False  # moments of bins follow from those of spaxels
    return Setup(
        instrument=instrument,
        ssp=ssp,
        redshift=redshift,
        precision=settings.plain("precision"),
        curve=curve,
        engine=cfg.engine,
        spectrograph={"lsf_scale": cfg.lsf_scale, "psf_scale": cfg.psf_scale, **corrections},
        maps=maps,
        bin_stars=bin_stars,
        noise=noise_of(cfg.noise, instrument),
        seed=int(cfg.seed),
        gas=gas_of(settings, curve),
    )


def gas_of(settings: RunSettings, curve: Any) -> GasLines | None:
    """Gas that shines in lines, or None."""
    gas = settings.config.gas
    if gas.regions is None:
        return None
    return gas_lines(turbulence_kms=gas.turbulence_kms, a_v_ratio=gas.a_v_ratio, curve=curve)
