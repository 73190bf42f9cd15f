"""Running sums that NumPy and JAX share."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def gross(net: Any, net_rate: Any, gross_rate: Any) -> Any:
    """What went in all along a last axis, of which a share stayed, by the trapezoid between its points.

    Args:
      net: what is there [any unit], (..., t), at the first point with the share of that point.
      net_rate, gross_rate: rates at which it grows and at which it is fed [same unit each], same shape; their ratio is
        that of the growth, one where nothing grows.

    Returns:
      Fed until each point [unit of net], (..., t); NumPy for NumPy.
    """
    xp = jnp if isinstance(net, jax.Array) else np
    ratio = xp.where(net_rate > 0, gross_rate / xp.where(net_rate > 0, net_rate, 1.0), 1.0)
    grown = xp.diff(net, axis=-1) * (ratio[..., 1:] + ratio[..., :-1]) / 2
    return xp.cumsum(xp.concatenate([net[..., :1] * ratio[..., :1], grown], -1), -1)
