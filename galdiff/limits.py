"""What the keys of an experiment itself may be; those of what it builds are with the constructors.

One table serves three: the command line, which refuses a wrong value before it loads what computes, the experiments,
and `galdiff describe`. Names to choose from are read from the source that defines them.
"""

import contextlib
import math
import pathlib
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue

from galdiff.arguments import check_kinds, check_seeds
from galdiff.core.constructors import check_values, literal
from galdiff.errors import InputError

MOST = 1e6  # of a number that need not be larger
MOST_STEPS = 1e9
WITH_PASSBANDS = ("sed",)
INSTRUMENT = "galdiff.ifu.instrument.make_instrument"
TRAINING = {"train": "galdiff.train.task.TrainingSettings", "prior": "galdiff.train.prior.with_prior"}
OPTIMISER = "galdiff.train.optimisers.adamw"
SECTIONS: Mapping[str, Mapping[str, str]] = {  # what nodes without a _target_ make, by experiment
    "simulate": {"view": "galdiff.galaxy.view.StarView", "placement": "galdiff.ifu.placement.AtRedshift"},
    "train": TRAINING,
    "finetune": TRAINING,
}


class Limit(NamedTuple):
    """Range of a number: open unless `closed`; `null` may stand in its place where it has a meaning."""

    low: float
    high: float = math.inf
    unit: str = ""
    closed: bool = False
    null: bool = False
    note: str = ""
    whole: bool = False

    def allows(self, value: Any) -> bool:
        """Whether a value [unit] is a number inside, or the null that is allowed."""
        if value is None or isinstance(value, bool) or not isinstance(value, int | float):
            return value is None and self.null
        inside = self.low <= value <= self.high if self.closed else self.low < value < self.high
        return inside and math.isfinite(value) and (not self.whole or float(value).is_integer())

    def words(self) -> str:
        """What is allowed, as a user reads it."""
        if self.whole:
            return f"a whole number from {self.low:g} to {self.high:g}{', or null' if self.null else ''}{self.note}"
        unit, null = f" {self.unit}" if self.unit else "", ", or null" if self.null else ""
        if self.high == math.inf:
            return f"{self.low:g} or more{unit}{null}{self.note}" if self.closed else f"a positive number{unit}{null}"
        if self.closed:
            return f"{self.low:g} to {self.high:g}{unit}{null}{self.note}"
        if self.low == 0 and self.high == MOST:
            return f"a positive number{unit}{null}, below {self.high:g}{self.note}"
        return f"a number above {self.low:g} and below {self.high:g}{unit}{null}{self.note}"


class Choice(NamedTuple):
    """Names to choose from: constants, each a tuple of names or one name, by where they are defined."""

    places: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The names [text]."""
        found = (literal(place) if "." in place else place for place in self.places)
        return tuple(name for part in found for name in ([part] if isinstance(part, str) else part))

    def allows(self, value: Any) -> bool:
        """Whether a value is one of the names."""
        return value in self.names

    def words(self) -> str:
        """What is allowed, as a user reads it."""
        return f"one of {', '.join(self.names)}"


class Place(NamedTuple):
    """A file or folder, a list of them where there may be `many`, or null."""

    many: bool = False

    def allows(self, value: Any) -> bool:
        """Whether a value is null or names places."""
        several = self.many and isinstance(value, Sequence) and all(isinstance(x, str) for x in value)
        return value is None or isinstance(value, str) or several

    def words(self) -> str:
        """What is allowed, as a user reads it."""
        return f"the path of a file or folder{', or a list of them' * self.many}, or null"


def _one_of(*places: str) -> Choice:
    return Choice(places)


POSITIVE, OR_NULL = Limit(0, MOST), Limit(0, MOST, null=True)
COUNT, STEPS = Limit(1, MOST_STEPS, closed=True), Limit(2, MOST, closed=True)
AT_LEAST_ONE, SHARE = Limit(1, closed=True), Limit(0, 1)
REDSHIFT = Limit(0, 20)
BELOW_ONE = Limit(0, 1 - 1e-9, closed=True)
PLACE = Place()
ADAM: dict[str, Limit | Choice | Place] = {"learning_rate": Limit(0, 10), "b1": BELOW_ONE, "b2": BELOW_ONE}
LIBRARY: dict[str, Limit | Choice | Place] = {"rank": POSITIVE, "interpolation": _one_of("linear", "cubic")}
LIMITS: Mapping[str, Mapping[str, Limit | Choice | Place]] = {
    "simulate": {
        "precision.kernel": _one_of("galdiff.core.kernels.TAPS"),
        "precision.interpolation": _one_of("linear", "cubic"),
        "precision.coverage": _one_of("error", "crop"),
        "engine": _one_of("galdiff.ifu.engine.ENGINES"),
        "smoothing.kind": _one_of("galdiff.galaxy.neighbours.KINDS"),
        "noise.mode": _one_of("galdiff.ifu.noise.MODES", "galdiff.observing.noise.EXPOSURE"),
        "noise.reference": _one_of("galdiff.ifu.noise.REFERENCES"),
        "maps.weight": _one_of("light", "mass"),
        "extensions": _one_of("galdiff.io.fits_cube.EXTENSIONS"),
        "view.orientation": _one_of("galdiff.galaxy.orientation.ORIENTATIONS"),
        "view.centre": _one_of("galdiff.galaxy.centre.CENTRES"),
        **dict.fromkeys(("precision.a_v_modes", "smoothing.neighbours", "maps.h_v_kms"), POSITIVE),
        **dict.fromkeys(("noise.background", "noise.exposure_s", "noise.n_exposures"), POSITIVE),
        **dict.fromkeys(("max_spaxels", "noise.snr", "noise.wave_ref", "maps.bin_stars"), OR_NULL),
        **dict.fromkeys(("precision.h_v_kms", "precision.v_max_kms"), OR_NULL),
        "precision.rank": Limit(1, MOST, closed=True, null=True, whole=True),
        "precision.a_v_max": Limit(0, 100, "mag", closed=True, null=True),
        "gas.source": _one_of("galdiff.observing.gas_lines.SOURCES"),
        "gas.turbulence_kms": Limit(0, 1000, "km/s", closed=True),
        "gas.a_v_ratio": Limit(0, 5),
        **dict.fromkeys(("lsf_scale", "psf_scale"), Limit(0.2, 2.6, note=" (1: as published)")),
    },
    "populate": {"batch": AT_LEAST_ONE, "chunk": AT_LEAST_ONE, "figure": Limit(2, closed=True), "n_steps": STEPS}
    | {
        "workers": Limit(1, 1024, closed=True),
        "halo.seed": Limit(0, closed=True),
        "tolerance": Limit(0, MOST, "dex", null=True),
    },
    "sensitivity": {"draws": AT_LEAST_ONE, "chunk": AT_LEAST_ONE, "n_steps": Limit(2, closed=True)}
    | {"compare.n": AT_LEAST_ONE, "compare.step": SHARE, "compare.floor": POSITIVE}
    | {"one_halo.n_times": Limit(2, closed=True), "one_halo.log10_mvir": Limit(6, 17, "dex(Msun)", closed=True)},
    "sed": {
        "redshift": Limit(0, 19.9, closed=True),
        "sigma_gas": Limit(0, 1e4, "km/s"),
        "alpha_fe": Limit(-1, 1.5, "dex", null=True),
    },
    "infer": {"together": AT_LEAST_ONE, "figures": Limit(0, MOST, closed=True), "data": PLACE},
    "mock_catalog": {
        "chunk": Limit(1, MOST, closed=True),
        "figure": AT_LEAST_ONE,
        "gas_dust": Limit(0.05, 10),
        "workers": Limit(1, 1024, closed=True),
        "log10_m_min": Limit(9, 14.5, "dex(Msun)", closed=True),
        "format": _one_of("hdf5", "parquet"),
        "tables.tolerance": Limit(0, 0.1, "mag"),
        "tables.step": Limit(0, 0.2),
    },
    "train": {"checkpoint": PLACE},
    "predict": {"checkpoint": Place(many=True), "batch": COUNT, "n_steps": STEPS},
    "finetune": {
        "checkpoint": PLACE,
        "data": PLACE,
        "held_out": SHARE,
        "n_steps": STEPS,
        "mock.centres": STEPS,
        "mock.error": Limit(0, 10, "dex"),
    },
    "recover_maps": {
        "redshift": REDSHIFT,
        "inclination": Limit(-90, 90, "deg"),  # of a disc without thickness
        "disc.r_disc": Limit(1e-3, 1e3, "kpc"),
        "disc.age_disc": Limit(0, 13, "Gyr"),
        "disc.age_slope": Limit(-50, 50, "Gyr"),
        "disc.log10_z_disc": Limit(-8, 0, "dex"),
        "disc.z_slope": Limit(-10, 10, "dex/kpc"),
        "position_angle": Limit(-360, 720, "deg"),
        "start.age": Limit(0, 20, "Gyr"),
        "start.metallicity": SHARE,
        "start.log10_light": Limit(-10, 10, "dex"),
        "noise.snr": POSITIVE,
        "noise.mode": _one_of("galdiff.ifu.noise.MODES"),
        "steps": COUNT,
        "snr_min": Limit(0, MOST, closed=True),
        **ADAM,
        **LIBRARY,
    },
    "recover_spectrum": {
        "redshift": REDSHIFT,
        "age": Limit(0, 20, "Gyr"),
        "metallicity": SHARE,
        "steps": COUNT,
        "tolerance": Limit(0, 10, "dex"),
        **ADAM,
        **LIBRARY,
    },
    "interpolation_gradients": {
        "method": _one_of("linear", "cubic"),
        "age": Limit(0, 20, "Gyr"),
        "metallicity": SHARE,
        "tolerance": POSITIVE,
    },
}
OTHERWISE: Mapping[str, tuple[str, ...]] = {  # keys whose null or number may be something else
    "interpolation_gradients": ("ssp.path", "ssp.kind", "ssp.wave_range"),
    "simulate": ("galdiff.ifu.engine.IFU_HOOKS", "spectra.correction"),
    "predict": ("checkpoint",),
    "finetune": ("checkpoint", "data"),
    "train": ("prior", "checkpoint", "fills", "runtime.distributed", "case.redshift"),
}


def check_experiment(
    config: DictConfig, name: str, given: Iterable[str] = (), conf: pathlib.Path | None = None
) -> None:
    """Refuse values that the keys of an experiment do not allow.

    Args:
      config: composed.
      name: of the experiment.
      given: keys whose objects the caller gives.
      conf: the config folder; the project's by default.

    Raises:
      InputError: naming the key, its value and what is allowed.
    """
    ignored = [place for place in OTHERWISE.get(name, ()) if not place.startswith("galdiff.")]
    ignored += [key for place in OTHERWISE.get(name, ()) if place.startswith("galdiff.") for key in literal(place)]
    check_kinds(config, name, ignore=(*ignored, *given), conf=conf)
    plain: Any = OmegaConf.to_container(config, resolve=False)
    check_seeds(plain)
    for key, limit in LIMITS.get(name, {}).items():
        value = OmegaConf.select(config, key, default=...)
        if value is ... or limit.allows(value):
            continue
        if isinstance(limit, Choice):
            raise InputError(f"{key} is '{value}'; choose {limit.words()}")
        unit = f" {limit.unit}" if isinstance(limit, Limit) and limit.unit else ""
        raise InputError(f"{key} is {value}{unit}; give {limit.words()}")
    sections = dict(SECTIONS.get(name, {}))
    for stage in plain.get("stages") or ():  # which say some of it again
        sections |= {f"stages.{stage}.{key}": target for key, target in (*TRAINING.items(), ("optimiser", OPTIMISER))}
    check_values(plain, sections)


def check_before(config: DictConfig, name: str, conf: pathlib.Path | None = None) -> None:
    """Refuse what can be refused without loading what computes: keys, arguments, the instrument, passbands.

    Args:
      config: composed, of the experiment `name`; what is interpolated is checked where it comes from.
      conf: the config folder; the project's by default.

    Raises:
      InputError: naming the key, its value and what is allowed.
    """
    with contextlib.suppress(MissingMandatoryValue):  # a checkpoint may bring it
        check_experiment(config, name, conf=conf)
    plain = OmegaConf.to_container(config, resolve=False)
    if name in WITH_PASSBANDS:
        from galdiff.photometry.curves import check_names  # astropy

        check_names(OmegaConf.select(config, "passbands"))
    node = plain.get("instrument") if isinstance(plain, dict) else None
    if isinstance(node, dict) and node.get("_target_") == INSTRUMENT:
        from galdiff.ifu.instrument import from_mapping  # numpy

        with warnings.catch_warnings(action="ignore"):  # said when it is built
            from_mapping(node)


def allowed(name: str, key: str, value: Any) -> list[str]:
    """A line on what a key of an experiment may be, where the table says it; `value` is the one it has."""
    limit = LIMITS.get(name, {}).get(key)
    if limit is None:
        return []
    counted = type(value) is int and isinstance(limit, Limit) and not limit.whole
    kind = "a whole number, " if counted else ""
    return [f"{kind}{limit.words()}"]
