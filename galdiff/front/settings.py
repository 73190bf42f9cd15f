"""Settings of the main job: the composed config, with built objects in place of some of its nodes."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf

from galdiff.build import build
from galdiff.core.correction import Hook
from galdiff.errors import InputError
from galdiff.io.products import config_hash
from galdiff.limits import check_experiment

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
        check_experiment(cfg, "simulate", self.given)
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
