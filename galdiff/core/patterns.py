"""Which of the parameters of a model are meant: patterns of their dotted paths."""

import fnmatch
from collections.abc import Mapping, Sequence

from galdiff.errors import InputError


def matching(
    patterns: Sequence[str], known: Sequence[str], where: str, groups: Mapping[str, Sequence[str]] | None = None
) -> list[str]:
    """Names that match, each once, in the order of the patterns.

    Args:
      patterns: as of file names, such as "*.eta_energy.*"; one that begins with ! takes away.
      known: all names.
      where: the setting that holds the patterns, for errors.
      groups: further patterns, each with the names that it stands for.

    Raises:
      InputError: a pattern that matches nothing.
    """
    chosen: list[str] = []
    for pattern in patterns:
        bare = pattern.removeprefix("!")
        found = groups[bare] if groups and bare in groups else fnmatch.filter(known, bare)
        if not found:
            shown = ", ".join(known[:8]) + (", ..." if len(known) > 8 else "")
            raise InputError(f"{where}: '{pattern}' matches none of the {len(known)} parameters ({shown})")
        chosen = [p for p in chosen if p not in found] if pattern != bare else [*chosen, *found]
    return list(dict.fromkeys(chosen))
