"""How well velocity nodes and templates of a plan render spectra, measured on some of the stars that are observed."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from scipy.ndimage import shift

from galdiff.core.compiled import quickly
from galdiff.core.interpolation import node_weights
from galdiff.ifu.bank import BEYOND, prefilter
from galdiff.ifu.basis import MAG
from galdiff.ifu.deposit import population_weights, velocity_weights
from galdiff.ifu.field import with_a_v
from galdiff.ifu.finegrid import resample
from galdiff.ifu.lsf import added_sigma
from galdiff.ifu.plan import Plan
from galdiff.ifu.response import Response, response
from galdiff.ifu.spread_functions import lsf_fwhm
from galdiff.ifu.tiles import take
from galdiff.records import SkyStars

_node_weights = quickly(node_weights, static_argnames=("method",))
LIT = 1e-3  # of the peak of a spectrum; fainter pixels do not count in the largest error


def sampled_accuracy(
    plan: Plan, stars: SkyStars, curve: Callable[[np.ndarray], np.ndarray] | None = None, lsf_scale: float = 1.0
) -> dict[str, float]:
    """Errors of the compressed engine against each star's own spectrum, as the direct engine has it, before the PSF.

    Args:
      plan: the observation.
      stars: a few, on the sky, concrete.
      curve: A_wave / A_V, where the plan has dust.
      lsf_scale: factor on the instrument's FWHM.

    Returns:
      Each a scalar [1]. stars: their number; rms: of the error over that of the spectra; largest: relative error of a
      pixel of at least LIT of the peak of its spectrum.
    """
    stars = with_a_v(stars, plan.bins)
    exact, made = _exact(plan, stars, curve), _compressed(plan, stars)
    scale = np.abs(exact).max(1, keepdims=True)  # every star counts alike
    operator = _operator(plan, lsf_scale)
    true, error = (_recorded(plan, operator, spectra / scale) for spectra in (exact, made - exact))
    lit = true > LIT * true.max(1, keepdims=True)
    return {
        "stars": len(true),
        "rms": float(np.sqrt(np.mean(error**2) / np.mean(true**2))),
        "largest": float(np.abs(error / np.where(lit, true, np.inf)).max()),
    }


def some_of(stars: SkyStars, inside: np.ndarray, n: int = 48) -> SkyStars:
    """At most n of the stars inside [bool], shape (star,), spread over their velocities; the fastest are among them."""
    index = np.flatnonzero(inside)
    order = index[np.argsort(np.asarray(stars.v_los)[index], kind="stable")]
    return take(stars, order[np.unique(np.linspace(0, len(order) - 1, n).round().astype(int))])


def _exact(plan: Plan, stars: SkyStars, curve: Callable | None) -> Float[np.ndarray, "star sample"]:
    """Shifted spectra on the fine axis, of unit mass [Lsun per sample]."""
    bins, grid = plan.bins, plan.grid
    lg = (np.log10(np.maximum(np.asarray(x, np.float64), 1e-30)) for x in (stars.age, stars.metallicity))
    found = _node_weights(*lg, bins.lg_ages, bins.lgmets, method=bins.interpolation)
    node, weight = (np.asarray(v) for v in found)
    spectra = resample(plan.node_wave, np.einsum("st,stw->sw", weight, plan.nodes[node]), grid)
    if curve is not None and plan.precision.a_v_max > 0:
        spectra = spectra * np.exp(-MAG * np.asarray(stars.a_v)[:, None] * np.asarray(curve(grid.wave)))
    samples = np.clip(np.asarray(stars.v_los, np.float64), -bins.v_max, bins.v_max) / grid.step_kms
    return np.stack([shift(row, by, order=5, mode="nearest") for row, by in zip(spectra, samples, strict=True)])


def _compressed(plan: Plan, stars: SkyStars) -> Float[np.ndarray, "star sample"]:
    """The same from templates at velocity nodes: the weights of a star, through the prefilter, on shifted spectra."""
    bins, n_nodes = plan.bins, len(plan.bins.v_nodes)
    coefficients = _coefficients(plan, stars)
    velocities = quickly(lambda v_los: velocity_weights(v_los, bins), key=bins)
    tap, share = (np.asarray(v, np.float64) for v in velocities(jnp.asarray(stars.v_los)))
    of_node = np.zeros((len(share), n_nodes))
    np.put_along_axis(of_node, tap.astype(int), share, 1)
    half, size = n_nodes // 2 + BEYOND, plan.grid.n
    reach = half * plan.grid.stride
    padded = np.pad(plan.templates, ((0, 0), (reach, reach)), mode="edge")
    total = np.zeros((len(share), size))
    for m, used in zip(range(-half, half + 1), _at_shifts(plan, of_node, coefficients), strict=True):
        first = reach - m * plan.grid.stride
        total += used @ padded[:, first : first + size]
    return total


def _at_shifts(plan: Plan, of_node: np.ndarray, coefficients: np.ndarray) -> Float[np.ndarray, "shift star rank"]:
    """Coefficients (star, rank) at each shift, of weights at the nodes (star, node); through the modes, if any."""
    if plan.modes is None:
        return (of_node @ prefilter(of_node.shape[1])).T[..., None] * coefficients
    pairs = zip(plan.modes.to_channels, plan.modes.of_templates, strict=True)
    kept = np.stack([coefficients @ to_channels @ of_templates for to_channels, of_templates in pairs])
    return np.einsum("sj,jm,jsr->msr", of_node @ plan.modes.from_nodes, plan.modes.of_spectra, kept, optimize=True)


def _coefficients(plan: Plan, stars: SkyStars) -> Float[np.ndarray, "star rank"]:
    """Coefficients of the templates of each star, of unit mass."""
    populations = quickly(lambda stars: population_weights(stars, plan.bins), key=plan.bins)
    node, weight = (np.asarray(v) for v in populations(stars))
    return np.einsum("st,str->sr", weight, plan.basis.coefficients.reshape(-1, len(plan.templates))[node])


def _operator(plan: Plan, lsf_scale: float) -> Response:
    """The spectrograph, in one program."""

    def made(fwhm: jax.Array, template: jax.Array, redshift: jax.Array) -> Response:
        variance, _ = added_sigma(fwhm, fwhm, template, redshift)
        return response(plan.layout, jnp.sqrt(variance), redshift)

    known = lsf_fwhm(plan.instrument.lsf, plan.wave_vacuum) * lsf_scale, plan.fwhm_template, plan.redshift
    return quickly(made, key=plan.layout)(*(np.asarray(x, jnp.result_type(float)) for x in known))


def _recorded(plan: Plan, operator: Response, fine: np.ndarray) -> Float[np.ndarray, "star wave"]:
    """Spectra as the spectrograph records them."""
    length = plan.layout.length
    padded = np.pad(fine, ((0, 0), (length, length)), mode="edge")
    blocks = [
        padded[:, start + length : start + 2 * length] @ kernel.T
        for start, kernel in zip(np.asarray(operator.start), np.asarray(operator.kernel, np.float64), strict=True)
    ]
    return np.concatenate(blocks, 1)[:, : plan.layout.n_pixel]
