"""Corrections: bounded factors on rates and weights, which no choice of network weights can turn into a broken law."""

import abc
import dataclasses
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from galdiff.core.buildable import buildable
from galdiff.errors import InputError


class Hook(typing.NamedTuple):
    """A place for a correction: what it sees and how many numbers it asks for.

    A stage names its own in the class attribute `hooks`, by the argument that takes the correction; where one depends
    on other arguments, it is a function of them. `galdiff.build` completes networks of a config from it, so that any
    preset fits any hook.
    """

    drivers: tuple[str, ...]  # what each is, with its unit
    offset: tuple[float, ...]  # of the drivers,
    scale: tuple[float, ...]  # so that (driver - offset) / scale is of order one
    n_out: int
    bound: float | None = None  # of |ln(factor)|, where a config names none


class Correction(nnx.Module):
    """Rescale primitive rates or weights by what drives them; what follows from them is derived afterwards."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        buildable(cls)  # constructors compute and read no file

    @classmethod
    def inner_hook(cls, hook: Hook, arguments: Mapping[str, Any]) -> Hook:
        """What a network inside this correction sees of a hook, given the other arguments of the constructor."""
        del arguments
        return hook

    @abc.abstractmethod
    def __call__(self, flows: Any, drivers: Array) -> Any:
        """Corrected flows, in the same structure, shape and unit.

        Args:
          flows: pytree (record, dict or bare array) of positive rates or weights, any unit.
          drivers: what the correction may look at: physical, of order one [1].
        """


@typing.final
class NoCorrection(Correction):
    """The physics as it stands: hands back the very same flows."""

    def __call__(self, flows: Any, drivers: Array) -> Any:
        """Flows, untouched."""
        del drivers
        return flows


@typing.final
class LogGain(Correction):
    """Multiply each flow by exp(g), g = bound * tanh(net(drivers) / bound); none at start if net's last layer is zero.

    A tree of n flows takes a net with n outputs on the last axis, in the order of the tree (fields of a record as
    declared, keys of a dict sorted); a bare array takes one output per element of its last axis.

    Args of the constructor:
      net: from drivers to ln(gain); bound: of |ln(gain)|.
      drivers: positions of those that the net sees, in its order; None for all. What a rate should not depend on is
        best not seen: drivers of one halo go together, and their small differences fit noise.
    """

    def __init__(self, *, net: Callable, bound: float, drivers: Sequence[int] | None = None) -> None:
        self.net = net
        self.bound = _positive(bound)
        self.drivers = None if drivers is None else tuple(int(i) for i in drivers)

    @classmethod
    def inner_hook(cls, hook: Hook, arguments: Mapping[str, Any]) -> Hook:
        """The drivers that the net sees."""
        seen = arguments.get("drivers")
        if seen is None:
            return hook
        n = len(hook.drivers)
        if not seen or any(i not in range(n) for i in seen):
            raise InputError(f"drivers are {list(seen)}; give places from 0 to {n - 1}: {', '.join(hook.drivers)}")
        names, offset, scale = (tuple(of[i] for i in seen) for of in (hook.drivers, hook.offset, hook.scale))
        return hook._replace(drivers=names, offset=offset, scale=scale)

    def __call__(self, flows: Any, drivers: Array) -> Any:
        """Flows times exp(g), |g| < bound; positive flows stay positive."""
        gain = jnp.exp(self.log_gain(drivers))
        leaves, tree = jax.tree.flatten(flows)
        if jax.tree_util.treedef_is_leaf(tree):
            _fits(gain, flows.shape[-1])
            return flows * gain
        _fits(gain, len(leaves))
        return jax.tree.unflatten(tree, [leaf * gain[..., i] for i, leaf in enumerate(leaves)])

    def log_gain(self, drivers: Array) -> Array:
        """g [1], shape (..., flow)."""
        seen = drivers if self.drivers is None else drivers[..., np.asarray(self.drivers)]
        return _bounded(self.net(seen), self.bound)


@typing.final
class Each(Correction):
    """A correction of its own for each of some named flows; the others stay untouched."""

    def __init__(self, **named: Correction) -> None:
        self.names = tuple(named)
        for name, correction in named.items():
            setattr(self, name, correction)

    @classmethod
    def inner_hook(cls, hook: Hook, arguments: Mapping[str, Any]) -> Hook:
        """One flow each."""
        return hook._replace(n_out=1)

    def __call__(self, flows: Any, drivers: Array) -> Any:
        """Flows of a record or dict, the named ones corrected."""
        known = (
            flows if isinstance(flows, dict) else {f.name: getattr(flows, f.name) for f in dataclasses.fields(flows)}
        )
        if unknown := [name for name in self.names if name not in known]:
            raise ValueError(f"there is no flow '{unknown[0]}' to correct; choose some of {', '.join(known)}")
        changed = {name: getattr(self, name)(known[name][..., None], drivers)[..., 0] for name in self.names}
        return known | changed if isinstance(flows, dict) else dataclasses.replace(flows, **changed)


@typing.final
class Chain(Correction):
    """One correction after another."""

    def __init__(self, corrections: Sequence[Correction]) -> None:
        self.corrections = nnx.List(list(corrections))

    def __call__(self, flows: Any, drivers: Array) -> Any:
        """Flows after all of them."""
        for correction in self.corrections:
            flows = correction(flows, drivers)
        return flows


@typing.final
class SimplexTilt(Correction):
    """Tilt a distribution: weights * exp(g), rescaled so that their sum over the last axis stays what it was."""

    def __init__(self, *, net: Callable, bound: float) -> None:
        self.net = net
        self.bound = _positive(bound)

    def __call__(self, flows: Float[Array, "... weight"], drivers: Array) -> Float[Array, "... weight"]:
        """Weights >= 0 with the sum they came with; all-zero weights stay zero."""
        gain = jnp.exp(self.log_gain(drivers))
        _fits(gain, flows.shape[-1])
        tilted = flows * gain
        total = tilted.sum(-1, keepdims=True)
        return tilted * (flows.sum(-1, keepdims=True) / jnp.where(total > 0, total, 1.0))

    def log_gain(self, drivers: Array) -> Array:
        """g [1], shape (..., weight); only its differences matter."""
        return _bounded(self.net(drivers), self.bound)


def _bounded(g: Array, bound: float) -> Array:
    return bound * jnp.tanh(g / bound)


def _positive(bound: float | None) -> float:
    if bound is None or not bound > 0:
        raise ValueError(f"bound is {bound}; it is the largest |ln(factor)| and must be above 0, for example 1.0")
    return float(bound)


def _fits(gain: Array, n: int) -> None:
    if gain.shape[-1:] != (n,):
        raise ValueError(f"the net returns shape {gain.shape}, but there are {n} flows; its last axis must have {n}")
