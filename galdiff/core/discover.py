"""Parts that are found by walking a package: one file each, and no list of them anywhere."""

import functools
import importlib
import inspect
import pkgutil


@functools.cache
def found_in(package: str, kind: type) -> tuple:
    """One object of each class of a kind that the modules of a package define, in the order of the modules' names.

    Args:
      package: dotted name; its modules are imported, those of packages inside it are not.
      kind: abstract class; its classes are built without arguments.
    """
    home = importlib.import_module(package)
    modules = [importlib.import_module(info.name) for info in pkgutil.iter_modules(home.__path__, f"{package}.")]
    return tuple(
        value()
        for module in modules
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, kind)
        and value.__module__ == module.__name__
        and not inspect.isabstract(value)
    )
