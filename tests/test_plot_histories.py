"""Figures of histories show what the columns hold, name every curve beside its panel, and serve odd galaxies too."""

import dataclasses
import io
import itertools
import subprocess
import sys

import jax
import numpy as np
import pytest
from matplotlib.text import Text
from test_histories_io import made_history, spoiled

from galdiff.errors import InputError
from galdiff.observables.history_columns import columns
from galdiff.observables.relations import kernel_regression, log10_summary, scott_bandwidth
from galdiff.plotting.history_figure import DECADES, PANELS, plot_history, spread
from galdiff.plotting.populations_figure import RELATIONS, Overlay, chosen_outputs, plot_population


def draw(figure):
    """The figure as PNG bytes; warnings are errors."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=40)
    return buffer.getvalue()


def panel(figure, name):
    return next(ax for ax in figure.axes if name in (ax.get_title(), ax.get_title(loc="left")))


@pytest.fixture(scope="module")
def figure():
    return plot_history(made_history(), title="a galaxy")


@pytest.fixture(scope="module")
def many():
    """Galaxies at three redshifts with some scatter in what they hold."""
    history = made_history(40, 3)
    noise = 10 ** (0.1 * np.random.default_rng(1).normal(size=(40, 1)))
    return jax.tree.map(lambda x: x * noise if x.ndim == 2 and x.mean() > 1e6 else x, history)


def test_curves_are_the_columns(figure):
    given = columns(made_history())
    for name, column in (("masses", "m_stars"), ("mass flows", "sfr"), ("metallicities", "log10_z_ism"),
                         ("energy flows of the CGM", "edot_wind"), ("state of the gas in the halo", "t_cool_over_t_ff"),
                         ("loading factors", "eta_energy")):  # fmt: skip
        curves = [line.get_ydata() for line in panel(figure, name).lines]
        assert any(np.allclose(curve, given[column].values, rtol=1e-13) for curve in curves), column


def test_every_curve_is_named_beside_its_panel(figure):
    figure.draw_without_rendering()
    for p in PANELS:
        ax = panel(figure, p.title)
        assert len(ax.texts) == len(ax.lines) > 1
        inside = ax.get_window_extent()
        boxes = [Text.get_window_extent(text) for text in ax.texts]  # without the arrows
        assert all(box.x0 > inside.x1 for box in boxes)
        assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))
        assert len({line.get_color() for line in ax.lines}) == len(ax.lines)
        around = ax.get_tightbbox()
        assert figure.bbox.x0 <= around.x0 < around.x1 <= figure.bbox.x1, "cut"
        assert figure.bbox.y0 <= around.y0 < around.y1 <= figure.bbox.y1, "cut"


def test_names_do_not_touch():
    for heights in ([0.5, 0.5, 0.5], [0.0, 0.01, 0.9], [0.97, 0.98, 0.99, 1.0], [0.1, 0.5, 0.9], []):
        found = spread(heights, 0.1)
        assert all(b - a > 0.1 - 1e-9 for a, b in itertools.pairwise(found))
        assert all(-1e-9 <= h <= 1 + 1e-9 for h in found)
    np.testing.assert_allclose(spread([0.1, 0.5, 0.9], 0.1), [0.1, 0.5, 0.9])
    np.testing.assert_allclose(spread([0.5, 0.5], 0.1), [0.45, 0.55])


def test_redshifts_stand_where_the_history_has_them(figure):
    history = made_history()
    top = next(ax for ax in figure.axes if ax.get_xlabel() == "redshift")
    at = dict(zip((t.get_text() for t in top.get_xticklabels()), top.get_xticks(), strict=True))
    assert {"0", "1", "2"} <= set(at)
    for name, time in at.items():
        assert time == pytest.approx(13.0 / (1 + float(name)), rel=2e-3)
        assert top.get_xlim() == panel(figure, "masses").get_xlim()
    assert max(at.values()) <= history.time[-1]


def test_redshifts_stand_right_with_few_outputs_too():
    top = next(ax for ax in plot_history(made_history(n_t=4), title="").axes if ax.get_xlabel() == "redshift")
    for label, at in zip(top.get_xticklabels(), top.get_xticks(), strict=True):
        assert at == pytest.approx(13.0 / (1 + float(label.get_text())), rel=2e-3)


def test_every_logarithmic_axis_names_a_tick():
    flat = made_history()
    flat.flows["energy"] = {name: np.full(200, 3e13) for name in flat.flows["energy"]}
    figure = plot_history(flat, title="")
    for p in PANELS:
        lo, hi = panel(figure, p.title).get_ylim()
        if p.logarithmic:
            assert np.floor(np.log10(hi)) > np.floor(np.log10(lo))


def test_what_starts_from_nothing_does_not_squeeze_the_rest():
    history = made_history()
    history.contents["mass"]["stars"][:20] = 1e-30
    lo, hi = panel(plot_history(history, title=""), "masses").get_ylim()
    assert np.log10(hi / lo) < 1.2 * DECADES


def regulator_like():
    """No CGM, no energy."""
    history = made_history()
    contents = {q: {k: v for k, v in c.items() if k != "cgm"} for q, c in history.contents.items() if q != "energy"}
    flows = {q: {k: v for k, v in f.items() if k != "cooling"} for q, f in history.flows.items() if q != "energy"}
    d = dataclasses.replace(history.diagnostics, t_cool=None, t_ff=None, temperature=None, eta_energy=None)
    return dataclasses.replace(history, contents=contents, flows=flows, diagnostics=d)


def spoiled_everywhere(history):
    """NaN in all but the times."""
    bad = jax.tree.map(lambda x: np.full_like(x, np.nan) if x.ndim else x, history)
    return dataclasses.replace(bad, time=history.time, redshift=history.redshift)


ODD = {
    "one output": lambda: made_history(n_t=1),
    "few outputs": lambda: made_history(n_t=4),
    "a small model": regulator_like,
    "float32": lambda: made_history(dtype=np.float32),
    "no solution": lambda: spoiled_everywhere(made_history()),
    "nothing flows": lambda: dataclasses.replace(
        made_history(), flows=jax.tree.map(np.zeros_like, made_history().flows)
    ),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_galaxies_can_be_drawn(name):
    assert draw(plot_history(ODD[name](), title=name)).startswith(b"\x89PNG")


def test_a_small_model_has_fewer_panels():
    titles = [ax.get_title(loc="left") for ax in plot_history(regulator_like(), title="").axes if ax.get_visible()]
    assert "masses" in titles
    assert "energy flows of the CGM" not in titles


def test_one_galaxy_and_many_are_told_apart():
    with pytest.raises(InputError, match="plot_population"):
        plot_history(made_history(3), title="")
    with pytest.raises(InputError, match="plot_history"):
        plot_population(made_history(), title="")


def test_lines_are_kernel_means_at_the_output_redshifts(many):
    figure = plot_population(many, title="a population")
    ax = panel(figure, "stars in halos")
    x, y = (np.asarray(log10_summary(many, n))[:, -1] for n in RELATIONS["stars in halos"])
    (line,) = [line for line in ax.lines if line.get_linestyle() == "-"]
    expected = kernel_regression(x, y, line.get_xdata(), scott_bandwidth(x)).mean
    np.testing.assert_allclose(line.get_ydata(), expected, rtol=1e-12)
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["z = 0", "z = 0.857", "z = 12"]
    assert draw(figure).startswith(b"\x89PNG")


def test_the_legend_lies_below_all_panels(many):
    figure = plot_population(many, title="a population")
    figure.draw_without_rendering()
    lowest = min(ax.get_tightbbox().y0 for ax in figure.axes)
    assert figure.legends[0].get_window_extent().y1 <= lowest


def test_galaxies_without_a_solution_are_left_out_and_counted(many):
    wrong = jax.tree.map(np.copy, many)
    wrong.contents["mass"]["stars"][[0, 5]] = 1e3  # finite, but not solved
    wrong.solved[[0, 5]] = False
    figure = plot_population(wrong, title="a population", redshifts=[0.0])
    assert "38 galaxies, 2 without a solution left out" in figure._suptitle.get_text()
    good = plot_population(jax.tree.map(lambda x: x[wrong.solved], many), title="a population", redshifts=[0.0])
    for ax, other in zip(figure.axes, good.axes, strict=True):
        for a, b in zip(ax.lines, other.lines, strict=True):
            np.testing.assert_array_equal(a.get_xydata(), b.get_xydata())
    with pytest.raises(InputError, match="none of the 40"):
        plot_population(spoiled(many, slice(None)), title="")


def test_redshifts_are_chosen_among_common_outputs(many):
    assert list(chosen_outputs(many, [12.0, 0.0]).values()) == [0.0, 12.0]
    assert len(chosen_outputs(made_history(3, 64), None)) == 5
    with pytest.raises(InputError, match="redshift 3"):
        chosen_outputs(many, [3.0])
    own = dataclasses.replace(many, redshift=many.redshift + np.arange(40)[:, None])
    with pytest.raises(InputError, match="Outputs"):
        plot_population(own, title="")


def test_data_are_drawn_over_their_relation(many):
    x, y = np.array([8.0, 14.0]), np.array([-5.0, -4.0])
    data = Overlay(relation="stars in halos", x=x, y=y, error=0.1 * np.ones(2), name="a survey")
    figure = plot_population(many, title="", data=[data])
    lo, hi = panel(figure, "stars in halos").get_xlim()
    assert lo < 8.0 < 14.0 < hi
    assert figure.legends[0].get_texts()[-1].get_text() == "a survey"
    assert panel(figure, "metals of the stars").get_xlim()[0] > 8.0


def test_the_published_relation_can_be_drawn_over(many, data_dir):
    path = data_dir / "obs" / "smhm_behroozi2019_z0_sf_centrals.csv"
    if not path.is_file():
        pytest.skip("no published relation")
    rows = np.array([line.split(",") for line in path.read_text().splitlines() if line[0].isdigit()], float)
    data = Overlay("stars in halos", rows[:, 0], rows[:, 1], rows[:, 3], "Behroozi et al. (2019)")
    assert draw(plot_population(many, title="", data=[data])).startswith(b"\x89PNG")


@pytest.mark.parametrize("n", [1, 3])
def test_few_galaxies_can_be_drawn(n):
    assert draw(plot_population(made_history(n, 2), title="few")).startswith(b"\x89PNG")


def test_no_window_is_needed():
    """pyplot would choose a backend; figures are made without it."""
    code = (
        "import sys, galdiff.plotting.history_figure, galdiff.plotting.populations_figure;"
        " sys.exit('matplotlib.pyplot' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
