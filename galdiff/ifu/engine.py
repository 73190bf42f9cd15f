"""Which engine makes the cube: chosen from the size of the problem, or named.

compressed   Deposit, Synthesis, Templates, Spectrograph: fastest for many stars in few bins
per_star     the same without the mass distribution: where that is large against the number of stars, or the memory
direct       star by star, exact: fastest for few stars
"""

from typing import Any

from galdiff.core.correction import Correction
from galdiff.core.kernels import TAPS
from galdiff.core.stage import Stage
from galdiff.errors import InputError
from galdiff.ifu.deposit import V_TAPS
from galdiff.ifu.direct import DirectSpectrograph
from galdiff.ifu.emission import LineDeposit
from galdiff.ifu.per_star import PerStar
from galdiff.ifu.plan import Plan
from galdiff.ifu.psf import anchor_waves
from galdiff.ifu.spectrograph import LSF_HOOK, THROUGHPUT_HOOK
from galdiff.ifu.stages import Deposit, Spectrograph, Synthesis, Templates

IFU_HOOKS = {"lsf_correction": LSF_HOOK, "throughput": THROUGHPUT_HOOK}
ENGINES = ("auto", "compressed", "per_star", "direct")
MAX_DISTRIBUTION_BYTES = 1 << 30  # of a mass distribution

# Rough cost on one core [ns], measured by benchmarks/ifu.py: their ratio decides, not their size.
NS_PER_SAMPLE = 0.4  # direct engine: one star, one fine sample, one spaxel (and four times for the spectrum itself)
NS_PER_TAP = 7.0  # compressed engine: one star, one bin
NS_PER_ROW = 4.0  # the same star by star: one star, one spaxel and velocity,
NS_PER_COEFFICIENT = 0.22  # and one template there
NS_PER_LOOK_UP = 0.5  # and one template of one library node of its own
NS_PER_BIN = 4.0  # of what stars are added to: once, and once more for each of two passes where it is refined
NS_PER_FLOP = 0.006  # matrix products
NS_PER_BLUR = 30.0  # PSF: one spaxel, one channel, one anchor wavelength


def choose_engine(n_stars: int, plan: Plan) -> str:
    """Name of the fastest engine for n_stars that fits in memory."""
    bins, rank = plan.bins, plan.basis.templates.shape[0]
    y, x, v, node, av = bins.shape
    spatial = TAPS[bins.kernel] ** 2
    channels = y * x * v
    direct = n_stars * plan.grid.n * (4 + spatial) * NS_PER_SAMPLE
    products = y * x * plan.n_channels * len(plan.wave) * 2 * NS_PER_FLOP
    per_bin = channels * NS_PER_BIN * (3 if bins.levels else 1)
    touched = spatial * V_TAPS[bins.v_kernel]
    one = touched * (NS_PER_ROW + NS_PER_COEFFICIENT * rank) + bins.taps // touched * rank * NS_PER_LOOK_UP
    compressed = n_stars * bins.taps * NS_PER_TAP + node * av * (per_bin + channels * rank * 2 * NS_PER_FLOP)
    per_star = n_stars * one + rank * per_bin
    if plan.instrument.psf.kind != "none":
        blur_one = y * x * len(anchor_waves(plan.instrument)) * NS_PER_BLUR
        direct, products = direct + blur_one * len(plan.wave), products + blur_one * plan.n_channels
    spectra = y * x * plan.grid.n * 4  # bytes that the direct engine holds
    if spectra < MAX_DISTRIBUTION_BYTES and direct < products + min(compressed, per_star):
        return "direct"
    large = channels * node * av * 4 > MAX_DISTRIBUTION_BYTES
    return "per_star" if large or per_star < compressed else "compressed"


def ifu_stages(
    *,
    plan: Plan,
    engine: str = "auto",
    n_stars: int = 1_000_000,
    curve: Any = None,
    lsf_scale: float = 1.0,
    psf_scale: float = 1.0,
    lsf_correction: Correction | None = None,
    throughput: Correction | None = None,
) -> dict[str, Stage]:
    """Stages that turn `observed_stars` at a `placement` into a `cube`, keyed by the records they make.

    Args:
      plan: the observation.
      engine: auto, compressed, per_star or direct.
      n_stars: how many stars to expect; auto decides by it.
      curve: attenuation curve, where the plan has dust (the direct engine evaluates it itself).
      lsf_scale, psf_scale: factors on the instrument's widths, trainable.
      lsf_correction, throughput: corrections along the wavelength, see `LSF_HOOK` and `THROUGHPUT_HOOK`.

    Raises:
      InputError: unknown engine.
    """
    if engine not in ENGINES:
        raise InputError(f"engine is '{engine}'; choose one of {', '.join(ENGINES)}")
    if engine == "auto":
        engine = choose_engine(n_stars, plan)
    lit: dict[str, Stage] = {} if plan.lines is None else {"line_light": LineDeposit(lines=plan.lines)}
    if engine == "direct":
        exact = DirectSpectrograph(
            plan=plan,
            curve=curve,
            lsf_scale=lsf_scale,
            psf_scale=psf_scale,
            lsf_correction=lsf_correction,
            throughput=throughput,
        )
        return {**lit, "cube": exact}
    front: dict[str, Stage] = {"spectra": PerStar(plan=plan)}
    if engine == "compressed":
        front = {"mass_distribution": Deposit(bins=plan.bins), "spectra": Synthesis(plan=plan)}
    return {
        **front,
        **lit,
        "bank": Templates(plan=plan, lsf_scale=lsf_scale, lsf_correction=lsf_correction),
        "cube": Spectrograph(plan=plan, psf_scale=psf_scale, throughput=throughput),
    }
