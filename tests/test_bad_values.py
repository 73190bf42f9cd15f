"""Every number of a config set to what it cannot be: one line that names the key, before anything is computed."""

import functools
import importlib.util
import pathlib

import hydra
import hypothesis
import hypothesis.strategies as st
import pytest
from omegaconf import OmegaConf

from galdiff import cli
from galdiff.arguments import dotted
from galdiff.baryons import batches
from galdiff.cases import wind
from galdiff.core.signatures import expected, words
from galdiff.describe import describe, described
from galdiff.errors import InputError
from galdiff.front import run
from galdiff.inference import sensitivity
from galdiff.observing import grow
from galdiff.presets import folders
from galdiff.runtime import project_dir

BAD = ("nan", "inf", "-1", "0", "1e30", "text", "null", "[1]")
NOT_NUMBERS = ("nan", "inf", "text", "[1]")  # never right where a number stands
EXPERIMENTS = ("simulate", "populate", "sensitivity", "train", "predict", "finetune")
LIGHT = ("recover_maps", "recover_spectrum", "recover_population", "sed", "mock_catalog", "infer")
EXPERIMENTS += LIGHT
OTHERS = ("checkpoint", "data", "redshifts", "fills")  # which may be a text or a list
FEW = {  # halos that are made before the work begins
    "train": [f"case.{name}.n=8" for name in ("observed", "fitted", "held_out")],
    "predict": ["input.n=8"],
    "finetune": ["mock.halos.n=8", "halos.n=8"],
    "infer": [f"data={project_dir('conf')}"],  # any path that is there
}
LATER = ("hydra", "runtime", "packages")  # of the process


class LongWork(Exception):
    pass


@functools.cache
def script(name):
    spec = importlib.util.spec_from_file_location(name, project_dir("experiments") / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@functools.cache
def base(name):
    with hydra.initialize_config_dir(str(project_dir("conf")), version_base="1.3"):
        return hydra.compose(name, overrides=["runtime.precision=float64", "output=never", *FEW.get(name, [])])


@functools.cache
def numbers(name) -> dict[str, object]:
    """Dotted keys of the numbers of an experiment, and of what may be one."""
    plain = OmegaConf.to_container(base(name), resolve=True)
    found = {key: OmegaConf.select(base(name), key) for key in dotted(plain, "") if key.split(".")[0] not in LATER}
    return {k: v for k, v in found.items() if v is None or (isinstance(v, int | float) and not isinstance(v, bool))}


def stop_before_work(patch):
    """Make the work of experiments raise, where it begins."""

    def late(*_args, **_kwargs):
        raise LongWork

    places = ((grow, "Population"), (run, "library_of"), (batches, "make_batch"), (sensitivity, "tables"))
    places += ((wind, "prepare"), (script("predict"), "load"), (script("finetune"), "load"))
    for module, name in places:
        patch.setattr(module, name, late)
    patch.setattr(script("mock_catalog"), "draw_members", late)
    for of in LIGHT:
        patch.setattr(script(of), "build", library_apart(script(of).build))


def library_apart(build):
    """`build` without the library and the case, whose spectra take long."""

    def apart(node, path):
        if path in ("ssp", "case"):
            raise LongWork
        return build(node, path=path)

    return apart


@pytest.fixture(scope="module")
def no_long_work():
    with pytest.MonkeyPatch.context() as patch:
        stop_before_work(patch)
        yield
    script.cache_clear()


def outcome(name, key, value, folder):
    """What is wrong with how an experiment takes a value; nothing where it is refused by its key, or may be right."""
    config = OmegaConf.create(OmegaConf.to_container(base(name), resolve=True))
    OmegaConf.update(config, key, OmegaConf.create(f"x: {value}").x, merge=False)
    config.output = str(folder)
    config.overwrite = True
    try:
        script(name).main(config)
    except cli.EXPECTED as error:
        said = cli._explain(error, name, [project_dir("conf")], [])
        group, _, last = key.rpartition(".")
        return "" if "\n" not in said and (last in said or (group and group in said)) else said
    except LongWork:
        return "taken" if value in NOT_NUMBERS and key.split(".")[-1] not in OTHERS else ""
    return "ran"


@hypothesis.settings(max_examples=30, derandomize=True, deadline=None, database=None)
@hypothesis.given(st.data())
def test_every_number_that_cannot_be_is_refused_by_its_key(no_long_work, tmp_path_factory, data):
    name = data.draw(st.sampled_from(EXPERIMENTS))
    key = data.draw(st.sampled_from(sorted(numbers(name))))
    value = data.draw(st.sampled_from(BAD))
    assert not outcome(name, key, value, tmp_path_factory.mktemp("never")), f"{name} {key}={value}"


@pytest.mark.parametrize(
    ("value", "hint", "said"),
    [
        (1, float, None),
        (True, float, "a number"),
        (float("nan"), float | None, "a number or null"),
        (1e4, int, None),
        (1.5, int, "a whole number"),
        (None, str, "a text"),
        ([1.0, 2.0], tuple[float, float], None),
        ([1.0], tuple[float, float], "a list of 2 values, [a number, a number]"),
        ([1, "a"], list[int], "a list of whole numbers"),
        ({"a": 1}, dict[str, float], None),
        ({"_target_": "x.Y"}, float, None),
        ("${other}", float, None),
    ],
)
def test_annotations_say_what_fits(value, hint, said):
    assert expected(value, hint) == said
    assert said is None or words(hint) == said


def test_the_schema_of_a_key_is_shown(capsys):
    cli.main(["describe", "baryons.eta_mass.log10_a"])
    shown = capsys.readouterr().out
    assert "galdiff simulate" in shown
    assert "a number" in shown
    assert "trainable: above -2 and below 1 dex; uniform" in shown
    cli.main(["describe", "simulate", "input=disc", "input.disc.r_disc"])
    assert "exponential scale length of the disc [kpc]" in capsys.readouterr().out
    cli.main(["describe", "noise.snr"])
    assert "a positive number, or null, below 1e+06" in capsys.readouterr().out
    cli.main(["describe", "precision.kernel"])
    assert "one of nearest, linear, quadratic, cubic" in capsys.readouterr().out
    cli.main(["describe", "train", "train.steps"])
    assert "from 1 to 1e+09" in capsys.readouterr().out
    cli.main(["describe", "populate", "halo.seed"])
    assert "0 or more" in capsys.readouterr().out
    cli.main(["describe", "view.inclination"])
    assert "above -270 and below 450 deg" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ([], "describe takes a key"),
        (["vew.inclination"], "did you mean 'view.inclination'?"),
        (["simulate", "train"], "train: no experiment has such a key"),
    ],
)
def test_a_key_that_nothing_has_is_told_with_the_nearest(args, said):
    with pytest.raises(InputError, match="key") as error:
        describe(args, EXPERIMENTS, folders(project_dir("conf")))
    assert said in str(error.value)


def test_the_keys_of_the_main_job_can_be_described():
    config, found = base("simulate"), [pathlib.Path(project_dir("conf"))]
    keys = [key for key in dotted(OmegaConf.to_container(config, resolve=True), "") if key.split(".")[0] not in LATER]
    keys = [key for key in keys if "_target_" not in key and "references" not in key][::5]
    told = [key for key in keys if len(described(config, key, found, "simulate")) > 1]
    assert len(told) >= 0.75 * len(keys)
