"""Modified Patankar-Runge-Kutta steps (Kopecz & Meister 2018, BIT 58, 691): third order, positive and conservative.

Every flow f >= 0 from a donor d is weighted by m_new / m_old of its donor, so that a reservoir cannot give more than it
has, and each stage is the solution of a small linear system. The matrix is an M-matrix with the pattern of the budget,
fixed when the code is traced, so its elimination is unrolled into scalar operations without a single subtraction
(Grassmann, Taksar & Heyman 1985, Oper. Res. 33, 1107).
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from galdiff.core.budget import Budget

Contents = dict[str, dict[str, Array]]  # quantity -> reservoir -> content
Flows = dict[str, dict[str, Array]]  # quantity -> flow -> rate


Inverse = dict[str, dict[str, Array]]  # quantity -> donor -> 1 / content
NODES = (0.0, 2 / 3)  # of the scheme, within a step


def patankar_step(
    budget: Budget, before: dict[str, Array], moved: dict[str, Array], per_weigh: dict[str, Array]
) -> dict[str, Array]:
    """Solve m = before + S (moved * m[donor] / weigh[donor]).

    Args:
      budget: reservoirs, flows, ledgers. What leaves a ledger is not weighted.
      before: content of each reservoir, positive but in ledgers.
      moved: flow times step, none negative [unit of the contents].
      per_weigh: 1 / weigh for each donor but ledgers; weigh is a positive estimate of its content afterwards.

    Returns:
      Content of each reservoir, in the shape of `before`: positive, with the sum of `before`.
    """
    source = {name: before[name] for name in budget.reservoirs if name not in budget.ledgers}
    rest = {name: jnp.ones_like(source[name]) for name in donors(budget)}  # weight of staying, or of leaving for good
    rate: dict[tuple[str, str], Array] = {}  # share of a donor's new content that goes to another donor
    shares: dict[str, Array] = {}
    for flow, donor, receiver in budget.transfers:
        if donor in rest:
            shares[flow] = share = moved[flow] * per_weigh[donor]
            if receiver in rest:
                rate[donor, receiver] = rate[donor, receiver] + share if (donor, receiver) in rate else share
            else:
                rest[donor] = rest[donor] + share
        elif receiver in source:
            source[receiver] = source[receiver] + moved[flow]
    after = dict(before) | source | _eliminate({name: source[name] for name in rest}, rate, rest)
    for flow, donor, receiver in budget.transfers:
        if donor in budget.ledgers:
            after[donor] = after[donor] - moved[flow]
        if receiver not in rest and (donor in rest or receiver in budget.ledgers):
            amount = shares[flow] * after[donor] if donor in rest else moved[flow]
            after[receiver] = after[receiver] + amount
    return {name: after[name] for name in budget.reservoirs}


def donors(budget: Budget) -> tuple[str, ...]:
    """Reservoirs that something leaves, without ledgers."""
    leaving = {donor for _, donor, _ in budget.transfers}
    return tuple(name for name in budget.reservoirs if name in leaving and name not in budget.ledgers)


Rates = dict[tuple[str, str], Array]


@jax.custom_jvp
def _eliminate(source: dict[str, Array], rate: Rates, rest: dict[str, Array]) -> dict[str, Array]:
    """Solve m_i (rest_i + sum_j rate_ij) = source_i + sum_k rate_ki m_k."""
    return _substitute(_factor(rate, rest), source)


@_eliminate.defjvp
def _eliminate_jvp(primals: Any, tangents: Any) -> tuple:
    # A dm = dsource - dA m takes one more substitution; differentiating the elimination itself would cost far more.
    source, rate, rest = primals
    source_dot, rate_dot, rest_dot = tangents
    factors = _factor(rate, rest)
    content = _substitute(factors, source)
    change = {i: source_dot[i] - rest_dot[i] * content[i] for i in source}
    for (i, j), r in rate_dot.items():
        moved = r * content[i]
        change[i], change[j] = change[i] - moved, change[j] + moved
    return content, _substitute(factors, change)


def _factor(rate: Rates, rest: dict[str, Array]) -> list[tuple]:
    """Eliminate one reservoir after the other, as in an absorbing walk: nothing is subtracted.

    A unit of source comes to rest in a reservoir with weight `rest` or moves on with weight `rate`. Removing reservoir
    r leaves the walk among the others: from i to j with rate_ir rate_rj / (rest_r + rates out of r), or to rest. Two
    reservoirs, as most budgets have, are solved by their determinant, of positive terms alone.
    """
    if len(rest) == 2:
        a, b = rest
        nothing = jnp.zeros_like(rest[a])
        ab, ba = rate.get((a, b), nothing), rate.get((b, a), nothing)
        out_b = rest[b] + ba
        return [(a, b, out_b, ab, ba, rest[a] * out_b + ab * rest[b])]
    rate, rest = dict(rate), dict(rest)
    factors, gone = [], set()
    for name in list(rest)[::-1]:
        out = {j: r for (i, j), r in rate.items() if i == name and j not in gone}
        into = {i: r for (i, j), r in rate.items() if j == name and i not in gone}
        total = rest[name] + sum(out.values())
        onward = {j: r / total for j, r in out.items()}
        for i, r in into.items():
            rest[i] = rest[i] + r * (rest[name] / total if out else 1.0)
            for j, share in onward.items():
                if j != i:
                    rate[i, j] = rate[i, j] + r * share if (i, j) in rate else r * share
        factors.append((name, total, onward, into))
        gone.add(name)
    return factors


def _substitute(factors: list[tuple], source: dict[str, Array]) -> dict[str, Array]:
    """Contents from a source, any sign, linear in it."""
    if len(source) == 2:
        ((a, b, out_b, ab, ba, det),) = factors
        first = (out_b * source[a] + ba * source[b]) / det
        return {a: first, b: (source[b] + ab * first) / out_b}
    source = dict(source)
    for name, _, onward, _ in factors:
        for j, share in onward.items():
            source[j] = source[j] + source[name] * share
    content: dict[str, Array] = {}
    for name, total, _, into in factors[::-1]:
        arriving = source[name]
        for i, r in into.items():
            arriving = arriving + r * content[i]
        content[name] = arriving / total
    return {name: content[name] for name in source}


def patankar_advance(
    budgets: dict[str, Budget], moved: Callable[[int, Contents], Flows], y0: Contents
) -> tuple[Contents, Contents, Inverse]:
    """One step of MPRK43II with gamma = 3/4 (Kopecz & Meister 2018, section 5.2).

    Nodes 0, 2/3, 2/3, weights 1/4, 0, 3/4. The second-order companion gives the weights of the last stage.

    Args:
      budgets: quantity -> budget.
      moved: flow times step of (0 or 1 for the place in `NODES`, contents).
      y0: contents before.

    Returns:
      Contents afterwards, those of the companion, and the inverse of the companion's donors.
    """

    def mean(*parts: Any) -> Any:
        weights, amounts = zip(*parts, strict=True)
        return jax.tree.map(lambda *f: sum(w * x for w, x in zip(weights, f, strict=True)), *amounts)

    def inverse(y: Any) -> dict[str, Any]:
        return {q: {name: 1 / y[q][name] for name in donors(b)} for q, b in budgets.items()}

    def solve(amounts: Any, per_weigh: Any) -> dict[str, Any]:
        return {q: patankar_step(b, y0[q], amounts[q], per_weigh[q]) for q, b in budgets.items()}

    m1 = moved(0, y0)
    y2 = solve(mean((2 / 3, m1)), inverse(y0))
    m2, per_y2 = moved(1, y2), inverse(y2)
    y3 = solve(mean((1 / 3, m1), (1 / 3, m2)), per_y2)
    # Of weigh = y2 sqrt(y2 / y0); divisions are what costs here.
    per_weigh = {q: {n: x * jnp.sqrt(y0[q][n] * x) for n, x in each.items()} for q, each in per_y2.items()}
    companion = solve(mean((1 / 4, m1), (3 / 4, m2)), per_weigh)
    per_companion = inverse(companion)
    y1 = solve(mean((1 / 4, m1), (3 / 4, moved(1, y3))), per_companion)
    return y1, companion, per_companion
