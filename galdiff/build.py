"""Build objects from a config: one `_target_` node is one constructor call, its other keys the keywords.

The keys mean what they mean to Hydra. A `_partial_` node is a network (or another callable that takes `rngs`): it is
called with random streams whose key follows from the seed and the node's place in the config, so adding a network in
one place does not change the initial weights of another. Other partial nodes (an activation, say) stay partial.

Inside the hook of a stage (`galdiff.core.correction.Hook`), what a network leaves out of n_in, n_out, offset and scale,
and a correction of its bound, comes from the hook.
"""

import difflib
import functools
import inspect
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
from flax import nnx
from omegaconf import OmegaConf

from galdiff.core.buildable import located, trusting
from galdiff.core.correction import Correction, Hook
from galdiff.core.signatures import FROM_HOOK, annotations, expected, is_whole, shown
from galdiff.core.variables import OutOfBounds
from galdiff.errors import InputError

TOP = "config"  # in messages, where a config has no path


def build(
    config: Any,
    *,
    seed: int = 0,
    path: str = "",
    packages: Sequence[str] = (),
    hook: Hook | None = None,
    checkpoint: bool = False,
) -> Any:
    """Build what a config describes.

    Args:
      config: OmegaConf node, or plain mappings, lists and scalars.
      seed: seed of all initial weights.
      path: place of `config` in the whole config, as in "model.stages"; part of the keys of the weights.
      packages: of the user, trusted by name: what they define may be built too (`galdiff.core.buildable`).
      hook: where the object goes, for a correction that is built apart from its stage.
      checkpoint: the config comes from a checkpoint, which may build what computes, and nothing that reads files.

    Returns:
      The object of a `_target_` node; for other mappings and lists the same with their nodes built.

    Raises:
      InputError: naming the place in the config, what is wrong, and the remedy.
    """
    if OmegaConf.is_config(config):
        config = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    with trusting(packages):
        check_targets(config, path, checkpoint)  # all of them, before the first is called
        return _build(config, path, seed, checkpoint, hook)


def check_targets(config: Any, path: str = "", checkpoint: bool = False) -> None:
    """Raise InputError where a plain config names something that it may not build; nothing is called."""
    if isinstance(config, Mapping):
        name = config.get("_target_")
        if name is not None and not (isinstance(name, str) and (name == "???" or "${" in name)):
            hints = annotations(located(name, path or TOP, checkpoint))
            for key in (key for key in config if key in hints and not (config[key] is None and key in FROM_HOOK)):
                if said := expected(config[key], hints[key]):
                    raise InputError(f"{_key(path or TOP, str(key))} is {shown(config[key])}; give {said}")
    items = config.items() if isinstance(config, Mapping) else enumerate(config) if isinstance(config, list) else ()
    for name, child in items:
        check_targets(child, f"{path}.{name}" if path else str(name), checkpoint)


def key_of(seed: int, path: str) -> jax.Array:
    """Random key of the node at `path`: the seed's key, folded with a checksum of the path."""
    return jax.random.fold_in(jax.random.key(seed), zlib.crc32(path.encode()))


def _build(node: Any, path: str, seed: int, checkpoint: bool, hook: Hook | None) -> Any:
    def inner(child: Any, name: str | int, hook: Hook | None) -> Any:
        return _build(child, f"{path}.{name}" if path else str(name), seed, checkpoint, hook)

    if isinstance(node, list | tuple):
        return [inner(child, i, hook) for i, child in enumerate(node)]
    if not isinstance(node, Mapping):
        return node
    if "_target_" not in node:
        return {name: inner(child, name, hook) for name, child in node.items()}
    where = path or TOP
    target = located(node["_target_"], where, checkpoint)
    given = {n: c for n, c in node.items() if n not in ("_target_", "_partial_", "_args_", "_convert_")}
    kwargs = {n: inner(c, n, _hook_in(target, n, given, hook)) for n, c in given.items()}
    whole = {n: int(c) for n, c in kwargs.items() if type(c) is float and is_whole(annotations(target).get(n))}
    kwargs |= whole  # YAML reads 1e4 as 10000.0
    args = inner(node.get("_args_", []), "_args_", None)
    signature = _signature(target)
    if hook is not None and signature is not None:
        kwargs |= _of_hook(hook, kwargs, signature)
    rngs = signature.parameters.get("rngs") if signature is not None else None
    if node.get("_partial_") and rngs is None:
        return functools.partial(target, *args, **kwargs)
    if rngs is not None and "rngs" not in kwargs:
        if not node.get("_partial_") and rngs.default is inspect.Parameter.empty:
            raise InputError(f"{where}: {node['_target_']} draws its weights from random streams; add _partial_: true")
        kwargs["rngs"] = nnx.Rngs(key_of(seed, path))
    return _call(target, args, kwargs, where, node["_target_"], signature)


def _hook_in(target: Callable, name: str, given: Mapping[str, Any], hook: Hook | None) -> Hook | None:
    """What an argument of `target` goes into: a hook of its own, or of the hook that `target` is in, what it shows."""
    own = getattr(target, "hooks", {}).get(name)
    if own is not None:
        return own if isinstance(own, Hook) else own(given)
    if hook is not None and inspect.isclass(target) and issubclass(target, Correction):
        return target.inner_hook(hook, given)
    return None


def _of_hook(hook: Hook, kwargs: Mapping[str, Any], signature: inspect.Signature) -> dict[str, Any]:
    """Arguments that follow from a hook and were left out; no scales for a network that says how many drivers it has.

    Configs of checkpoints say so, whose offsets and scales are then those that the network had.
    """
    found: dict[str, Any] = {"n_in": len(hook.drivers), "n_out": hook.n_out, "bound": hook.bound}
    if kwargs.get("n_in") is None:
        found |= {"offset": hook.offset, "scale": hook.scale}
    return {n: v for n, v in found.items() if n in signature.parameters and v is not None and kwargs.get(n) is None}


def _signature(target: Callable) -> inspect.Signature | None:
    """Signature of what the constructor or function takes; NNX hides it behind a metaclass."""
    try:
        return inspect.signature(target.__init__ if inspect.isclass(target) else target)  # type: ignore[misc]
    except (TypeError, ValueError):
        return None  # some compiled functions have none


def _call(
    target: Callable, args: list, kwargs: dict, where: str, name: str, signature: inspect.Signature | None
) -> Any:
    if signature is not None:
        _check_keywords(signature, args, kwargs, where, name, skip=int(inspect.isclass(target)))
    try:
        return target(*args, **kwargs)
    except OutOfBounds as error:
        raise InputError(_bounds_said(error, kwargs, where)) from error
    except ValueError as error:
        first = str(error).split(" ")[0]
        if first.rstrip(":").split(".")[0] == where:
            raise InputError(str(error)) from error
        named = first in kwargs or (signature is not None and first in signature.parameters)
        raise InputError(f"{_key(where, '')}{error}" if named else f"{where}: {error}") from error
    except Exception as error:
        error.add_note(f"while building {where} ({name})")
        raise


def _key(where: str, name: str) -> str:
    """Dotted key of an argument; of one at the top, its name alone."""
    return name if where == TOP else f"{where}.{name}"


def _bounds_said(error: OutOfBounds, kwargs: Mapping[str, Any], where: str) -> str:
    """Which key has the value that its bounds do not allow, and what is allowed; of keys with one value, all."""
    value = error.value
    keys = [
        _key(where, name)
        for name, given in kwargs.items()
        if isinstance(given, int | float) and (given == value or (given != given and value != value))
    ]
    named = " or ".join(keys) if keys else f"{where}: starting value"
    unit = "" if error.unit == "1" else f" {error.unit}"
    allowed = "a finite number" if error.lo is None else f"a number above {error.lo:g} and below {error.hi:g}"
    return f"{named} is {value:g}{unit}; give {allowed}{unit}"


def _check_keywords(signature: inspect.Signature, args: list, kwargs: dict, where: str, name: str, skip: int) -> None:
    parameters = list(signature.parameters.values())[skip:]
    known = [p.name for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
    for key in kwargs:
        if key not in known and not any(p.kind == p.VAR_KEYWORD for p in parameters):
            close = difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean '{close[0]}'?" if close else f"it takes {', '.join(known) or 'nothing'}"
            raise InputError(f"{where}.{key}: {name} takes no '{key}'; {hint}")
    required = [p.name for p in parameters if p.default is p.empty and p.name in known][len(args) :]
    missing = [p for p in required if p not in kwargs]
    if missing:
        raise InputError(f"{where}: {name} needs {', '.join(missing)}; add {'it' if len(missing) == 1 else 'them'}")
