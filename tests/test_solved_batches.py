"""Pieces of work here or by the workers of a cluster, and batches of halos by number: stand-ins for both."""

import concurrent.futures
import contextlib
from types import SimpleNamespace

import numpy as np
import pytest

from galdiff.baryons.batches import BatchLog
from galdiff.baryons.population import Report
from galdiff.errors import InputError
from galdiff.io import cluster, solved_batches
from galdiff.io.solved_batches import Batches, solved_by


class Echo:
    """In place of a population: gives the halos back, two at a time."""

    def stream(self, batches, ids):
        first = 0
        for halos in batches:
            for begin in range(0, len(halos.t_start), 2):
                n = len(halos.t_start[begin : begin + 2])
                yield halos.t_start[begin : begin + 2], Report(n, tuple(ids[first : first + n]), (), ())
                first += n


@pytest.fixture
def batches(monkeypatch):
    """Seven halos in batches of three, whose beginning is their number."""

    def make(make, mass, number, size, seed):
        return SimpleNamespace(t_start=mass[number * size : (number + 1) * size])

    monkeypatch.setattr("galdiff.baryons.batches.make_batch", make)
    monkeypatch.setattr("galdiff.baryons.batches.check_times", lambda halos, outputs: None)
    return Batches(
        make=None, mass=np.arange(7.0), size=3, seed=0, outputs=None, stage=None, population=Echo()
    )  # of which the stand-ins ask nothing


def test_batches_of_some_numbers_have_the_ids_that_their_halos_have_among_all(batches):
    log = BatchLog()
    ids = [report.refined for _, report in batches.chunks(log)]
    assert ids == [(0, 1), (2,), (3, 4), (5,), (6,)]
    assert [report.refined for _, report in batches.chunks(BatchLog(), range(1, 3))] == ids[2:]
    assert sum(report.n for report in log.reports) == 7
    assert len(log.solving) == 5


def test_one_batch_solved_alone_is_that_of_all(batches):
    chunks, spent = batches.solve(1)
    assert [list(halos) for halos, _ in chunks] == [[3.0, 4.0], [5.0]]
    assert [report.n for report in spent.reports] == [2, 1]
    assert spent.making >= 0


def pieces(noted):
    def done(client, prepare, said, numbers):
        noted.append((client, said))
        return map(prepare(said), numbers)

    return done


def test_workers_give_the_chunks_in_order_and_their_logs_are_added(batches, monkeypatch):
    noted = []
    monkeypatch.setattr(
        solved_batches, "connected", lambda cluster, workers: contextlib.nullcontext((cluster, workers))
    )
    monkeypatch.setattr(solved_batches, "in_order", pieces(noted))
    logs = {name: BatchLog() for name in (cluster.NONE, cluster.LOCAL)}
    ids = {}
    for name, log in logs.items():
        with solved_by(name, 2, batches, log, lambda said: batches.solve, "config") as chunks:
            ids[name] = [report.refined for _, report in chunks]
    assert noted == [(("local", 2), "config")]  # one process asks for none
    assert ids["none"] == ids["local"]
    assert logs["none"].reports == logs["local"].reports
    assert len(logs["local"].solving) == 5


def test_pieces_are_made_here_one_by_one_without_a_cluster_or_without_work():
    made = []

    def make(number):
        made.append(number)
        return 10 * number

    with cluster.made_by(cluster.NONE, 0, make, None, "config", [3, 1]) as found:
        assert next(found) == (3, 30)
        assert made == [3]
        assert list(found) == [(1, 10)]
    with cluster.made_by("tcp://nobody:1", 0, make, None, "config", []) as found:
        assert list(found) == []


class Pool:
    """A client whose pieces are done in the other order."""

    def map(self, piece, numbers, *, prepare, said, pure):
        assert not pure  # what is made again is made anew
        futures = [concurrent.futures.Future() for _ in numbers]
        for number, future in zip(numbers, futures, strict=True):
            future.key = f"piece-{number}"
            future.set_result(piece(number, prepare=prepare, said=said))
        return futures


def test_pieces_that_come_in_any_order_keep_their_numbers_and_a_worker_prepares_once(monkeypatch):
    worker, prepared = SimpleNamespace(), []
    fake = SimpleNamespace(get_worker=lambda: worker, as_completed=reversed)

    def prepare(said):
        prepared.append(said)
        return lambda number: (said, number**2)

    monkeypatch.setattr(cluster, "import_distributed", lambda: fake)
    monkeypatch.setattr(cluster, "connected", lambda name, workers: contextlib.nullcontext(Pool()))
    for said in ("one", "one", "two", "one"):  # another run asks the same worker
        with cluster.made_by("local", 2, None, prepare, said, [4, 5, 7]) as found:
            assert list(found) == [(7, (said, 49)), (5, (said, 25)), (4, (said, 16))]
    assert prepared == ["one", "two", "one"]


@pytest.mark.parametrize("error", [OSError("timed out"), ValueError("no such protocol")])
def test_an_address_where_nobody_answers_is_named_with_what_to_give(monkeypatch, error):
    def refuse(address, timeout):
        raise error

    monkeypatch.setattr(cluster, "import_distributed", lambda: SimpleNamespace(Client=refuse))
    with (
        pytest.raises(InputError, match=rf"cluster is 'tcp://x:1'.*{error}.*tcp://node1:8786"),
        cluster.connected("tcp://x:1", 2),
    ):
        pass


def test_a_local_cluster_has_the_workers_and_is_closed_after_its_client(monkeypatch):
    events = []

    @contextlib.contextmanager
    def noted(what, *given):
        events.append((what, *given))
        yield what
        events.append(f"{what} closed")

    fake = SimpleNamespace(
        LocalCluster=lambda **given: noted("cluster", given["n_workers"]),
        Client=lambda address, timeout: noted("client", address),
    )
    monkeypatch.setattr(cluster, "import_distributed", lambda: fake)
    with cluster.connected(cluster.LOCAL, 3) as client:
        assert client == "client"
    assert events == [("cluster", 3), ("client", "cluster"), "client closed", "cluster closed"]
