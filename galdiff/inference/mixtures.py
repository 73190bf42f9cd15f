"""Mixtures of Student's t that proposals are made of: drawn from, evaluated, and moved to where weighted draws are."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.scipy.special import gammaln, logsumexp
from jaxtyping import Array, ArrayLike, Float, PRNGKeyArray

from galdiff.core.record import quantity, record

NU = 5  # degrees of freedom of the components
FROM_PRIOR = 0.05  # share of the draws
WIDER = 1.2  # of the first proposal than the density at its maxima
SHRINK = 0.25  # of the covariance of a component towards that of all draws, so that no wing is lost
ROOM = 1.1  # of an adapted component over the draws that it stands for


@record
class Mixture:
    """Components of a proposal in standard normal numbers of the priors; the last is the prior."""

    ln_share: Float[Array, "component"] = quantity("", "ln of the share of the draws")
    centre: Float[Array, "component unknown"] = quantity("", "of each")
    root: Float[Array, "component unknown unknown"] = quantity("", "Cholesky factor of its scale matrix")


def from_maxima(at: Array, height: Array, covariance: Array) -> Mixture:
    """Components at points [1], shape (start, unknown), with the shares that Gaussian approximations give them."""
    root = _roots(covariance * WIDER**2)
    size = height + jnp.log(jnp.abs(jnp.diagonal(root, axis1=-2, axis2=-1))).sum(-1)
    size = jnp.where(jnp.isfinite(size), size, -jnp.inf)
    return _with_prior(jax.nn.log_softmax(jnp.maximum(size, size.max() - 7.0)), at, root)


def adapted(mixture: Mixture, u: Array, ln_w: Array, key: PRNGKeyArray, fresh: ArrayLike) -> Mixture:
    """One step of expectation maximisation on weighted draws [1], shape (draw, unknown).

    The component of the prior stays. A fresh one, with one component a maximum, gets components around draws that are
    taken by their weights, each of half the mean covariance, so that they can part to follow a bent density.
    """
    w = jax.nn.softmax(ln_w)
    n, k = u.shape[1], mixture.ln_share.shape[0] - 1
    each, far = _each(mixture, u)
    mine = jax.nn.softmax(each[:-1], 0) * w  # (component, draw)
    share = mine.sum(1)
    pull = mine * (NU + n) / (NU + far[:-1])
    centre = (pull @ u) / jnp.maximum(pull.sum(1), 1e-30)[:, None]
    away = u - centre[:, None]
    sums = jnp.einsum("kd,kdi,kdj->kij", pull, away, away)
    mean, eye = sums.sum(0), 1e-6 * jnp.eye(n, dtype=u.dtype)
    own = sums / jnp.maximum(share, 1e-30)[:, None, None]
    middle = u - w @ u
    whole = (middle * w[:, None]).T @ middle
    root = _roots(ROOM**2 * ((1 - SHRINK) * own + SHRINK * whole) + eye)
    alive = (share > 1e-3) & jnp.isfinite(root).all((1, 2))
    ln_share = jax.nn.log_softmax(jnp.where(alive, jnp.log(jnp.maximum(share, 1e-30)), -20.0))
    kept = lambda new, old: jnp.where(alive.reshape(-1, *[1] * (new.ndim - 1)), new, old[:-1])  # noqa: E731
    after = _with_prior(ln_share, kept(centre, mixture.centre), kept(root, mixture.root))
    around = u[jax.random.choice(key, u.shape[0], (k,), p=w)]
    begun = _with_prior(jnp.full(k, -jnp.log(k), u.dtype), around, _roots(jnp.broadcast_to(mean / 2 + eye, root.shape)))
    return jax.tree.map(lambda first, other: jnp.where(fresh, first, other), begun, after)


def draw(mixture: Mixture, key: PRNGKeyArray, n: int) -> Float[Array, "draw unknown"]:
    """Standard normal numbers of the priors [1]: from the components by their shares."""
    which, normal, chi = jax.random.split(key, 3)
    at = jax.random.categorical(which, mixture.ln_share, shape=(n,))
    z = jax.random.normal(normal, (n, mixture.centre.shape[1]), mixture.centre.dtype)
    stretch = jnp.sqrt(NU / (jax.random.normal(chi, (NU, n, 1), z.dtype) ** 2).sum(0))
    stretch = jnp.where((at == mixture.ln_share.shape[0] - 1)[:, None], 1.0, stretch)  # the prior is normal
    return mixture.centre[at] + jnp.einsum("dij,dj->di", mixture.root[at], z) * stretch


def ln_density(mixture: Mixture, u: Float[Array, "draw unknown"]) -> Float[Array, "draw"]:
    """ln of the density of a proposal [1] at standard normal numbers."""
    return logsumexp(_each(mixture, u)[0], axis=0)


def ln_density_of_all(proposals: Mixture, u: Float[Array, "draw unknown"]) -> Float[Array, "draw"]:
    """ln of the mean density [1] of the proposals of all rounds, a leading axis, at standard normal numbers.

    As if each draw came from all of them: so those of every round count, and no weight is larger than that of the round
    which knows a place best (Cornuet et al. 2012, Scand. J. Stat. 39, 798).
    """
    one = lambda total, proposal: (jnp.logaddexp(total, ln_density(proposal, u)), None)  # noqa: E731
    total, _ = jax.lax.scan(one, jnp.full(u.shape[0], -jnp.inf, u.dtype), proposals)
    return total - jnp.log(proposals.ln_share.shape[0])


def clipped(ln_w: Float[Array, "draw"]) -> Float[Array, "draw"]:
    """ln of weights [1] of which none is far above the mean: truncated at sqrt(n) times it (Ionides 2008)."""
    ln_w = jnp.where(jnp.isfinite(ln_w), ln_w, -1e30)
    n = ln_w.shape[0]
    return jnp.minimum(ln_w, logsumexp(ln_w) - 0.5 * jnp.log(n))


def _each(mixture: Mixture, u: Array) -> tuple[Array, Array]:
    """ln of share times density of every component at draws (component, draw), and squared distances in its widths."""
    n = u.shape[1]
    inverse = jax.scipy.linalg.solve_triangular(
        mixture.root, jnp.broadcast_to(jnp.eye(n, dtype=u.dtype), mixture.root.shape), lower=True
    )
    white = jnp.einsum("kij,dj->kdi", inverse, u) - jnp.einsum("kij,kj->ki", inverse, mixture.centre)[:, None]
    far = (white**2).sum(-1)
    volume = jnp.log(jnp.abs(jnp.diagonal(mixture.root, axis1=-2, axis2=-1))).sum(-1)
    norm = gammaln((NU + n) / 2) - gammaln(NU / 2) - n / 2 * jnp.log(NU * jnp.pi)
    wide = norm - (NU + n) / 2 * jnp.log1p(far[:-1] / NU) - volume[:-1, None]
    prior = -0.5 * (far[-1] + n * jnp.log(2 * jnp.pi))
    return mixture.ln_share[:, None] + jnp.concatenate([wide, prior[None]]), far


def _with_prior(ln_share: Array, centre: Array, root: Array) -> Mixture:
    n = centre.shape[1]
    eye = jnp.eye(n, dtype=root.dtype)
    return Mixture(
        ln_share=jnp.append(ln_share + jnp.log1p(-FROM_PRIOR), jnp.log(FROM_PRIOR)),
        centre=jnp.concatenate([centre, jnp.zeros((1, n), centre.dtype)]),
        root=jnp.concatenate([jnp.where(jnp.isfinite(root), root, eye), eye[None]]),
    )


def _roots(matrices: Array) -> Any:
    return jnp.linalg.cholesky((matrices + matrices.swapaxes(-1, -2)) / 2)
