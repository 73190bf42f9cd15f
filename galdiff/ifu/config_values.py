"""Reading typed values from a plain mapping, with errors that name the key, the value and the remedy."""

import difflib
import math
from collections.abc import Mapping, Sequence
from typing import Any

from galdiff.errors import InputError


class Keys:
    """A mapping whose keys are taken one by one; what is left at the end is an error."""

    def __init__(self, data: Any, where: str, known: Sequence[str]) -> None:
        """Check that `data` is a mapping with no key outside `known`; keys set to null count as absent."""
        if not isinstance(data, Mapping):
            raise InputError(f"{where} is {data!r}; give a mapping with the keys {', '.join(known)}")
        self.where = where
        self.data = {str(k): v for k, v in data.items() if v is not None and not str(k).startswith("_")}
        for key in self.data:
            if key not in known:
                near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
                hint = f"did you mean '{near[0]}'?" if near else f"allowed are {', '.join(known)}"
                raise InputError(f"{where} has the unknown key '{key}'; {hint}")
        self.taken: set[str] = set()

    def raw(self, key: str, default: Any = ...) -> Any:
        """Value as it stands, or the default (an error where there is none)."""
        self.taken.add(key)
        if key in self.data:
            return self.data[key]
        if default is ...:
            have = ", ".join(self.data) or "nothing"
            raise InputError(f"{self.where}.{key}: a value is required; {self.where} has {have}")
        return default

    def text(self, key: str, allowed: Sequence[str] = (), default: Any = ...) -> str:
        """A string, one of `allowed` where given."""
        value = self.raw(key, default)
        if not isinstance(value, str):
            raise InputError(f"{self.where}.{key} is {value!r}; give a text")
        if allowed and value not in allowed:
            near = difflib.get_close_matches(value, allowed, n=1)
            hint = f"did you mean '{near[0]}'? " if near else ""
            raise InputError(f"{self.where}.{key} is '{value}'; {hint}allowed are {', '.join(allowed)}")
        return value

    def number(self, key: str, default: Any = ..., *, lo: float = -math.inf, hi: float = math.inf) -> float:
        """A finite float in (lo, hi]; integers and numbers written as text are accepted."""
        return self._float(key, self.raw(key, default), lo, hi)

    def count(self, key: str) -> int:
        """A positive whole number."""
        value = self._float(key, self.raw(key), 0.0, 1e6)
        if value != int(value):
            raise InputError(f"{self.where}.{key} is {value:g}; give a whole number")
        return int(value)

    def numbers(self, key: str, *, lo: float = -math.inf) -> tuple[float, ...]:
        """A non-empty tuple of finite floats above lo."""
        value = self.raw(key)
        if isinstance(value, str) or not isinstance(value, Sequence) or len(value) == 0:
            raise InputError(f"{self.where}.{key} is {value!r}; give a list of numbers")
        return tuple(self._float(f"{key}[{i}]", v, lo, math.inf) for i, v in enumerate(value))

    def finish(self, why: str = "") -> None:
        """Raise for keys that nothing asked for, such as those of another kind."""
        left = [key for key in self.data if key not in self.taken]
        if left:
            raise InputError(f"{self.where}.{left[0]} has no meaning {why}; remove it or set it to null")

    def _float(self, key: str, value: Any, lo: float, hi: float) -> float:
        try:
            number = math.nan if isinstance(value, bool) else float(value)
        except (TypeError, ValueError):
            number = math.nan
        if not math.isfinite(number):
            raise InputError(f"{self.where}.{key} is {value!r}; give a finite number in the unit its name says")
        if not lo < number <= hi:
            limit = f"above {lo:g}" + ("" if math.isinf(hi) else f" and at most {hi:g}")
            raise InputError(f"{self.where}.{key} is {number:g}; it must be {limit}, in the unit its name says")
        return number
