"""The command line: `galdiff EXPERIMENT key=value ...` and `galdiff list`.

Every script in experiments/ decorates its main with `experiment`, so `galdiff simulate` and `python
experiments/simulate.py` do the same. Bad input ends in one line on stderr with the remedy, and exit code 2. Nothing
here loads JAX: the command refuses keys and presets that are not there before it loads what computes.
"""

import difflib
import functools
import importlib.metadata
import itertools
import os
import pathlib
import re
import runpy
import sys
from collections.abc import Callable, Iterable, Sequence

import hydra
import yaml
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, MissingMandatoryValue, OmegaConfBaseException

from galdiff.arguments import check_seeds, dotted, ordered, quoted
from galdiff.collecting import collecting_seldom
from galdiff.core.buildable import trusting
from galdiff.endings import Terminated, ending_in_order, silent_where_nobody_reads, warnings_in_words
from galdiff.errors import InputError, Lost
from galdiff.folders import project_dir
from galdiff.limits import check_before
from galdiff.presets import (
    checked,
    folders,
    groups,
    listing,
    no_choice_of,
    not_of_preset,
    packages_of,
    presets,
    search_path,
)

USAGE = (
    "usage: galdiff EXPERIMENT [key=value ...] [-m]   |   galdiff list   |   galdiff describe KEY   |"
    "   galdiff inspect RUN   |   galdiff EXPERIMENT --help"
)
BAD_INPUT, INTERRUPTED, TERMINATED = 2, 130, 143  # exit codes
EXPECTED = (InputError, HydraException, OmegaConfBaseException, yaml.YAMLError)


def experiment(config_name: str, conf: str | pathlib.Path | None = None) -> Callable:
    """Turn `main(cfg)` of a script into a command that reads its config from conf/ and key=value arguments.

    Args:
      config_name: YAML file in the config folder, without its ending.
      conf: config folder; the project's by default.

    Returns:
      A decorator. Called without arguments the decorated main reads `sys.argv` and exits with 0, 2 (bad input: one
      line on stderr), 130 (interrupted) or 143 (terminated); other exceptions are bugs and keep their traceback.
      Called with a config it just runs.
    """

    def decorate(main: Callable[[DictConfig], object]) -> Callable:
        @functools.wraps(main)
        def command(cfg: DictConfig | None = None) -> object:
            if cfg is not None:
                return _trusting_own(main, cfg)
            folder = pathlib.Path(conf) if conf is not None else project_dir("conf")
            with silent_where_nobody_reads(), ending_in_order(), collecting_seldom():
                _run(main, config_name, folder.resolve())
            return None

        return command

    return decorate


def run_folder(config: DictConfig) -> pathlib.Path:
    """Folder of this run: the config's `output`, or in a sweep the one that each job has in it."""
    sweep = HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN
    return pathlib.Path(HydraConfig.get().runtime.output_dir if sweep else config.output)


def main(argv: Sequence[str] | None = None) -> None:
    """The `galdiff` console script."""
    with silent_where_nobody_reads(), collecting_seldom():
        _main(argv)


def _main(argv: Sequence[str] | None) -> None:
    args = list(sys.argv[1:] if argv is None else argv)
    name = args[0] if args else "--help"
    try:
        scripts = {p.stem: p for p in sorted(project_dir("experiments").glob("*.py")) if not p.stem.startswith("_")}
        if name in ("-h", "--help", "help"):
            print(USAGE, "", *listing(scripts.values(), _folders(())), sep="\n")
        elif name == "list":
            print(*listing(scripts.values(), _folders(args[1:])), sep="\n")
        elif name == "describe":
            print(*_described(args[1:], list(scripts)), sep="\n")
        elif name == "inspect":
            print(_inspected(args[1:]))
        elif name == "--version":
            print(f"galdiff {importlib.metadata.version('galdiff')}")
        elif name not in scripts:
            raise InputError(f"there is no experiment '{name}'; {_choose(name, ['list', 'inspect', *scripts])}")
    except EXPECTED as error:
        _leave(_one_line(str(error)))
    if name in scripts:
        _check_keys(name, args[1:])
        sys.argv = [str(scripts[name]), *args[1:]]
        runpy.run_path(str(scripts[name]), run_name="__main__")


def _check_keys(name: str, argv: Sequence[str]) -> None:
    """Check keys and values of an experiment before its script, which loads slowly; options are left to the script."""
    conf = project_dir("conf")
    if any(text.startswith("-") for text in argv) or not (conf / f"{name}.yaml").is_file():
        return
    found = [conf]
    try:
        found = _folders(argv)
        with hydra.initialize_config_dir(str(conf.resolve()), version_base="1.3"):
            config = hydra.compose(name, overrides=search_path(found, argv))
        check_before(config, name, conf)
    except EXPECTED as error:
        if os.environ.get("HYDRA_FULL_ERROR") == "1":
            raise
        _leave(_explain(error, name, found, argv))


def _described(args: Sequence[str], experiments: Sequence[str]) -> list[str]:
    """What is known of a key."""
    from galdiff.describe import describe  # loads JAX

    return describe(args, experiments, _folders(args))


def _inspected(args: Sequence[str]) -> str:
    """What a checkpoint holds."""
    from galdiff.train.load import inspect  # training is not loaded for anything else

    if len(args) != 1:
        raise InputError("inspect takes one argument, the folder of a run: galdiff inspect PATH")
    return inspect(args[0])


def _folders(argv: Sequence[str], conf: pathlib.Path | None = None) -> list[pathlib.Path]:
    """Folders of presets: the project's, those of the packages that arguments trust, and one of --config-dir."""
    packages = packages_of(argv)
    if packages and os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    found = folders(project_dir("conf") if conf is None else conf, packages)
    for option, value in itertools.zip_longest(argv, argv[1:], fillvalue=""):
        name, _, inside = option.partition("=")
        if name in ("--config-dir", "-cd") and pathlib.Path(inside or value).is_dir():  # else Hydra says so
            found.append(pathlib.Path(inside or value).resolve())
    return found


def _run(main: Callable, config_name: str, conf: pathlib.Path) -> None:
    """Run an experiment under Hydra; report bad input on one line."""
    failed: list[Exception] = []
    given, found = sys.argv, [conf]
    within = False  # the experiment itself, whose errors of the system are bugs

    @functools.wraps(main)
    def job(cfg: DictConfig) -> object:
        nonlocal within
        within = True
        try:
            with silent_where_nobody_reads(), warnings_in_words():
                value = _trusting_own(main, cfg)
            within = False
            return value
        except EXPECTED as error:
            if HydraConfig.get().mode != RunMode.RUN:
                raise  # in a sweep Hydra says which job it was
            failed.append(error)
            return None

    chosen = os.environ.get("HYDRA_FULL_ERROR")
    os.environ["HYDRA_FULL_ERROR"] = "1"  # hand exceptions over instead of printing a shortened traceback
    try:
        found = _folders(given[1:], conf)
        sys.argv = [given[0], *search_path(found, ordered(given[1:]))]
        hydra.main(config_path=str(conf), config_name=config_name, version_base="1.3")(job)()
    except EXPECTED as error:
        failed.append(error)
    except Terminated:
        _leave("terminated", TERMINATED)
    except KeyboardInterrupt:
        _leave("interrupted", INTERRUPTED)
    except OSError as error:
        if within or error.filename is None:
            raise
        said = f"{error.filename}: cannot be created ({error.strerror}); choose another output folder"
        failed.append(InputError(said))
    finally:
        sys.argv = given
        os.environ.pop("HYDRA_FULL_ERROR")
        if chosen is not None:
            os.environ["HYDRA_FULL_ERROR"] = chosen
        GlobalHydra.instance().clear()
        HydraConfig.instance().cfg = None  # else a later call in this process would read the folder of this run
    if failed:
        if chosen == "1":
            raise failed[0]
        _leave(_explain(failed[0], config_name, found, sys.argv[1:]), at_once=isinstance(failed[0], Lost))


def _trusting_own(main: Callable, cfg: DictConfig) -> object:
    """Run with the packages that the user names, which may lie in the current folder; others are refused first."""
    from galdiff.build import check_targets  # loads JAX

    packages = checked(cfg.get("packages") or [])
    if packages and os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    with trusting(packages):
        plain = OmegaConf.to_container(cfg, resolve=False)
        check_targets(plain)
        check_seeds(plain)
        return main(cfg)


def _leave(message: str, code: int = BAD_INPUT, at_once: bool = False) -> None:
    """Say it and exit; at once where a normal exit would wait for processes that are gone."""
    print(f"galdiff: {message}", file=sys.stderr)
    if at_once:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    raise SystemExit(code)


def _explain(error: Exception, config_name: str, found: Sequence[pathlib.Path], argv: Sequence[str]) -> str:
    """One line on what is wrong with the config or the input, with the nearest valid name."""
    if isinstance(error, OverrideParseException):
        remedy = "write key=value"
        if "=" in str(error.override):
            remedy = f"quote a text for Hydra and for the shell: {quoted(str(error.override))}"
        return f"{error.override}: cannot read this override ({error.message.splitlines()[0]}); {remedy}"
    if isinstance(error, MissingConfigException) and error.options:
        group, _, name = str(error.missing_cfg_file).rpartition("/")
        plugins = (
            " (more with: pip install 'galdiff[launchers]')" if group in ("hydra/launcher", "hydra/sweeper") else ""
        )
        return f"{group}={name}: there is no such preset; {_choose(name, error.options)}{plugins}"
    overridden = re.match(r"Could not override '([^']+)'", str(error))
    inner = getattr(error.__cause__ if overridden else error, "full_key", None)  # also inside a value: a={b: 1}
    key = inner or (overridden.group(1) if overridden else None)
    if isinstance(error, MissingMandatoryValue):
        return f"{key}: a value is required; give {key}=VALUE"
    if key in groups(found) and overridden and "defaults list" in str(error):
        return no_choice_of(str(key), config_name, found[0])
    if overridden or isinstance(error, ConfigAttributeError | ConfigKeyError):
        known = _known_keys(config_name, found, argv)
        if said := not_of_preset(str(key), known, found):
            return said
        return f"{key}: there is no such key; {_choose(str(key), known, many='see --cfg job for all of them')}"
    text = str(error).splitlines()[0] if isinstance(error, OmegaConfBaseException) else str(error)
    return f"{key}: {_one_line(text)}" if key else _one_line(text)


def _known_keys(config_name: str, found: Sequence[pathlib.Path], argv: Sequence[str]) -> list[str]:
    """Config groups and dotted keys of the config, with the presets that the arguments choose."""
    known, chosen = groups(found), []
    for text in argv:
        if not text.startswith("-") and "=" in text:
            key = OverridesParser.create().parse_override(text).key_or_group
            names = [p.stem for p in presets(found, key)] if key in known else []
            chosen += [text] if text.split("=", 1)[1] in names else []
    with hydra.initialize_config_dir(str(found[0]), version_base="1.3"):
        try:
            config = hydra.compose(config_name, overrides=search_path(found, chosen))
        except HydraException:  # a preset in a place that the experiment does not have
            config = hydra.compose(config_name, overrides=search_path(found, [t for t in chosen if "@" not in t]))
    keys = dotted(OmegaConf.to_container(config), "")
    return [*known, *(key for key in keys if not key.endswith("_target_"))]


def _choose(name: str, known: Iterable[str], many: str = "") -> str:
    known = list(known)
    close = difflib.get_close_matches(name, known, n=1)
    if close:
        return f"did you mean '{close[0]}'?"
    return many or f"choose one of {', '.join(known)}"


def _one_line(text: str) -> str:
    return " ".join(text.split())
