"""Modified Patankar-Runge-Kutta steps (Kopecz & Meister 2018, BIT 58, 691): third order, positive and conservative.

Every flow f >= 0 from a donor d is weighted by m_new / m_old of its donor, so that a reservoir cannot give more than it
has, and each stage is the solution of a small linear system. The matrix is an M-matrix with the pattern of the budget,
fixed when the code is traced, so its elimination is unrolled into scalar operations without a single subtraction
(Grassmann, Taksar & Heyman 1985, Oper. Res. 33, 1107).
"""

from typing import ClassVar

import diffrax
import jax
import jax.numpy as jnp
from jaxtyping import Array

from galdiff.core.budget import Budget

Contents = dict[str, dict[str, Array]]  # quantity -> reservoir -> content
Flows = dict[str, dict[str, Array]]  # quantity -> flow -> rate


def patankar_step(budget: Budget, before: dict[str, Array], moved: dict[str, Array], weigh: dict[str, Array]):
    """Solve m = before + S (moved * m[donor] / weigh[donor]).

    Args:
      budget: reservoirs, flows, ledgers. What leaves a ledger is not weighted.
      before: content of each reservoir, positive but in ledgers.
      moved: flow times step, none negative [unit of the contents].
      weigh: positive estimate of the contents afterwards; the weights of the donors.

    Returns:
      Content of each reservoir: positive, with the sum of `before`.
    """
    inner = [name for name in budget.reservoirs if name not in budget.ledgers]
    source = {name: before[name] for name in inner}
    # Divisions are what costs here: one for each donor.
    per_content = {donor: 1 / weigh[donor] for _, donor, _ in budget.transfers if donor in inner}
    rest = {name: jnp.ones_like(source[name]) for name in inner}  # weight of staying, or of leaving for a ledger
    rate: dict[tuple[str, str], Array] = {}  # share of a donor's new content that goes to a receiver
    for flow, donor, receiver in budget.transfers:
        if donor in inner:
            share = moved[flow] * per_content[donor]
            if receiver in budget.ledgers:
                rest[donor] = rest[donor] + share
            else:
                rate[donor, receiver] = rate[donor, receiver] + share if (donor, receiver) in rate else share
        elif receiver in inner:
            source[receiver] = source[receiver] + moved[flow]
    after = _eliminate(source, rate, rest)
    for ledger in budget.ledgers:
        after[ledger] = before[ledger]
    for flow, donor, receiver in budget.transfers:
        if donor in budget.ledgers:
            after[donor] = after[donor] - moved[flow]
            after[receiver] = after[receiver] + moved[flow] if receiver in budget.ledgers else after[receiver]
        elif receiver in budget.ledgers:
            after[receiver] = after[receiver] + moved[flow] * per_content[donor] * after[donor]
    return {name: after[name] for name in budget.reservoirs}


Rates = dict[tuple[str, str], Array]


@jax.custom_jvp
def _eliminate(source: dict[str, Array], rate: Rates, rest: dict[str, Array]) -> dict[str, Array]:
    """Solve m_i (rest_i + sum_j rate_ij) = source_i + sum_k rate_ki m_k."""
    return _substitute(_factor(rate, rest), source)


@_eliminate.defjvp
def _eliminate_jvp(primals, tangents):
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
    r leaves the walk among the others: from i to j with rate_ir rate_rj / (rest_r + rates out of r), or to rest.
    """
    rate, rest = dict(rate), dict(rest)
    factors, gone = [], set()
    for name in list(rest)[::-1]:
        out = {j: r for (i, j), r in rate.items() if i == name and j not in gone}
        into = {i: r for (i, j), r in rate.items() if j == name and i not in gone}
        per_total = 1 / (rest[name] + sum(out.values()))
        onward = {j: r * per_total for j, r in out.items()}
        for i, r in into.items():
            rest[i] = rest[i] + r * (rest[name] * per_total if out else 1.0)
            for j, share in onward.items():
                if j != i:
                    rate[i, j] = rate[i, j] + r * share if (i, j) in rate else r * share
        factors.append((name, per_total, onward, into))
        gone.add(name)
    return factors


def _substitute(factors: list[tuple], source: dict[str, Array]) -> dict[str, Array]:
    """Contents from a source, any sign, linear in it."""
    source = dict(source)
    for name, _, onward, _ in factors:
        for j, share in onward.items():
            source[j] = source[j] + source[name] * share
    content: dict[str, Array] = {}
    for name, per_total, _, into in factors[::-1]:
        arriving = source[name]
        for i, r in into.items():
            arriving = arriving + r * content[i]
        content[name] = arriving * per_total
    return {name: content[name] for name in source}


class ModifiedPatankar(diffrax.AbstractAdaptiveSolver):
    """MPRK43II with gamma = 3/4 (Kopecz & Meister 2018, section 5.2): nodes 0, 2/3, 2/3, weights 1/4, 0, 3/4.

    The vector field returns flows per unit of time, `Flows`; the state is `Contents`. The second-order companion gives
    the weights of the last stage and the error estimate.
    """

    budgets: dict[str, Budget]
    term_structure: ClassVar = diffrax.AbstractTerm
    interpolation_cls: ClassVar = diffrax.LocalLinearInterpolation

    def order(self, terms):
        """Order of the method."""
        return 3

    def error_order(self, terms):
        """Order of the local error of the companion."""
        return 3

    def init(self, terms, t0, t1, y0, args):
        """No state is carried from step to step."""
        return None

    def step(self, terms, t0, t1, y0, args, solver_state, made_jump):
        """One step from t0 to t1."""
        del solver_state, made_jump
        step = terms.contr(t0, t1)
        middle = t0 + 2 / 3 * (t1 - t0)

        def moved(*parts):
            weights, flows = zip(*parts, strict=True)
            return jax.tree.map(lambda *f: step * sum(w * x for w, x in zip(weights, f, strict=True)), *flows)

        def solve(amounts, weigh):
            return {q: patankar_step(b, y0[q], amounts[q], weigh[q]) for q, b in self.budgets.items()}

        f1 = terms.vf(t0, y0, args)
        y2 = solve(moved((2 / 3, f1)), y0)
        f2 = terms.vf(middle, y2, args)
        y3 = solve(moved((1 / 3, f1), (1 / 3, f2)), y2)
        weigh = {
            q: {
                name: y2[q][name] * jnp.sqrt(y2[q][name] / y0[q][name])
                for name in b.reservoirs
                if name not in b.ledgers
            }
            for q, b in self.budgets.items()
        }
        companion = solve(moved((1 / 4, f1), (3 / 4, f2)), weigh)
        f3 = terms.vf(middle, y3, args)
        y1 = solve(moved((1 / 4, f1), (3 / 4, f3)), companion)
        error = {
            q: {n: jnp.zeros_like(y) if n in self.budgets[q].ledgers else y - companion[q][n] for n, y in each.items()}
            for q, each in y1.items()
        }
        return y1, error, dict(y0=y0, y1=y1), None, diffrax.RESULTS.successful

    def func(self, terms, t0, y0, args):
        """Flows at one time."""
        return terms.vf(t0, y0, args)
