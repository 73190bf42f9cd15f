"""How outputs of a baryon cycle answer to its parameters: exact Jacobians of anything named in its history.

Outputs and parameters go by dotted names: contents.mass.stars, flows.mass.wind, diagnostics.t_cool of `BaryonHistory`,
some ratios (`RATIOS`), and eta_energy.log10_a, star_formation.alpha0, f_recycle of the parameters. Derivatives are
those of the solution on the fixed grid.
"""

import difflib
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Bool, Float

from galdiff.baryons.cycle import BaryonCycle
from galdiff.baryons.evolve import Prepared, evolve_prepared, prepare
from galdiff.core.record import quantity, record, static
from galdiff.errors import InputError
from galdiff.records import BaryonHistory, HaloHistory

MODES = ("auto", "forward", "reverse")
INSIDE = ("stars", "ism", "cgm")
RATIOS: dict[str, Callable[[BaryonHistory], Array]] = {
    "metallicity.stars": lambda h: h.metallicity("stars"),
    "metallicity.ism": lambda h: h.metallicity("ism"),
    "metallicity.cgm": lambda h: h.metallicity("cgm"),
    "ratio.stars_to_halo": lambda h: h.m_star / h.m_vir,
    "ratio.ism_to_stars": lambda h: h.m_ism / h.m_star,
    "ratio.baryons_to_halo": lambda h: sum(h.contents["mass"][n] for n in INSIDE if n in h.contents["mass"]) / h.m_vir,
}


@record
class Sensitivity:
    """Outputs of one galaxy or (leading axis) of many, and their derivatives by parameters of the model."""

    redshift: Float[Array, "... t"] = quantity("", "redshift of the outputs")
    v_vir: Float[Array, "... t"] = quantity("km/s", "virial velocity of the halo then")
    values: Float[Array, "... t output"] = quantity("", "outputs, or their log10; NaN where there is no log10")
    jacobian: Float[Array, "... t output parameter"] = quantity("", "d values / d parameter, in natural units")
    error: Float[Array, "..."] = quantity("dex", "estimated error of the masses")
    solved: Bool[Array, "..."] = quantity("", "whether it is finite, positive and its error within the asked tolerance")
    outputs: tuple[str, ...] = static("names of the outputs")
    parameters: tuple[str, ...] = static("names of the parameters")
    mode: str = static("forward or reverse")
    log10: bool = static("whether values are log10 of the outputs")


def leaves_by_name(tree: Any) -> dict[str, Any]:
    """Leaves of nested records and dicts by dotted name, in the order of their declaration."""
    found, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in found}


def outputs_by_name(history: BaryonHistory) -> dict[str, Array]:
    """All that can be differentiated in a history, in its shape and [units of the records]; ratios only where their
    parts are known.
    """
    parts = dict(contents=history.contents, flows=history.flows, diagnostics=history.diagnostics)
    found = {f"{part}.{name}": leaf for part, tree in parts.items() for name, leaf in leaves_by_name(tree).items()}
    lacks = () if "cgm" in history.contents["mass"] else ("metallicity.cgm",)
    found |= {name: ratio(history) for name, ratio in RATIOS.items() if name not in lacks}
    t_cool, t_ff = history.diagnostics.t_cool, history.diagnostics.t_ff
    if t_cool is not None and t_ff is not None:
        found["ratio.cooling_to_free_fall"] = t_cool / t_ff
    return found


def choose(kind: str, names: Iterable[str], known: Sequence[str]) -> tuple[str, ...]:
    """The names, each once and known.

    Raises:
      InputError: none, a repeated or an unknown name; the message has the nearest known one.
    """
    chosen = (names,) if isinstance(names, str) else tuple(names)
    if not chosen or len(set(chosen)) < len(chosen):
        raise InputError(f"{kind}s are {', '.join(chosen) or 'none'}; name one or more, each once")
    for name in chosen:
        if name not in known:
            ends = {k.rpartition(".")[2]: k for k in reversed(known)}
            near = difflib.get_close_matches(name, known, 1, 0.5)
            near = near or [ends[k] for k in difflib.get_close_matches(name.rpartition(".")[2], ends, 1, 0.5)]
            hint = f"did you mean '{near[0]}'?" if near else f"choose from {', '.join(known)}"
            raise InputError(f"there is no {kind} '{name}'; {hint}")
    return chosen


def replaced(parameters: Any, names: Sequence[str], values: Float[Array, "parameter"]) -> Any:
    """The parameters with new values [each its own unit] for some of them, by dotted name."""
    place = {name: k for k, name in enumerate(names)}
    leaves, tree = jax.tree.flatten(parameters)
    new = [values[place[n]] if n in place else x for n, x in zip(leaves_by_name(parameters), leaves, strict=True)]
    return jax.tree.unflatten(tree, new)


def named_values(parameters: Any, names: Sequence[str]) -> Float[Array, "parameter"]:
    """Values of parameters [each its own unit] by dotted name."""
    known = leaves_by_name(parameters)
    return jnp.stack([jnp.asarray(known[name], float) for name in names])


def tables(stage: BaryonCycle, halos: HaloHistory | Prepared) -> Prepared:
    """Tables of one halo or of many on the grid of the stage's outputs; tables stay as they are."""
    if isinstance(halos, Prepared):
        return halos
    one = lambda halo: prepare(stage.equations(), halo, stage.outputs)  # noqa: E731
    return jax.jit(jax.vmap(one) if jnp.ndim(halos.t_start) else one)(halos)


def response_function(stage: BaryonCycle, outputs: Iterable[str], parameters: Sequence[str], log10: bool) -> Callable:
    """Function (values of the parameters, tables of one halo) -> (outputs (t, output), history)."""
    own = stage.parameters()

    def respond(values: Float[Array, "parameter"], prepared: Prepared) -> tuple[Array, BaryonHistory]:
        equations = stage.equations(replaced(own, parameters, values))
        history = evolve_prepared(equations, prepared)
        known = outputs_by_name(history)
        names = choose("output", outputs, list(known))
        ledgers = {f"contents.{q}.{n}" for q, b in equations.budgets.items() for n in b.ledgers}
        if log10 and ledgers & set(names):
            name = sorted(ledgers & set(names))[0]
            raise InputError(f"{name} counts what left and what came, so it may be negative; set log10=False for it")
        out = jnp.stack([known[name] for name in names], -1)
        if log10:  # a flow may be zero in a sharp model: guard the logarithm for its gradient
            positive = out > 0
            out = jnp.where(positive, jnp.log10(jnp.where(positive, out, 1.0)), jnp.nan)
        return out, history

    return respond


def mode_for(mode: str, n_parameters: int, n_values: int) -> str:
    """Forward or reverse: what is asked for, or the one with fewer passes, forward (which is lighter) for a tie."""
    if mode not in MODES:
        raise InputError(f"mode is '{mode}'; choose one of {', '.join(MODES)}")
    return ("forward" if n_parameters <= n_values else "reverse") if mode == "auto" else mode


def jacobian_function(
    stage: BaryonCycle,
    outputs: Iterable[str],
    parameters: Iterable[str] | None = None,
    *,
    mode: str = "auto",
    log10: bool = True,
) -> Callable[[Prepared, Float[Array, "..."]], Sensitivity]:
    """Compiled Jacobians: a function of tables (see `tables`) and values of the parameters, to be used many times.

    Args:
      stage: a baryon cycle.
      outputs: dotted names.
      parameters: dotted names; None for all parameters of the model.
      mode: forward (a pass per parameter), reverse (a pass per output and time), or auto for the fewer passes.
      log10: differentiate log10 of the outputs.

    Returns:
      Function whose values are (parameter,), the same for all halos, or (halo, parameter), for each its own.
    """
    known = list(leaves_by_name(stage.parameters()))
    names = tuple(known) if parameters is None else choose("parameter", parameters, known)
    asked = (outputs,) if isinstance(outputs, str) else tuple(outputs)
    respond = response_function(stage, asked, names, log10)
    mode_for(mode, 1, 1)

    def one(prepared: Prepared, values: Array) -> Sensitivity:
        chosen = mode_for(mode, len(names), len(asked) * len(prepared.wanted))
        derive = jax.jacfwd if chosen == "forward" else jax.jacrev

        def with_history(values: Array) -> tuple:
            out, history = respond(values, prepared)
            return out, (out, history)

        slopes, (out, history) = derive(with_history, has_aux=True)(values)
        slopes = jnp.where(jnp.isnan(out)[..., None], jnp.nan, slopes)
        return Sensitivity(
            redshift=history.redshift,
            v_vir=history.v_vir,
            values=out,
            jacobian=slopes,
            error=history.error,
            solved=history.solved,
            outputs=asked,
            parameters=names,
            mode=chosen,
            log10=log10,
        )

    @jax.jit
    def run(prepared: Prepared, values: ArrayLike) -> Sensitivity:
        return _over_halos(one, prepared, values, len(names))

    return run


def jacobian(
    stage: BaryonCycle,
    halos: HaloHistory | Prepared,
    outputs: Iterable[str],
    parameters: Iterable[str] | None = None,
    *,
    values: Float[ArrayLike, "..."] | None = None,
    mode: str = "auto",
    log10: bool = True,
) -> Sensitivity:
    """Jacobian of named outputs at the output times of a stage, with respect to named parameters of the model.

    Args:
      stage: a baryon cycle.
      halos: one halo, or many with a leading axis; or their tables.
      outputs, parameters, mode, log10: as in `jacobian_function`, which compiles once for many calls.
      values: of the parameters, (parameter,) or (halo, parameter); None for the stage's own.

    Returns:
      Derivatives [unit of output / unit of parameter] of shape (t, output, parameter), after an axis of halos where
      there are many.

    Raises:
      InputError: an unknown name (the message has the nearest one), a wrong mode or shape, or log10 of a ledger.
    """
    run = jacobian_function(stage, outputs, parameters, mode=mode, log10=log10)
    if values is None:
        own = stage.parameters()
        names = (
            leaves_by_name(own) if parameters is None else choose("parameter", parameters, list(leaves_by_name(own)))
        )
        values = named_values(own, tuple(names))
    return run(tables(stage, halos), jnp.asarray(values, float))


def central_differences(
    stage: BaryonCycle, outputs: Iterable[str], parameters: Iterable[str], steps: Sequence[float], *, log10: bool = True
) -> Callable[[Prepared, Float[Array, "..."]], Float[Array, "... t output parameter"]]:
    """The same Jacobian from differences over plus and minus a step in each parameter, for comparison.

    Args:
      stage, outputs, parameters, log10: as in `jacobian_function`.
      steps: one per parameter [unit of the parameter], positive.

    Returns:
      Compiled function of tables and values, as that of `jacobian_function`.
    """
    names = choose("parameter", parameters, list(leaves_by_name(stage.parameters())))
    step = np.asarray(steps, float)
    if step.shape != (len(names),) or not (step > 0).all():
        raise InputError(f"steps are {step.tolist()}; give a positive step for each of the {len(names)} parameters")
    asked = (outputs,) if isinstance(outputs, str) else tuple(outputs)
    respond = response_function(stage, asked, names, log10)

    def one(prepared: Prepared, values: Array) -> Any:
        def along(direction: Array, h: Any) -> Array:
            up, down = values + direction * h, values - direction * h
            apart = jnp.sum(up - down)  # what was really stepped, after rounding
            return (respond(up, prepared)[0] - respond(down, prepared)[0]) / apart

        return jax.vmap(along, out_axes=-1)(jnp.eye(len(names)), jnp.asarray(step))

    return jax.jit(lambda prepared, values: _over_halos(one, prepared, values, len(names)))


def _over_halos(one: Callable, prepared: Prepared, values: ArrayLike, n_parameters: int) -> Any:
    """Apply to one halo or map over many, with common or own values."""
    many, shape = prepared.pace.ndim == 3, jnp.shape(values)
    n_halos = prepared.pace.shape[0] if many else 0
    if shape != (n_parameters,) and not (many and shape == (n_halos, n_parameters)):
        wanted = f"({n_parameters},)" + (f" or ({n_halos}, {n_parameters})" if many else "")
        raise InputError(f"values of the parameters have shape {shape}; give {wanted}")
    if not many:
        return one(prepared, values)
    return jax.vmap(one, (0, 0 if len(shape) == 2 else None))(prepared, values)


def mean_in_bins(x: np.ndarray, y: np.ndarray, width: float = 0.2) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean of the finite y in bins of x at least `width` wide that hold on average ten values or more.

    Returns:
      Centres [unit of x], means [unit of y], both of shape (bin,), NaN where a bin is empty, and edges (bin+1,).
    """
    use = np.isfinite(x) & np.isfinite(y)
    x, y = x[use], y[use]
    n_bins = max(min(int(np.ptp(x) / width) if len(x) else 1, len(x) // 10), 1)
    lo, hi = (x.min(), x.max()) if len(x) else (0.0, 1.0)
    edges = np.linspace(lo, hi if hi > lo else lo + width, n_bins + 1)
    place = np.clip(np.digitize(x, edges) - 1, 0, n_bins - 1)
    count = np.bincount(place, minlength=n_bins)
    total = np.bincount(place, weights=y, minlength=n_bins)
    mean = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return (edges[1:] + edges[:-1]) / 2, mean, edges
