"""Work that is the same wherever it is done, by processes of a dask.distributed cluster, here or on other machines.

A piece is a number; what makes it is built once in each worker. A worker that dies loses what it was at: the scheduler
gives that to another one.
"""

import collections
import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from galdiff.errors import InputError

NONE, LOCAL = "none", "local"
WAIT = 60  # seconds for a scheduler to answer
AHEAD = 2  # pieces per worker that wait for an earlier one
KEPT = "galdiff_kept"  # attribute of a worker


def import_distributed() -> Any:
    """dask.distributed.

    Raises:
      InputError: it is not installed.
    """
    try:
        import distributed
    except ImportError as error:
        raise InputError(
            "cluster needs dask.distributed, which is not installed: pip install 'galdiff[cluster]', or cluster=none"
        ) from error
    return distributed


@contextlib.contextmanager
def connected(cluster: str, workers: int) -> Iterator[Any]:
    """A client of the workers that a config names.

    Args:
      cluster: local for as many processes of this machine as `workers`, or the address of a scheduler, whose workers
        are those that were started with it.

    Raises:
      InputError: dask.distributed is missing, or nobody answers at the address.
    """
    distributed = import_distributed()
    with contextlib.ExitStack() as stack:
        if cluster == LOCAL:
            kept = {"n_workers": workers, "threads_per_worker": 1, "dashboard_address": None}
            address = stack.enter_context(distributed.LocalCluster(**kept))
        else:
            address = cluster
        try:
            client = distributed.Client(address, timeout=WAIT)
        except (OSError, ValueError) as error:
            raise InputError(
                f"cluster is '{cluster}', where no scheduler answers ({error}); give none, local, or an address such as"
                " tcp://node1:8786"
            ) from error
        yield stack.enter_context(client)


@contextlib.contextmanager
def made_by(
    cluster: str,
    workers: int,
    make: Callable[[int], Any],
    prepare: Callable[[str], Callable[[int], Any]],
    said: str,
    numbers: Sequence[int],
) -> Iterator[Iterator[tuple[int, Any]]]:
    """Pieces with their numbers, made here by `make` where cluster is none, else as `connected` and `in_any_order`."""
    if cluster == NONE or not numbers:
        yield ((number, make(number)) for number in numbers)
        return
    with connected(cluster, workers) as client:
        yield in_any_order(client, prepare, said, numbers)


def in_any_order(
    client: Any, prepare: Callable[[str], Callable[[int], Any]], said: str, numbers: Sequence[int]
) -> Iterator[tuple[int, Any]]:
    """Pieces with their numbers, as they come.

    Args:
      client: of `connected`.
      prepare: makes, in a worker, from `said` what makes a piece of a number.
      numbers: of the pieces.
    """
    distributed = import_distributed()
    futures = client.map(_piece, numbers, prepare=prepare, said=said, pure=False)
    number_of = {future.key: number for future, number in zip(futures, numbers, strict=True)}
    done = distributed.as_completed(futures)
    del futures  # a piece is dropped once it was handed out
    for future in done:
        yield number_of[future.key], future.result()


def in_order(
    client: Any, prepare: Callable[[str], Callable[[int], Any]], said: str, numbers: Sequence[int]
) -> Iterator[Any]:
    """Pieces in the order of their numbers, with arguments as of `in_any_order`; few are made ahead of the others."""
    waiting: collections.deque = collections.deque()
    for number in numbers:
        waiting.append(client.submit(_piece, number, prepare=prepare, said=said, pure=False))
        if len(waiting) > AHEAD * max(len(client.scheduler_info()["workers"]), 1):
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _piece(number: int, *, prepare: Callable[[str], Callable[[int], Any]], said: str) -> Any:
    """In a worker: a piece, by what was prepared for the first one."""
    worker = import_distributed().get_worker()
    kept = getattr(worker, KEPT, None)
    if kept is None or kept[0] != said:
        kept = (said, prepare(said))
        setattr(worker, KEPT, kept)
    return kept[1](number)
