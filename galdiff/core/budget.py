"""Budgets: what leaves one reservoir enters another, dm/dt = S f."""

import difflib
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float


class Budget:
    """One conserved quantity: named reservoirs and named directed flows f >= 0 between them.

    Sources and sinks outside the galaxy are reservoirs too. A model has as many budgets as it conserves quantities
    (mass, metals, energy); leading axes of the flows (elements, say) pass through. Hashable, so a stage can hold it.
    `ledgers` are reservoirs outside: they count what left and what came, may be negative, and limit no flow.
    """

    def __init__(
        self, *, reservoirs: tuple[str, ...], transfers: Mapping[str, tuple[str, str]], ledgers: tuple[str, ...] = ()
    ) -> None:
        self.reservoirs = tuple(reservoirs)
        self.ledgers = tuple(ledgers)
        self.transfers = tuple((flow, *ends) for flow, ends in transfers.items())
        if len(set(self.reservoirs)) != len(self.reservoirs):
            raise ValueError(f"reservoirs {self.reservoirs} repeat a name; give each one once")
        for name in self.ledgers:
            if name not in self.reservoirs:
                raise ValueError(
                    f"ledger '{name}' is no reservoir{_nearest(name, self.reservoirs)}; known are"
                    f" {', '.join(self.reservoirs)}"
                )
        for flow, ends in transfers.items():
            if isinstance(ends, str) or len(ends) != 2:
                raise ValueError(f"transfer '{flow}' is {ends!r}; give (donor, receiver)")
            for end in ends:
                if end not in self.reservoirs:
                    raise ValueError(
                        f"transfer '{flow}' names the reservoir '{end}'{_nearest(end, self.reservoirs)}; known are "
                        f"{', '.join(self.reservoirs)}"
                    )
            if ends[0] == ends[1]:
                raise ValueError(f"transfer '{flow}' goes from '{ends[0]}' to itself; donor and receiver must differ")

    @property
    def table(self) -> np.ndarray:
        """S [1], shape (reservoir, flow): each column holds one -1 (donor) and one +1 (receiver)."""
        table = np.zeros((len(self.reservoirs), len(self.transfers)), np.int8)
        for column, (_, donor, receiver) in enumerate(self.transfers):
            table[self.reservoirs.index(donor), column] = -1
            table[self.reservoirs.index(receiver), column] = 1
        return table

    def rate(self, flows: Any) -> Float[Array, "... reservoir"]:
        """dm/dt = S f [unit of the flows], last axis in the order of `reservoirs`; its sum is zero to round-off.

        Args:
          flows: record or mapping that holds every flow named in the transfers; others are not looked at.
        """
        return jnp.stack(jnp.broadcast_arrays(*self.rates(flows).values()), -1)

    def rates(self, flows: Any) -> dict[str, Array]:
        """dm/dt by reservoir [unit of the flows], each of the shape of a flow; see `rate`."""
        # Sums, not a matrix product: accelerators round the factors of products to fewer bits.
        change: dict[str, Array] = {name: jnp.zeros(()) for name in self.reservoirs}
        for flow, donor, receiver in self.transfers:
            amount = self._flow(flows, flow)
            change[donor] = change[donor] - amount
            change[receiver] = change[receiver] + amount
        return change

    def of(self, m: Float[Array, "... reservoir"], name: str) -> Float[Array, "..."]:
        """Content of the reservoir called `name` [unit of m]."""
        if name not in self.reservoirs:
            raise ValueError(f"no reservoir '{name}'{_nearest(name, self.reservoirs)}; known are {self.reservoirs}")
        return m[..., self.reservoirs.index(name)]

    def total(self, m: Float[Array, "... reservoir"]) -> Float[Array, "..."]:
        """Sum over the reservoirs [unit of m], which the flows cannot change."""
        return jnp.sum(m, -1)

    def __eq__(self, other: object) -> bool:
        same = isinstance(other, Budget) and self.reservoirs == other.reservoirs
        same = same and self.transfers == other.transfers  # type: ignore[attr-defined]
        return same and self.ledgers == other.ledgers  # type: ignore[attr-defined]

    def __hash__(self) -> int:
        return hash((self.reservoirs, self.transfers, self.ledgers))

    @staticmethod
    def _flow(flows: Any, name: str) -> Array:
        known = tuple(flows) if isinstance(flows, Mapping) else tuple(vars(flows))
        if name not in known:
            raise ValueError(f"flow '{name}' is missing{_nearest(name, known)}; given are {', '.join(known)}")
        return jnp.asarray(flows[name] if isinstance(flows, Mapping) else getattr(flows, name))


def _nearest(name: str, known: tuple[str, ...]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f" (did you mean '{close[0]}'?)" if close else ""
