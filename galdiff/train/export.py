"""Checkpoints to give away: the parameters of a trained model alone, small, and where those of the package lie."""

import pathlib

from galdiff.errors import InputError
from galdiff.train.checkpoints import Checkpoints, by_path
from galdiff.train.load import PARTS, load
from galdiff.train.select import parts_of

OF_FILE = ("step", "loss", "leaves", "seal")  # what `Checkpoints.save` writes itself


def export(path: str | pathlib.Path, to: str | pathlib.Path) -> pathlib.Path:
    """Copy the model of a run (averaged, where it kept an average) into a new folder, without optimiser and progress.

    Args:
      path: folder of a run.
      to: new folder, which `galdiff.load` takes.

    Returns:
      The new folder.

    Raises:
      InputError: no sound checkpoint, or a folder that exists.
    """
    to = pathlib.Path(to)
    if to.exists():
        raise InputError(f"{to} exists; choose another folder, or remove it")
    loaded = load(path)
    _, *states, _ = parts_of(loaded.model)
    parts = {part: by_path(state) for part, state in zip(PARTS, states, strict=True)}
    meta = {key: value for key, value in loaded.meta.items() if key not in OF_FILE}
    with Checkpoints(to, last=1, best=0) as checkpoints:
        checkpoints.save(loaded.step, parts, meta=meta, loss=loaded.meta["loss"])
    for mark in to.rglob("commit_success.txt"):  # only its presence counts; it names the folder of this machine
        mark.write_text("Checkpoint commit was successful", encoding="utf-8")
    return to


def bundled(name: str) -> pathlib.Path:
    """Folder of a checkpoint that comes with the package.

    Raises:
      InputError: there is none of that name.
    """
    package = pathlib.Path(__file__).resolve().parent.parent
    for folder in (package / "checkpoints", package.parent / "checkpoints"):
        if (folder / name).is_dir():
            return folder / name
    raise InputError(f"no checkpoint '{name}' comes with this installation; give the folder of a run of yours")
