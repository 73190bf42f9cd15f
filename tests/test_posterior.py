"""Posteriors and the methods that find them, on lines and small densities whose answers are known."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from scipy import stats

import galdiff
from galdiff.core.priors import LogNormal, Normal
from galdiff.core.variables import physical
from galdiff.errors import InputError
from galdiff.inference.likelihoods.line_fluxes import LineLikelihood
from galdiff.inference.likelihoods.model import Independent, measured
from galdiff.inference.losses import LOWER, MEASURED, UPPER, Censored, Gaussian, StudentT
from galdiff.inference.many import results_of
from galdiff.inference.methods.importance import Importance
from galdiff.inference.methods.laplace import Laplace
from galdiff.inference.methods.nuts import Nuts, chain_diagnostics
from galdiff.inference.methods.optimum import Optimum
from galdiff.inference.methods.smc import Smc
from galdiff.inference.methods.variational import Variational, begun, mapped, unmapped
from galdiff.inference.posterior import make_posterior, stacked
from galdiff.inference.result import reasons_against
from galdiff.light_records import EmissionLines

X = jnp.linspace(0.0, 1.0, 6)
DESIGN = np.stack([np.asarray(X), np.ones(6)], 1)
ERROR = 0.1
Y = DESIGN @ [2.0, 0.5] + ERROR * np.random.default_rng(0).normal(size=6)
PRIORS = {"slope": Normal(1.0, 1.0), "zero": Normal(0.0, 2.0)}


class Values(Independent):
    """Compares what a model returns, as it is."""

    wanted = ("values",)

    def prediction(self, predicted):
        return predicted["values"]


class Line(nnx.Module):
    def __init__(self):
        self.slope = physical(1.0, unit="1")
        self.zero = physical(0.0, unit="1")

    def __call__(self, x):
        return self.slope.bounded * x + self.zero.bounded


class Squared(Line):
    """Knows the size of the slope, and not its sign."""

    def __call__(self, x):
        return self.slope.bounded**2 * x + self.zero.bounded


class Nowhere(Line):
    def __call__(self, x):
        return self.slope.bounded * x / 0.0


GAUSSIAN, CENSORED = Values(noise=Gaussian(), floor=0.0), Values(noise=Censored(), floor=0.0)
IMPORTANCE = Importance(starts=4, steps=12, rounds=6, draws=200, attempts=2)
SMC = Smc(populations=4, particles=2000, moves=8, keep=0.7)


def posterior(model=Line, y=Y, error=ERROR, likelihood=GAUSSIAN, priors=PRIORS):
    data = measured(y, np.broadcast_to(error, np.shape(y)))
    return make_posterior(model(), unknowns=["*"], likelihood=likelihood, data=data, inputs={"x": X}, priors=priors)


@pytest.fixture(scope="module")
def line():
    return posterior()


@pytest.fixture(scope="module")
def exact():
    """Mean and covariance of slope and zero, in closed form, and ln of the evidence."""
    prior = np.diag([1.0, 4.0])
    covariance = np.linalg.inv(DESIGN.T @ DESIGN / ERROR**2 + np.linalg.inv(prior))
    mean = covariance @ (DESIGN.T @ Y / ERROR**2 + np.linalg.inv(prior) @ [1.0, 0.0])
    whole = DESIGN @ prior @ DESIGN.T + ERROR**2 * np.eye(6)
    return mean, covariance, stats.multivariate_normal.logpdf(Y, DESIGN @ [1.0, 0.0], whole)


@pytest.mark.parametrize(
    ("method", "r"),
    [
        (Laplace(starts=2, steps=12, draws=2000), 0.06),
        (IMPORTANCE, 0.1),
        (SMC, 0.15),
        (Variational(layers=0, steps=60, side_by_side=8, learning_rate=0.05, draws=1000), 0.1),
    ],
    ids=["laplace", "importance", "smc", "variational"],
)
def test_a_line_has_the_posterior_and_the_evidence_of_the_closed_form(line, exact, method, r):
    found = method(line, 1)
    mean, covariance, evidence = exact
    assert found.usable, found.said()
    sd = np.sqrt(np.diag(covariance))
    np.testing.assert_allclose(found.flat.mean(0), mean, atol=r * sd.max())
    np.testing.assert_allclose(np.cov(found.flat.T), covariance, atol=2 * r * sd.max() ** 2)
    np.testing.assert_allclose(found.diagnostics["ln_evidence"], evidence, atol=0.05)
    assert "usable" in found.said()


def test_chains_agree_with_the_closed_form(line, exact):
    found = Nuts(chains=4, warmup=100, draws=150, target_accept=0.8)(line)
    mean, covariance, _ = exact
    assert found.draws.shape == (4, 150, 2)
    sd = np.sqrt(np.diag(covariance))
    np.testing.assert_allclose(found.flat.mean(0), mean, atol=0.25 * sd.max())
    assert found.diagnostics["divergent"] == 0
    assert found.diagnostics["ess"] > 100
    assert found.diagnostics["r_hat"] < 1.05


def test_chains_and_weighted_draws_agree_on_a_bent_density():
    bent = posterior(Squared, y=0.5 * Y, priors={"slope": LogNormal(1.0, 0.2), "zero": Normal(0.0, 0.5)}, error=0.3)
    weighted = IMPORTANCE(bent)
    chains = galdiff.infer(bent, "nuts", warmup=100, draws=150)
    sd = weighted.numbers[0].std(0)
    assert weighted.usable
    np.testing.assert_allclose(chains.numbers.mean((0, 1)), weighted.numbers[0].mean(0), atol=0.3 * sd.max())
    np.testing.assert_allclose(chains.numbers.std((0, 1)) / sd, 1.0, atol=0.3)


@pytest.mark.parametrize("solver", ["levenberg_marquardt", "lbfgs"])
def test_the_optimum_is_that_of_least_squares_with_a_condition(line, exact, solver):
    found = Optimum(solver=solver, starts=3, steps=40)(line)
    np.testing.assert_allclose(found.flat[0], exact[0], rtol=1e-4)
    assert found.usable
    assert found.diagnostics["starts_there"] == 3
    root = np.diag([1.0, 2.0])  # widths of the priors
    values = np.linalg.eigvalsh(root @ np.linalg.inv(exact[1]) @ root)
    np.testing.assert_allclose(found.diagnostics["condition"], values[-1] / values[0], rtol=1e-6)


TWO_MAXIMA = {"slope": Normal(0.0, 2.0), "zero": Normal(0.0, 2.0)}


@pytest.mark.parametrize("method", [IMPORTANCE, SMC], ids=["importance", "smc"])
def test_both_maxima_of_a_density_are_found_and_weighed_with_the_evidence(method):
    two = posterior(Squared, priors=TWO_MAXIMA)
    found = method(two)
    assert found.usable, found.said()
    assert 0.35 < (found.flat[:, 0] > 0).mean() < 0.65
    slope = np.linspace(-8, 8, 4001)  # the zero in closed form, the slope by the trapezoidal rule
    whole = 4.0 * np.ones((6, 6)) + ERROR**2 * np.eye(6)
    each = stats.multivariate_normal.logpdf(Y - np.outer(slope**2, X), np.zeros(6), whole)
    evidence = np.log(np.trapezoid(np.exp(each + stats.norm.logpdf(slope, 0.0, 2.0)), slope))
    np.testing.assert_allclose(found.diagnostics["ln_evidence"], evidence, atol=0.1)


def test_a_flow_comes_nearer_to_a_bent_density_than_a_gaussian():
    bent = posterior(Squared, y=0.5 * Y, priors={"slope": LogNormal(1.0, 0.4), "zero": Normal(0.0, 0.5)}, error=0.6)
    settings = dict(steps=250, side_by_side=16, learning_rate=0.05, draws=1000)
    gaussian, flow = (Variational(layers=layers, **settings)(bent).diagnostics for layers in (0, 2))
    exact = IMPORTANCE(bent).diagnostics["ln_evidence"]
    assert gaussian["lower_bound"] + 0.01 < flow["lower_bound"] < exact + 0.05
    np.testing.assert_allclose(flow["ln_evidence"], exact, atol=0.1)
    assert flow["ess"] > gaussian["ess"]


def test_a_flow_knows_how_it_stretches_volume():
    weights = begun(jnp.asarray([1.0, -1.0]), jnp.asarray([[2.0, 0.0], [0.5, 3.0]]), 2, jax.random.key(0))
    plain = mapped(weights, jnp.asarray([0.3, -0.4]))[0]
    np.testing.assert_allclose(plain, [1.6, -1.0 + 0.15 - 1.2], atol=5e-3)  # the Gaussian, whatever the layers
    weights |= {"skew": jnp.asarray([[0.3, -0.2], [0.1, 0.4]]), "ln_tail": jnp.asarray([[0.2, -0.1], [-0.3, 0.1]])}
    z = jnp.asarray([0.3, -0.4])
    slopes = jax.jacfwd(lambda z: mapped(weights, z)[0])(z)
    there, stretch = mapped(weights, z)
    np.testing.assert_allclose(stretch, np.linalg.slogdet(slopes)[1], rtol=1e-10)
    np.testing.assert_allclose(unmapped(weights, there), z, rtol=1e-9)


def test_the_end_in_a_saddle_or_at_the_edge_is_said():
    between = Optimum(solver="levenberg_marquardt", starts=1, steps=30)
    saddle = between(posterior(Squared, priors={"slope": Normal(0.0, 2.0), "zero": Normal(0.0, 2.0)}))
    assert not saddle.usable
    assert "saddle, along slope" in saddle.said()
    edge = between(posterior(priors=PRIORS | {"slope": Normal(-3.0, 0.5)}))
    assert "slope ended at the edge of the prior" in edge.said()


def test_directions_that_only_the_prior_knows_are_named():
    found = Optimum(solver="levenberg_marquardt", starts=1, steps=10)(posterior(y=np.r_[Y[0], [np.nan] * 5]))
    assert found.notes == ("the data know less than the prior of 1.00 slope",)  # x is zero at the first point


def test_posteriors_in_a_batch_are_those_of_each_alone(line):
    other = dataclasses.replace(line, data=measured(Y + 1.0, np.full(6, ERROR)))
    batch = results_of(IMPORTANCE, {"a": line, "b": other, "c": line}, together=2)
    np.testing.assert_allclose(batch["a"].log_density.mean(), batch["c"].log_density.mean(), rtol=0.02)
    alone = results_of(IMPORTANCE, {"b": other}, together=2)["b"]
    np.testing.assert_allclose(batch["b"].quantiles(), alone.quantiles(), atol=0.02)
    np.testing.assert_allclose(batch["b"].flat[:, 1].mean() - batch["a"].flat[:, 1].mean(), 1.0, atol=0.05)
    with pytest.raises(InputError, match="several models cannot be stacked"):
        stacked([line, posterior()])


def test_a_posterior_is_the_same_in_single_precision(line):
    u = jnp.asarray([0.3, -0.2])
    with jax.enable_x64(False):
        low = jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), line)
        single = low.log_density(jnp.asarray(u, jnp.float32))
        slope = jax.grad(low.log_density)(jnp.asarray(u, jnp.float32))
    np.testing.assert_allclose(single, line.log_density(u), rtol=1e-5)
    np.testing.assert_allclose(slope, jax.grad(line.log_density)(u), rtol=1e-4)


NOISES = {"gaussian": Gaussian(), "censored": Censored(), "student": StudentT(nu=4.0)}


@pytest.mark.parametrize("noise", NOISES.values(), ids=NOISES)
@pytest.mark.parametrize("limit", [MEASURED, UPPER, LOWER])
def test_residuals_are_the_density_but_for_a_constant(noise, limit):
    if limit != MEASURED and not noise.limits:
        return
    residual = lambda x: noise.residual(x, 0.5, 0.7, limit)  # noqa: E731
    functions = (lambda x: -0.5 * residual(x) ** 2, lambda x: noise(x, 0.5, 0.7, limit), residual)
    both = jax.jit(lambda x: [jax.vmap(jax.value_and_grad(f))(x) for f in functions])  # one program
    (loss, by_loss), (density, by_density), (_, by_residual) = jax.tree.map(
        np.asarray, both(np.array([-6.0, -1.0, -1e-4, 0.0, 1e-4, 2.0, 5.0, -1e3, 1e3]))
    )
    near = slice(7)
    np.testing.assert_allclose((loss - loss[0])[near], (density - density[0])[near], atol=1e-10)
    np.testing.assert_allclose(by_loss[near], by_density[near], atol=1e-8)
    assert np.isfinite(by_residual[7:]).all()


def test_an_upper_limit_counts_only_where_the_model_shines_above_it():
    with_limit = posterior(y=np.r_[Y, 0.0][:6], error=np.r_[[ERROR] * 5, -ERROR], likelihood=CENSORED)
    dark, bright = (
        with_limit.likelihood.residuals({"values": jnp.full(6, v)}, with_limit.data)[5] for v in (-1.0, 9.0)
    )
    assert dark < 1e-3
    assert bright > 5.0


def test_a_floor_widens_the_errors_of_what_is_measured_alone():
    likelihood = Values(noise=Censored(), floor=0.1)
    np.testing.assert_allclose(likelihood.errors(measured([4.0, 4.0, np.nan], [0.3, -0.3, 1.0])), [0.5, 0.3, 1.0])


def test_line_fluxes_are_compared_by_name():
    lines = EmissionLines(
        wave=X[:3], lum=X[:3], bare=X[:3], flux=jnp.asarray([1.0, 2.0, 3.0]), ew=X[:3], names=("a", "b", "c")
    )
    likelihood = LineLikelihood(names=["c", "a"], noise=Gaussian(), floor=0.0)
    np.testing.assert_allclose(likelihood.residuals({"lines": lines}, measured([2.0, 1.5], [0.5, 0.5])), [-2.0, 1.0])
    with pytest.raises(InputError, match="the model makes no line 'd'; it has a, b, c"):
        LineLikelihood(names=["d"], noise=Gaussian(), floor=0.0).prediction({"lines": lines})


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: posterior(y=[np.nan] * 6), "no measurement is there"),
        (lambda: posterior(error=0.0), "measurement 0 is .* an error above 0"),
        (lambda: posterior(error=-0.1), "limits, which Gaussian does not understand"),
        (lambda: posterior(Nowhere), "the density is finite nowhere in the prior of slope, zero"),
        (lambda: Values(noise=Gaussian(), floor=1.0), "floor is 1.0"),
        (lambda: measured([1.0], [1.0, 2.0]), "values have shape"),
        (lambda: Optimum(solver="newton", starts=1, steps=1), "solver is 'newton'"),
        (lambda: Nuts(chains=1, warmup=1, draws=1, target_accept=0.8), "chains is 1"),
        (lambda: Nuts(chains=2, warmup=1, draws=1, target_accept=1.0), "target_accept is 1.0"),
        (lambda: Laplace(starts=0, steps=1, draws=1), "starts is 0"),
        (lambda: Smc(populations=1, particles=9, moves=1, keep=0.7), "populations is 1"),
        (lambda: Smc(populations=2, particles=9, moves=1, keep=1.0), "keep is 1.0"),
        (lambda: Variational(layers=-1, steps=1, side_by_side=1, learning_rate=0.1, draws=1), "layers is -1"),
        (lambda: Variational(layers=0, steps=1, side_by_side=1, learning_rate=1.0, draws=1), "learning_rate is 1.0"),
    ],
)
def test_what_cannot_be_is_refused_on_one_line(make, said):
    with pytest.raises(InputError, match=said) as error:
        make()
    assert "\n" not in str(error.value)


def test_chains_that_stand_still_or_disagree_are_not_usable():
    still = chain_diagnostics(np.ones((4, 50, 2)))
    assert any("do not move" in said for said in reasons_against(still))
    apart = np.random.default_rng(0).normal(size=(4, 200, 1)) + np.arange(4)[:, None, None]
    assert any("R-hat" in said for said in reasons_against(chain_diagnostics(apart)))
    together = np.random.default_rng(0).normal(size=(4, 500, 1))
    assert reasons_against(chain_diagnostics(together)) == ()


@pytest.mark.parametrize(
    ("diagnostics", "said"),
    [
        ({"ess": 99.0}, "effective sample size is 99"),
        ({"psis_k": 0.8}, "take method=nuts"),
        ({"divergent": 0.01}, "raise target_accept"),
        ({"ln_evidence": np.nan}, "ln_evidence is not finite"),
    ],
)
def test_each_diagnostic_that_fails_gives_a_reason(diagnostics, said):
    assert any(said in reason for reason in reasons_against(diagnostics))
    assert reasons_against({"ess": 400.0, "psis_k": 0.3, "divergent": 0.0, "ln_evidence": -3.0}) == ()
