"""The concepts of galdiff.core: units, records, variables, kernels, stages, corrections, budgets."""

import dataclasses

import astropy.constants as c
import astropy.units as u
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given, settings
from jaxtyping import Array, Float

from galdiff import units
from galdiff.core.budget import Budget
from galdiff.core.correction import Correction, LogGain, NoCorrection, SimplexTilt
from galdiff.core.kernels import TAPS, VARIANCE, bspline_weights
from galdiff.core.priors import LogNormal
from galdiff.core.record import check, quantity, record, static, unit_of
from galdiff.core.stage import Stage
from galdiff.core.variables import Physical, Table, on_device, physical, table, to_bounded, to_unbounded


@record
class Rates:
    """Rates of a toy model."""

    cooling: Float[Array, "t"] = quantity("Msun/Gyr", "cooling")
    stars: Float[Array, "t"] = quantity("Msun/Gyr", "star formation")
    label: str = static("name", default="")
    extra: Float[Array, "t 3"] | None = quantity("kpc", "optional", default=None)


class Net(nnx.Module):
    """Linear map of the drivers, with weights given."""

    def __init__(self, weights, bias):
        self.weights, self.bias = nnx.Param(jnp.asarray(weights)), nnx.Param(jnp.asarray(bias))

    def __call__(self, x):
        return x @ self.weights[...] + self.bias[...]


# --- units ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ours", "theirs", "rtol"),
    [
        (units.C_KMS, c.c.to_value("km/s"), 1e-15),
        (units.MPC_CM, u.Mpc.to(u.cm), 1e-14),
        (units.KPC_KM, u.kpc.to(u.km), 1e-14),
        (units.LSUN_ERG_S, c.L_sun.to_value("erg/s"), 1e-15),
        (units.MSUN_G, c.M_sun.to_value("g"), 1e-6),
        (units.G_KPC_KMS2_MSUN, (c.G * c.M_sun).to_value("kpc km2 / s2"), 1e-6),
        (units.GYR_S, u.Gyr.to(u.s), 1e-15),
        (units.PROTON_MASS_G, c.m_p.to_value("g"), 1e-8),
        (units.BOLTZMANN_ERG_K, c.k_B.to_value("erg/K"), 1e-15),
        (units.ARCSEC_PER_RADIAN, u.rad.to(u.arcsec), 1e-15),
        (units.FWHM_PER_SIGMA, np.sqrt(8 * np.log(2)), 1e-15),
        (units.MPC_KMS_PER_GYR, (1 / (1 * u.km / u.s / u.Mpc)).to_value("Gyr"), 1e-14),
        (
            units.FLUX_OF_ONE_LSUN_AT_ONE_MPC,
            (c.L_sun / (4 * np.pi * u.Mpc**2)).to_value("erg/(s cm2)") / 1e-20,
            1e-14,
        ),
        (units.AB_ZERO_POINT, 2.5 * np.log10((1 * u.ABflux).to_value("erg/(s cm2 Hz)")), 1e-4),
    ],
)
def test_constants_agree_with_astropy(ours, theirs, rtol):
    assert isinstance(ours, float)
    np.testing.assert_allclose(ours, theirs, rtol=rtol)


# --- records -------------------------------------------------------------------------------------------------------


def test_a_record_is_a_frozen_pytree_whose_static_fields_are_not_leaves():
    rates = Rates(cooling=jnp.ones(3), stars=jnp.zeros(3), label="toy")
    doubled = jax.tree.map(lambda x: 2 * x, rates)
    assert len(jax.tree.leaves(rates)) == 2
    assert doubled.label == "toy"
    np.testing.assert_array_equal(doubled.cooling, 2.0)
    with pytest.raises(dataclasses.FrozenInstanceError):
        rates.label = "other"
    assert unit_of(Rates, "extra") == "kpc"


def test_check_accepts_a_good_record():
    check(Rates(cooling=jnp.ones(3), stars=jnp.ones(3), extra=jnp.ones((3, 3))))
    assert jax.jit(lambda r: r.cooling.sum())(Rates(cooling=jnp.ones(3), stars=jnp.ones(3))) == 3.0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"cooling": np.ones((3, 1))}, r"Rates\.cooling \[Msun/Gyr\] has shape \(3, 1\).*\(t\)"),
        ({"stars": np.ones(4)}, r"Rates\.stars.*axis 't' is 4 long, but 3 in Rates\.cooling"),
        ({"extra": np.ones((3, 2))}, r"Rates\.extra \[kpc\].*axis '3' is 2 long, but 3 in its declaration"),
        ({"stars": np.array([1.0, np.nan, np.inf])}, r"Rates\.stars.*2 non-finite values out of 3"),
    ],
)
def test_check_names_the_field_its_unit_and_what_is_wrong(change, said):
    good = {"cooling": np.ones(3), "stars": np.ones(3)}
    with pytest.raises(ValueError, match=said):
        check(Rates(**(good | change)))


def test_check_looks_into_nested_records():
    @record
    class Outer:
        """Holds another record."""

        rates: Rates = quantity("", "rates")

    with pytest.raises(ValueError, match=r"Rates\.stars"):
        check(Outer(rates=Rates(cooling=np.ones(3), stars=np.ones(2))))


# --- variables -----------------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(st.floats(-1e3, 1e3), st.floats(1e-3, 1e3), st.floats(0.001, 0.999))
def test_bounds_are_a_bijection(lo, width, fraction):
    x = lo + width * fraction
    np.testing.assert_allclose(to_bounded(to_unbounded(x, lo, lo + width), lo, lo + width), x, rtol=1e-9, atol=1e-9)


def test_the_bounded_map_has_unit_slope_at_the_centre():
    np.testing.assert_allclose(jax.grad(lambda x: to_bounded(x, 1.0, 5.0))(3.0), 1.0, rtol=1e-12)


def test_a_physical_parameter_starts_at_its_value_and_never_leaves_its_bounds():
    tau = physical(2.0, lo=0.1, hi=10.0, unit="Gyr", prior=LogNormal(2.0, 0.3))
    np.testing.assert_allclose(tau.bounded, 2.0, rtol=1e-12)
    assert isinstance(tau, nnx.Param)
    assert (tau.unit, tau.prior) == ("Gyr", LogNormal(2.0, 0.3))
    for raw in (-1e6, 1e6):
        tau.set_value(jnp.asarray(raw))
        assert 0.1 <= tau.bounded <= 10.0
    free = physical(-3.0, unit="dex")
    assert float(free.bounded) == -3.0
    assert not free[...].weak_type


def test_a_physical_parameter_has_single_precision_where_jax_does():
    with jax.enable_x64(False):
        assert physical(2.0, lo=0.1, hi=10.0, unit="Gyr").bounded.dtype == jnp.float32
    assert physical(2.0, lo=0.1, hi=10.0, unit="Gyr").bounded.dtype == jnp.float64


@pytest.mark.parametrize(
    ("kwargs", "said"),
    [
        ({"value": 30.0, "lo": 0.05, "hi": 20.0}, r"30.0 Gyr is outside \(0.05, 20.0\) Gyr; move it or widen"),
        ({"value": 1.0, "lo": 0.0}, "give both or neither"),
        ({"value": 1.0, "lo": 2.0, "hi": 1.0}, "the lower must be below"),
        ({"value": float("nan")}, "not a finite number"),
    ],
)
def test_a_physical_parameter_out_of_bounds_is_refused_when_built(kwargs, said):
    with pytest.raises(ValueError, match=said):
        physical(unit="Gyr", **kwargs)


def test_tables_are_no_parameters_and_physics_splits_from_weights():
    class Model(nnx.Module):
        def __init__(self):
            self.tau = physical(2.0, lo=0.1, hi=10.0, unit="Gyr")
            self.weights = nnx.Param(jnp.ones(3))
            self.curve = table(np.arange(4.0))

    _, physics, weights, rest = nnx.split(Model(), Physical, nnx.Param, ...)
    assert [len(jax.tree.leaves(s)) for s in (physics, weights, rest)] == [1, 1, 1]
    assert isinstance(Model().curve, Table)


@pytest.mark.parametrize("dtype", [None, float, jnp.float32])
@pytest.mark.parametrize("value", [np.arange(3.0), np.arange(3), np.array([True]), [0.1, 1e30], 2.5, jnp.arange(2)])
def test_what_is_converted_on_the_host_is_what_a_device_makes_of_it(value, dtype):
    found, known = on_device(value, dtype), jnp.asarray(value, dtype)
    assert (found.dtype, found.shape) == (known.dtype, known.shape)
    np.testing.assert_array_equal(found, known)


# --- kernels -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kernel", TAPS)
@settings(max_examples=30, deadline=None)
@given(g=st.floats(-20.0, 20.0))
def test_kernel_shares_are_positive_sum_to_one_and_keep_mean_and_variance(kernel, g):
    index, weights = bspline_weights(jnp.asarray(g), kernel)
    assert index.shape == weights.shape == (TAPS[kernel],)
    assert (weights >= -1e-12).all()
    np.testing.assert_allclose(weights.sum(), 1.0, rtol=1e-12)
    offset = index + 0.5 - g
    if kernel == "nearest":
        assert abs(offset[0]) <= 0.5
    else:
        np.testing.assert_allclose((weights * offset).sum(), 0.0, atol=1e-12)
    if kernel in ("quadratic", "cubic"):
        np.testing.assert_allclose((weights * offset**2).sum(), VARIANCE[kernel], rtol=1e-9)


def test_the_linear_kernel_has_its_stated_variance_on_average():
    g = jnp.linspace(0.0, 1.0, 1000, endpoint=False)
    index, weights = bspline_weights(g, "linear")
    np.testing.assert_allclose(
        (weights * (index + 0.5 - g[:, None]) ** 2).sum(-1).mean(), VARIANCE["linear"], rtol=1e-5
    )


@pytest.mark.parametrize("kernel", ["linear", "quadratic", "cubic"])
def test_kernel_gradients_are_central_differences(kernel):
    def moment(g):
        index, weights = bspline_weights(g, kernel)
        return (weights * jnp.sin(index.astype(g.dtype))).sum()

    for g in (3.2, 7.71):
        numeric = (moment(jnp.asarray(g + 1e-6)) - moment(jnp.asarray(g - 1e-6))) / 2e-6
        np.testing.assert_allclose(jax.grad(moment)(jnp.asarray(g)), numeric, rtol=1e-7)


def test_an_unknown_kernel_is_refused():
    with pytest.raises(ValueError, match="'gauss'; choose one of nearest, linear"):
        bspline_weights(jnp.zeros(2), "gauss")


# --- stages --------------------------------------------------------------------------------------------------------


def test_a_stage_declares_what_it_reads_and_makes_by_its_signature():
    class Scale(Stage):
        def __call__(self, rates: Rates, other: Rates | None = None) -> Rates:
            return rates

    assert Scale.reads() == {"rates": Rates, "other": Rates | None}
    assert Scale.optional() == {"other"}
    assert Scale.makes() is Rates
    with pytest.raises(TypeError, match="abstract"):
        Stage()


# --- corrections ---------------------------------------------------------------------------------------------------

RATES = Rates(cooling=jnp.array([1.0, 1e10]), stars=jnp.array([0.1, 3.3]))
ZERO = Net(np.zeros((2, 2)), np.zeros(2))
WILD = Net([[300.0, -1.0], [0.2, 7.0]], [1.0, -2.0])
DRIVERS = jnp.array([[0.3, -0.7], [1.1, 0.4]])


def test_an_untrained_correction_changes_no_bit():
    assert NoCorrection()(RATES, DRIVERS) is RATES
    for flows, drivers in ((RATES, DRIVERS), (RATES.cooling, DRIVERS[0])):
        got = LogGain(net=ZERO, bound=1.0)(flows, drivers)
        assert jax.tree.all(jax.tree.map(jnp.array_equal, got, flows))
    weights = jax.random.uniform(jax.random.key(0), (5, 2))
    assert jnp.array_equal(SimplexTilt(net=ZERO, bound=1.0)(weights, DRIVERS[:1]), weights)


def test_a_gain_is_bounded_whatever_the_weights_and_keeps_flows_positive():
    got = LogGain(net=WILD, bound=0.5)(RATES, DRIVERS)
    assert isinstance(got, Rates)
    for new, old in zip(jax.tree.leaves(got), jax.tree.leaves(RATES), strict=True):
        assert (jnp.abs(jnp.log(new / old)) <= 0.5 * (1 + 1e-9)).all()
    np.testing.assert_allclose(jnp.log(got.cooling[0] / RATES.cooling[0]), 0.5 * np.tanh((90 - 0.14 + 1) / 0.5))
    np.testing.assert_allclose(jnp.log(got.stars[0] / RATES.stars[0]), 0.5 * np.tanh((-0.3 - 4.9 - 2) / 0.5))


def test_a_tilt_keeps_the_sum_and_leaves_nothing_alone():
    weights = jnp.array([[0.2, 0.8], [0.0, 0.0], [3.0, 1.0]])
    tilt = SimplexTilt(net=WILD, bound=2.0)
    got = tilt(weights, DRIVERS[1])
    np.testing.assert_allclose(got.sum(-1), weights.sum(-1), rtol=1e-14)
    assert (got[0] != weights[0]).all()
    assert jnp.isfinite(jax.grad(lambda w: tilt(w, DRIVERS[1])[:, 0].sum())(weights)).all()


def test_gradients_reach_the_weights_of_an_untrained_correction():
    net = Net(np.zeros((2, 2)), np.zeros(2))
    graph, state = nnx.split(LogGain(net=net, bound=1.0))
    grads = jax.jit(jax.grad(lambda s: sum(x.sum() for x in jax.tree.leaves(nnx.merge(graph, s)(RATES, DRIVERS)))))(
        state
    )
    np.testing.assert_allclose(grads["net"]["bias"][...], [RATES.cooling.sum(), RATES.stars.sum()], rtol=1e-12)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: LogGain(net=ZERO, bound=0.0), "bound is 0.0; .* above 0"),
        (lambda: SimplexTilt(net=ZERO, bound=-1.0), "bound is -1.0"),
        (lambda: LogGain(net=ZERO, bound=1.0)(jnp.ones(3), DRIVERS), "there are 3 flows; its last axis must have 3"),
        (lambda: LogGain(net=lambda x: x[:, :1], bound=1.0)(RATES, DRIVERS), "there are 2 flows"),
        (Correction, "abstract"),
    ],
)
def test_a_wrong_correction_is_refused(make, said):
    with pytest.raises((ValueError, TypeError), match=said):
        make()


# --- budgets -------------------------------------------------------------------------------------------------------

TRANSFERS = {"cooling": ("cgm", "ism"), "stars": ("ism", "star"), "wind": ("ism", "cgm"), "accretion": ("igm", "cgm")}
BUDGET = Budget(reservoirs=("igm", "cgm", "ism", "star"), transfers=TRANSFERS)


def test_every_transfer_has_one_donor_and_one_receiver():
    table_ = BUDGET.table
    assert table_.shape == (4, 4)
    assert (table_.sum(0) == 0).all()
    assert ((table_ == -1).sum(0) == 1).all()
    assert ((table_ == 1).sum(0) == 1).all()
    assert table_[:, 0].tolist() == [0, -1, 1, 0]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(0.0, 1e12), min_size=4, max_size=4))
def test_rates_are_the_table_times_the_flows_and_sum_to_nothing(values):
    flows = dict(zip(TRANSFERS, map(jnp.asarray, values), strict=True))
    rate = BUDGET.rate(flows)
    np.testing.assert_allclose(rate, BUDGET.table @ np.array(values), rtol=1e-14, atol=1e-300 + 1e-15 * max(values))
    assert abs(BUDGET.total(rate)) <= 4e-16 * 4 * sum(values)


def test_rates_take_records_and_leading_axes_of_several_conserved_quantities():
    budget = Budget(reservoirs=("cgm", "ism", "star"), transfers={"cooling": ("cgm", "ism"), "stars": ("ism", "star")})
    rate = jax.jit(budget.rate)(RATES)
    assert rate.shape == (2, 3)
    np.testing.assert_array_equal(budget.of(rate, "ism"), RATES.cooling - RATES.stars)
    np.testing.assert_array_equal(budget.of(rate, "cgm"), -RATES.cooling)


def test_a_budget_keeps_a_long_integration_constant():
    def step(m, _):
        flows = {"cooling": m[1] / 2, "stars": m[2] / 3, "wind": m[2] / 5, "accretion": m[0] / 7}
        return m + 0.01 * BUDGET.rate(flows), None

    start = jnp.array([1e12, 3e10, 7e9, 0.0])
    end, _ = jax.jit(lambda m: jax.lax.scan(step, m, None, 3000))(start)
    assert abs(BUDGET.total(end) / BUDGET.total(start) - 1) < 1e-13
    assert end[3] > 1e11


def test_budgets_compare_by_value_so_that_stages_can_hold_them():
    twin = Budget(reservoirs=("igm", "cgm", "ism", "star"), transfers=TRANSFERS)
    assert twin == BUDGET
    assert hash(twin) == hash(BUDGET)
    assert twin != Budget(reservoirs=("igm", "cgm", "ism", "star"), transfers={"wind": ("ism", "cgm")})


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Budget(reservoirs=("a", "a"), transfers={}), "repeat a name"),
        (lambda: Budget(reservoirs=("ism", "cgm"), transfers={"w": ("ism", "cgn")}), "'cgn'.*did you mean 'cgm'"),
        (lambda: Budget(reservoirs=("ism",), transfers={"w": ("ism", "ism")}), "to itself"),
        (lambda: Budget(reservoirs=("ism",), transfers={"w": "ism"}), r"give \(donor, receiver\)"),
        (lambda: BUDGET.rate({"coling": 1.0}), "flow 'cooling' is missing.*did you mean 'coling'"),
        (lambda: BUDGET.of(jnp.zeros(4), "stars"), "no reservoir 'stars'.*did you mean 'star'"),
    ],
)
def test_a_wrong_budget_is_refused(make, said):
    with pytest.raises(ValueError, match=said):
        make()
