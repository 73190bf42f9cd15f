"""The peer's setting for the two-zone baryon cycle, restated: what `benchmarks/baryons.py` compares with.

As the published code solves it: seven log10 contents against log10 of cosmic time, diffrax's Tsit5 with PID control
from a first step of 1e-10, many halos by vmap (so all wait for the slowest), and every quantity - spline of the halo,
filtering mass, NFW structure, loadings, bilinear cooling table - recomputed at each call of the right-hand side. The
equations are galdiff's with their sharp forms, which reproduce the peer's vector field to 1e-10.
"""

import diffrax
import jax
import jax.numpy as jnp
from jaxtyping import Array

from galdiff.baryons.evolve import Equations
from galdiff.baryons.halo_state import HaloNow
from galdiff.core.hermite import backward_slopes, hermite
from galdiff.cosmology import hubble, redshift_at_age
from galdiff.records import HaloHistory
from galdiff.units import GYR_S, MPC_KMS_PER_GYR

STATE = (("mass", "stars"), ("mass", "ism"), ("mass", "cgm"), ("energy", "heat"))
STATE += (("metals", "stars"), ("metals", "ism"), ("metals", "cgm"))
NAMES = ("m_vir", "mdot_vir", "r_vir", "v_vir", "c_nfw")


def splines(history: HaloHistory) -> tuple[Array, Array, Array]:
    """Nodes, values and slopes of the halo's splines and of redshift, made once."""
    values = jnp.log10(jnp.stack([getattr(history, name) for name in NAMES], -1))
    slopes = backward_slopes(values, history.time)
    z = redshift_at_age(history.cosmology, history.time)
    dz = -hubble(history.cosmology, z) / MPC_KMS_PER_GYR
    return (
        history.time,
        jnp.concatenate([values, jnp.log1p(z)[:, None]], -1),
        jnp.concatenate([slopes, dz[:, None]], -1),
    )


def halo_from(spline: tuple[Array, Array, Array], time: Array) -> HaloNow:
    """The halo at a time [Gyr]."""
    found = hermite(time, *spline)[0]
    read = {name: 10 ** found[i] for i, name in enumerate(NAMES)}
    return HaloNow(time=time, redshift=jnp.expm1(found[5]), **read)


def contents_of(log10_y: Array, equations: Equations) -> dict:
    """Contents by quantity and reservoir; ledgers are not followed."""
    contents = {q: dict.fromkeys(b.reservoirs, jnp.zeros(())) for q, b in equations.budgets.items()}
    for k, (quantity, name) in enumerate(STATE):
        contents[quantity][name] = 10 ** log10_y[k]
    return contents


def solve_peer(
    equations: Equations, history: HaloHistory, rtol: float, adjoint: diffrax.AbstractAdjoint | None = None
) -> Array:
    """log10 of the seven contents of one halo at its last node."""
    spline = splines(history)

    def rhs(log10_t, log10_y, args):
        t = 10**log10_t / GYR_S
        contents = contents_of(log10_y, equations)
        known_rates = equations.known_rates(equations.halo_state(halo_from(spline, t), history.cosmology))
        flows, _ = equations.flows(contents, known_rates)
        rates = {q: b.rates(flows[q]) for q, b in equations.budgets.items()}
        return jnp.stack([t * rates[q][n] / contents[q][n] for q, n in STATE])

    start = equations.start(halo_from(spline, history.t_start), history.cosmology)
    solution = diffrax.diffeqsolve(
        diffrax.ODETerm(rhs),
        diffrax.Tsit5(),
        t0=jnp.log10(history.t_start * GYR_S),
        t1=jnp.log10(history.time[-1] * GYR_S),
        dt0=1e-10,
        y0=jnp.log10(jnp.stack([start[q][n] for q, n in STATE])),
        stepsize_controller=diffrax.PIDController(rtol=rtol, atol=rtol),
        adjoint=diffrax.RecursiveCheckpointAdjoint() if adjoint is None else adjoint,
        max_steps=16384,
    )
    return solution.ys[0]


def many(equations_of, halos: HaloHistory, rtol: float, adjoint=None):
    """Compiled log10 states (halo, 7) as a function of the eight parameters."""
    return jax.jit(lambda p: jax.vmap(lambda h: solve_peer(equations_of(p), h, rtol, adjoint))(halos))
