"""Powers of ten as exponentials: processors have those in vectors, while a power costs ten times as much."""

import math

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

LN10 = math.log(10.0)


def exp10(x: Float[ArrayLike, "..."]) -> Float[Array, "..."]:
    """10 to the power x [dex], any shape; right to some units in the last place times x ln 10."""
    return jnp.exp(LN10 * jnp.asarray(x))
