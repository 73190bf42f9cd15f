"""Settings of the main job: the composed config, with built objects in place of some of its nodes."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf

from galdiff.arguments import check_kinds, check_seeds
from galdiff.build import build
from galdiff.core.correction import Hook
from galdiff.core.kernels import TAPS
from galdiff.errors import InputError
from galdiff.galaxy.neighbours import KINDS
from galdiff.ifu.engine import ENGINES, IFU_HOOKS
from galdiff.ifu.noise import MODES, REFERENCES
from galdiff.ifu.spectrograph import FACTORS
from galdiff.io.fits_cube import EXTENSIONS
from galdiff.io.products import config_hash
from galdiff.observing.noise import EXPOSURE

CHOICES = {
    "precision.kernel": tuple(TAPS),
    "precision.interpolation": ("linear", "cubic"),
    "precision.coverage": ("error", "crop"),
    "engine": ENGINES,
    "smoothing.kind": KINDS,
    "noise.mode": (*MODES, EXPOSURE),
    "noise.reference": REFERENCES,
    "maps.weight": ("light", "mass"),
    "extensions": tuple(EXTENSIONS),
}
POSITIVE = (
    *(f"precision.{name}" for name in ("rank", "h_v_kms", "v_max_kms", "a_v_modes")),
    *("max_spaxels", "smoothing.neighbours", "maps.h_v_kms", "maps.bin_stars"),
    *(f"noise.{name}" for name in ("snr", "wave_ref", "background", "exposure_s", "n_exposures")),
)
OPTIONAL = ("max_spaxels", "noise.snr", "noise.wave_ref", "precision.h_v_kms", "precision.v_max_kms", "maps.bin_stars")
MOST_A_V = 100.0  # mag
MOST = 1e6  # of any of them
PLACES = ("output", "overwrite", "from")  # where results go and settings come from changes none of them


@dataclasses.dataclass(frozen=True, eq=False)
class RunSettings:
    """The config of `simulate`, and the objects that were given in place of its nodes, by dotted key."""

    config: DictConfig
    given: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def check(self) -> None:
        """Refuse settings that would fail later on.

        Raises:
          InputError: naming the key, its value and what is expected.
        """
        cfg = self.config
        check_kinds(cfg, "simulate", ignore=(*IFU_HOOKS, "spectra.correction", *self.given))
        check_seeds(OmegaConf.to_container(cfg, resolve=False))
        for key, allowed in CHOICES.items():
            if (value := OmegaConf.select(cfg, key)) not in allowed:
                raise InputError(f"{key} is '{value}'; choose one of {', '.join(allowed)}")
        for key in POSITIVE:
            value = OmegaConf.select(cfg, key)
            if (value is None and key not in OPTIONAL) or (value is not None and not 0 < value < MOST):
                also = ", or null" if key in OPTIONAL else ""
                raise InputError(f"{key} is {value}; give a positive number{also}, below {MOST:g}")
        for key in ("lsf_scale", "psf_scale"):
            if (value := cfg[key]) is None or not FACTORS[0] < value < FACTORS[1]:
                low, high = FACTORS
                raise InputError(f"{key} is {value}; give a number above {low:g} and below {high:g} (1: as published)")
        if (most := cfg.precision.a_v_max) is not None and not 0 <= most < MOST_A_V:
            raise InputError(f"precision.a_v_max is {most}; give 0 to {MOST_A_V:g} mag, or null")
        at = cfg.placement.pointing_arcsec
        if not OmegaConf.is_list(at) or len(at) != 2 or not all(isinstance(p, int | float) for p in at):
            raise InputError(f"placement.pointing_arcsec is {at}; give two numbers, [East, North]")

    def plain(self, key: str) -> Any:
        """What the config says under a key: numbers, texts, lists and mappings, with given objects in their places."""
        found = OmegaConf.select(self.config, key)
        if OmegaConf.is_config(found):
            found = OmegaConf.to_container(found, resolve=True, throw_on_missing=True)
        for path, value in self.given.items():
            if path.startswith(f"{key}."):
                *outer, last = path.removeprefix(f"{key}.").split(".")
                node = found
                for name in outer:
                    node = node[name]
                node[last] = value
        return found

    def build(self, key: str, *, hook: Hook | None = None, **more: Any) -> Any:
        """The object under a key: the given one, or that which the config describes.

        Args:
          key: dotted.
          hook: where the object goes, for a correction that is built apart from its stage.
          more: keys beside those of the config, such as _target_.
        """
        if key in self.given:
            return self.given[key]
        node = self.plain(key)
        return build({**node, **more} if more else node, path=key, hook=hook, packages=self.plain("packages") or [])

    def text(self, **changed: Any) -> str:
        """The resolved config as YAML, with some keys changed."""
        return OmegaConf.to_yaml(OmegaConf.merge(self.config, changed), resolve=True)

    def short_name(self) -> str:
        """Hash of all that decides the results."""
        kept = OmegaConf.masked_copy(self.config, [str(name) for name in self.config if name not in PLACES])
        return config_hash(OmegaConf.to_yaml(kept, resolve=True))
