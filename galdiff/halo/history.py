"""Builders of halo histories: from diffmah, one halo or a population, and from arrays on a grid."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from galdiff.core.buildable import buildable
from galdiff.core.compiled import quickly
from galdiff.core.fitted import Ranges, fitted_on
from galdiff.core.hermite import hermite
from galdiff.cosmology import Cosmology, age, redshift_at_age
from galdiff.errors import InputError
from galdiff.halo import concentration as fits
from galdiff.halo import diffmah, virial
from galdiff.halo.diffmah_population import FITTED, mean_params
from galdiff.halo.slopes import MIN_SLOPE, limit_slopes
from galdiff.records import HaloHistory

LOG10_MASSES = (8.0, 15.5)  # of final masses [Msun]
MOST_NODES = 10_000
FEW, OFTEN = 1024, 8  # haloes that are made sooner than a program for them is polished, unless they are made often


@buildable
@dataclasses.dataclass(frozen=True, kw_only=True)
class HistorySettings:
    """How histories are laid out.

    Attributes:
      n_nodes: nodes, uniform in ln t.
      first_redshift: redshift of the first node of a diffmah history.
      log10_m_start: log10 of the mass [Msun] at which the gas of a halo is first followed.
      definition: edge of the halo: bn98 (virial), 200c or 200m.
      concentration: fit of the concentration: dutton14 or duffy08.
    """

    n_nodes: int = 128
    first_redshift: float = 20.0
    log10_m_start: float = 7.5
    definition: str = "bn98"
    concentration: str = "dutton14"

    def fitted(self) -> Ranges:
        """Masses [Msun] and redshifts that the concentration was fitted in."""
        return fits.FITTED[self.concentration]

    def __post_init__(self) -> None:
        virial.check_definition(self.definition)
        fits.check_concentration(self.concentration, self.definition)
        if not 3 <= self.n_nodes <= MOST_NODES:
            raise InputError(f"n_nodes is {self.n_nodes}; give 3 to {MOST_NODES} (128 is the default)")
        if not 0.0 < self.first_redshift < 1000.0:
            raise InputError(f"first_redshift is {self.first_redshift}; give 0 to 1000 (20 is the default)")
        if not 0.0 < self.log10_m_start < LOG10_MASSES[1]:
            raise InputError(
                f"log10_m_start is {self.log10_m_start} dex(Msun); use a value between 0 and {LOG10_MASSES[1]}"
                " (7.5 is the default)"
            )


def start_time(time: Float[Array, "node"], m_vir: Array, slopes: Array, m_start: float) -> Float[Array, ""]:
    """Time [Gyr] when the smooth history first reaches m_start.

    Args:
      time: nodes [Gyr]; m_vir: masses [Msun], increasing; slopes: d ln m_vir / d ln t [1]; all of shape (node,).
      m_start: mass [Msun].

    Returns:
      Time within the nodes: the first where the history begins above m_start, the last where it ends below. It is
      differentiable through the condition m_vir(t_start) = m_start.
    """
    ln_t, ln_m, target = jnp.log(time), jnp.log(m_vir), float(np.log(m_start))
    first = jnp.clip(jnp.searchsorted(ln_m, target, method="scan_unrolled") - 1, 0, time.shape[0] - 2)
    piece = [jax.lax.dynamic_slice(a, (first,), (2,)) for a in (ln_t, ln_m, slopes)]
    fixed = jax.lax.stop_gradient(piece)

    def halve(_: Any, ends: Any) -> tuple:
        low, high = ends
        middle = (low + high) / 2
        below = hermite(middle, *fixed)[0] < target
        return jnp.where(below, middle, low), jnp.where(below, high, middle)

    _, guess = jax.lax.fori_loop(0, 30, halve, (fixed[0][0], fixed[0][1]))
    value, slope = hermite(guess, *piece)
    found = jnp.exp(guess - (value - target) / slope)
    return jnp.where(ln_m[0] >= target, time[0], jnp.where(ln_m[-1] < target, time[-1], found))


def assemble(
    time: Float[Array, "node"],
    m_vir: Float[Array, "node"],
    slopes: Float[Array, "node"],
    cosmology: Cosmology,
    settings: HistorySettings,
    c_nfw: Float[Array, "node"] | None = None,
    spin: Float[ArrayLike, ""] | None = None,
) -> HaloHistory:
    """A smooth history from increasing masses; radius, velocity and (where not given) concentration follow from them.

    Args:
      time: nodes [Gyr], increasing; m_vir: masses [Msun], increasing; slopes: d ln m_vir / d ln t there, positive.
      cosmology: the universe; settings: start, halo definition, concentration.
      c_nfw: concentration at the nodes [1]; spin: spin parameter [1].
    """
    redshift = redshift_at_age(cosmology, time)
    r_vir = virial.virial_radius(m_vir, redshift, cosmology, settings.definition)
    if c_nfw is None:
        c_nfw = fits.concentration(m_vir, redshift, cosmology, settings.concentration, settings.definition)
    return HaloHistory(
        time=time,
        m_vir=m_vir,
        mdot_vir=slopes * m_vir / time,
        r_vir=r_vir,
        v_vir=virial.virial_velocity(m_vir, r_vir),
        c_nfw=c_nfw,
        t_start=start_time(time, m_vir, slopes, 10**settings.log10_m_start),
        cosmology=cosmology,
        spin=None if spin is None else jnp.asarray(spin, time.dtype),
    )


def _diffmah_one(
    params: Any, spin: Any, cosmology: Cosmology, observed_redshift: Any, settings: HistorySettings
) -> HaloHistory:
    t_today = age(cosmology, 0.0)
    first, last = jnp.log(age(cosmology, settings.first_redshift)), age(cosmology, observed_redshift)
    ln_t = jnp.linspace(first, jnp.log(last), settings.n_nodes)
    time = jnp.exp(ln_t).at[-1].set(last)
    _, slope = diffmah.growth_index(params, time, t_today)
    idle = jnp.log(jnp.maximum(time / params.t_peak, 1.0))  # e-folds of time since the peak
    ln_m = np.log(10) * diffmah.log10_mass(params, time, t_today) + MIN_SLOPE * idle
    slope = limit_slopes(ln_t, ln_m, jnp.where(idle > 0, 0.0, slope))
    return assemble(time, jnp.exp(ln_m), slope, cosmology, settings, spin=spin)


def from_diffmah(
    params: diffmah.DiffmahParams,
    *,
    cosmology: Cosmology,
    observed_redshift: float = 0.0,
    settings: HistorySettings = HistorySettings(),
    spin: Float[ArrayLike, "..."] | None = None,
) -> HaloHistory:
    """History of one diffmah halo, or of many (leading axis on every leaf), differentiable in all parameters.

    Args:
      params: diffmah parameters, scalars or one per halo; after t_peak the mass grows as t^0.001.
      cosmology: the universe.
      observed_redshift: redshift of the last node; logm0 remains the mass at redshift 0.
      settings: nodes, start, halo definition, concentration.
      spin: spin parameter [1], shape of logm0.

    Returns:
      Smooth history whose masses and rates at the nodes are diffmah's.

    Raises:
      InputError: for concrete (not traced) parameters out of range, mass loss, or a halo that starts after its end.
    """
    _check_diffmah(params, cosmology, observed_redshift, settings)
    shape = jnp.shape(params.logm0)
    params = jax.tree.map(lambda leaf: jnp.broadcast_to(jnp.asarray(leaf, float), shape), params)
    cosmology = jax.tree.map(lambda leaf: jnp.asarray(leaf, float), cosmology)
    make = (_few if np.prod(shape) <= FEW else _many) if shape else _one
    return make(params, spin, cosmology, jnp.asarray(observed_redshift, float), settings)


_one = quickly(_diffmah_one, static_argnames=("settings",))


def _diffmah_many(
    params: Any, spin: Any, cosmology: Cosmology, observed_redshift: Any, settings: HistorySettings
) -> HaloHistory:
    return jax.vmap(lambda p, s: _diffmah_one(p, s, cosmology, observed_redshift, settings))(params, spin)


_few = quickly(_diffmah_many, static_argnames=("settings",), often=OFTEN)
_many = jax.jit(_diffmah_many, static_argnames=("settings",))


@fitted_on(*FITTED)
@buildable
def diffmah_history(
    *,
    log10_mvir: float,
    logtc: float | None = None,
    early_index: float | None = None,
    late_index: float | None = None,
    observed_redshift: float = 0.0,
    cosmology: Cosmology,
    settings: HistorySettings = HistorySettings(),
    spin: float | None = None,
) -> HaloHistory:
    """History of one halo of given mass; diffmah parameters left out take the middle of the population.

    Args:
      log10_mvir: log10 of the virial mass at redshift 0 [Msun].
      logtc: log10 of the time when the growth index rolls [Gyr].
      early_index, late_index: power of time long before and after [1].
      observed_redshift, cosmology, settings, spin: as in `from_diffmah`.

    Returns:
      Smooth history on settings.n_nodes nodes.

    Raises:
      InputError: as `from_diffmah`, and a mass out of range.
    """
    low, high = LOG10_MASSES
    if not isinstance(log10_mvir, jax.core.Tracer) and not low <= log10_mvir <= high:
        raise InputError(f"log10_mvir is {log10_mvir:g} dex(Msun); give {low:g} to {high:g} dex(Msun)")
    middle = mean_params(log10_mvir)
    params = diffmah.DiffmahParams(
        logm0=log10_mvir,
        logtc=middle.logtc if logtc is None else logtc,
        early_index=middle.early_index if early_index is None else early_index,
        late_index=middle.late_index if late_index is None else late_index,
    )
    return from_diffmah(params, cosmology=cosmology, observed_redshift=observed_redshift, settings=settings, spin=spin)


def stack(histories: list[HaloHistory]) -> HaloHistory:
    """One batch of single histories: every leaf, those of the cosmology too, gains a leading axis for `jax.vmap`.

    Raises:
      InputError: for an empty list, or histories of different lengths, interpolation, or with and without spin.
    """
    kinds = {(h.time.shape, h.interpolation, h.spin is None) for h in histories}
    if len(kinds) != 1:
        raise InputError(
            f"histories to stack are of {len(kinds)} kinds (nodes, interpolation, spin missing):"
            f" {sorted(map(str, kinds))}; build all of them with the same settings"
        )
    return jax.tree.map(lambda *leaves: jnp.stack([jnp.asarray(leaf) for leaf in leaves]), *histories)


def _check_diffmah(params: Any, cosmology: Cosmology, observed_redshift: Any, settings: HistorySettings) -> None:
    """Refuse concrete parameters that make no history."""
    leaves = [params, cosmology, observed_redshift]
    if any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(leaves)):
        return
    require = {
        "logm0": ("dex(Msun)", *LOG10_MASSES),
        "logtc": ("dex(Gyr)", -10.0, 10.0),
        "early_index": ("1", 0.0, 100.0),
        "late_index": ("1", 0.0, 100.0),
        "t_peak": ("Gyr", float(_age(cosmology, settings.first_redshift)), np.inf),
    }
    for name, (unit, low, high) in require.items():
        value = np.asarray(getattr(params, name))
        bad = ~((value >= low) & (value <= high))
        if bad.any():
            many = f" ({int(bad.sum())} haloes of {value.size})" if value.ndim else ""
            unit = "" if unit == "1" else f" {unit}"
            raise InputError(f"{name} is {value[bad].flat[0]:.6g}{unit}; give {low:.4g} to {high:.4g}{unit}{many}")
    if (np.asarray(params.late_index) > np.asarray(params.early_index)).any():
        raise InputError(
            "late_index is above early_index, which can make the halo lose mass; growth must slow down with"
            " time: choose late_index <= early_index"
        )
    if not 0.0 <= observed_redshift < settings.first_redshift:
        raise InputError(
            f"observed_redshift is {observed_redshift}; it must be at least 0 and below first_redshift ="
            f" {settings.first_redshift}; lower it or raise settings.first_redshift"
        )
    flat = jax.tree.map(lambda leaf: np.asarray(leaf)[..., None], params)
    check_final_mass(np.asarray(_log10_final(flat, cosmology, observed_redshift)), settings)


_age = quickly(age)


@quickly
def _log10_final(params: Any, cosmology: Cosmology, observed_redshift: Any) -> Array:
    return diffmah.log10_mass(params, age(cosmology, observed_redshift), age(cosmology, 0.0))


def check_final_mass(log10_final: np.ndarray, settings: HistorySettings) -> None:
    """Refuse haloes, of any shape, that end [dex Msun] before they reach the mass at which they start."""
    small = log10_final <= settings.log10_m_start
    if small.any():
        raise InputError(
            f"halo ends with log10 m_vir = {log10_final[small].flat[0]:.4g} dex(Msun), at or below the mass at which it"
            f" starts, log10_m_start = {settings.log10_m_start}; lower settings.log10_m_start, or drop this halo"
            f" ({int(small.sum())} of {small.size})"
        )
