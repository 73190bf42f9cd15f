"""Programs of tests in processes of their own: their environment, and a start that does not import all anew."""

import atexit
import multiprocessing
import os
import runpy
import signal
import sys

CONTEXT = multiprocessing.get_context("forkserver")
# What programs import; a new interpreter takes five seconds for it.
CONTEXT.set_forkserver_preload(
    ["galdiff.cli", "galdiff.build", "galdiff.train.beginning", "galdiff.train.stages", "galdiff.cases.ssp_emulator"]
)


def one_device(**more: str) -> dict[str, str]:
    """Environment of a program with one CPU device that compiles as the tests do, and so as cheaply."""
    flags = [flag for flag in os.environ.get("XLA_FLAGS", "").split() if "device_count" not in flag]
    return {**os.environ, "XLA_FLAGS": " ".join(flags), "JAX_PLATFORMS": "cpu", **more}


class Program:
    """A Python script that runs in a fork of a process that has imported, and not used, what such scripts import.

    It stands for `subprocess.Popen([sys.executable, *argv], env=env)` with pipes of text, and has the same names.
    """

    def __init__(self, *argv: object, env: dict[str, str]) -> None:
        pipes = [CONTEXT.Pipe(duplex=False) for _ in range(2)]
        ends = [writer for _, writer in pipes]
        self._process = CONTEXT.Process(target=_begin, args=([str(x) for x in argv], env, *ends))
        self._process.start()
        for writer in ends:
            writer.close()
        self.stdout, self.stderr = (os.fdopen(os.dup(reader.fileno())) for reader, _ in pipes)
        for reader, _ in pipes:
            reader.close()

    @property
    def pid(self) -> int:
        """Number of the process."""
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """Its exit code; that of a signal is negative."""
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        """Send a signal."""
        os.kill(self.pid, number)

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Wait for its end: what it wrote, which is little, to stdout and to stderr."""
        self._process.join(timeout)
        if self.returncode is None:
            self.send_signal(signal.SIGKILL)
            raise TimeoutError(f"{sys.argv} runs for more than {timeout} s")
        said = self.stdout.read(), self.stderr.read()
        self.stdout.close()
        self.stderr.close()
        return said


def _begin(argv, env, out, err) -> None:
    os.environ.clear()
    os.environ.update(env)
    for number, end in ((1, out), (2, err)):
        os.dup2(end.fileno(), number)
        end.close()
    sys.argv = argv
    sys.path.insert(0, os.path.dirname(argv[0]))
    try:
        runpy.run_path(argv[0], run_name="__main__")
    finally:
        sys.stdout.flush()
        atexit._run_exitfuncs()  # a fork of multiprocessing leaves them out; JAX says goodbye to the others in one
