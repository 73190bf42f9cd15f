"""Where the project keeps what is no code: the folders conf/, experiments/ and checkpoints/."""

import pathlib

from galdiff.errors import InputError


def project_dir(name: str) -> pathlib.Path:
    """Folder of the project called `name` (conf, experiments): inside the package if installed, else in the checkout.

    Raises:
      InputError: it is in neither place.
    """
    package = pathlib.Path(__file__).resolve().parent
    for folder in (package / name, package.parent / name):
        if folder.is_dir():
            return folder
    raise InputError(f"no folder '{name}' in {package} or {package.parent}; reinstall galdiff, or run from a checkout")
