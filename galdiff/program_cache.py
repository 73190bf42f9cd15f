"""Programs that stay on disk between runs: a folder of the user's, limited in size, on unless switched off.

JAX keeps what it compiled; the folder `traces` in it holds what was traced and lowered before that (`core.kept`).
"""

import contextlib
import hashlib
import importlib.metadata
import os
import pathlib
import platform
import tempfile

import jax

AUTO = "auto"
MOST_BYTES = 1_000_000_000
TRACES, MOST_OF_TRACES = "traces", 200_000_000  # bytes
WARNING = "Error .*persistent compilation cache"  # of a program that another process is writing: it is compiled again


def default_folder() -> pathlib.Path:
    """Folder in the cache of the user ($XDG_CACHE_HOME, else ~/.cache), for this processor and this release of JAX.

    A program for a processor with more instructions ends the process of another: homes are shared in clusters.
    """
    caches = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    processor = platform.machine() + platform.processor()
    with contextlib.suppress(OSError):
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
        processor += next((line for line in lines if line.startswith(("flags", "Features"))), "")
    made = hashlib.sha256(processor.encode()).hexdigest()[:8]
    return caches / "galdiff" / f"programs-{importlib.metadata.version('jaxlib')}-{made}"


def keep_programs(cache_dir: str | pathlib.Path) -> None:
    """Keep all compiled programs in a folder.

    Args:
      cache_dir: folder; "auto" for `default_folder`, where no other is set (JAX_COMPILATION_CACHE_DIR) and where it can
        be written, else none is used.
    """
    auto = str(cache_dir) == AUTO
    if auto and jax.config.jax_compilation_cache_dir is not None:  # type: ignore[attr-defined]
        return
    folder = default_folder() if auto else pathlib.Path(cache_dir).expanduser().resolve()
    try:
        (folder / TRACES).mkdir(parents=True, exist_ok=True)
        limit(folder / TRACES, MOST_OF_TRACES)
        if auto:  # a folder of the user may hold other files
            limit(folder, MOST_BYTES)
    except OSError:
        if auto:
            return
        raise
    if auto and not os.access(folder, os.W_OK):
        return
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)  # most programs are small, and there are many


def limit(folder: pathlib.Path, most: int) -> None:
    """Remove the oldest files of a folder until the rest takes at most `most` bytes."""
    found = (entry for entry in os.scandir(folder) if entry.is_file())
    files = sorted((entry.stat().st_mtime, entry.stat().st_size, entry.path) for entry in found)
    excess = sum(size for _, size, _ in files) - most
    for _, size, path in files:
        if excess <= 0:
            return
        with contextlib.suppress(OSError):  # another process was faster
            os.unlink(path)
        excess -= size


def traces() -> pathlib.Path | None:
    """Folder of traces; None where `keep_programs` made none."""
    programs = jax.config.jax_compilation_cache_dir  # type: ignore[attr-defined]
    folder = None if programs is None else pathlib.Path(programs) / TRACES
    return folder if folder is not None and folder.is_dir() else None


def read_trace(folder: pathlib.Path, name: str) -> tuple[bytes, bytes] | None:
    """Outline and program under a name, or None where there is none, or not as it was written."""
    try:
        digest, _, content = (folder / name).read_bytes().partition(b"\n")
    except OSError:
        return None
    if hashlib.sha256(content).hexdigest().encode() != digest:
        return None
    outline, _, program = content.partition(b"\n")
    return outline, program


def write_trace(folder: pathlib.Path, name: str, outline: bytes, program: bytes) -> None:
    """Keep outline (one line) and program under a name, whole or not at all; a disk that refuses is passed over."""
    content = outline + b"\n" + program
    with contextlib.suppress(OSError), tempfile.NamedTemporaryFile(dir=folder, delete=False) as file:
        file.write(hashlib.sha256(content).hexdigest().encode() + b"\n" + content)
        file.close()
        os.replace(file.name, folder / name)
