"""Snapshots and tables that are spoilt at random: refused on one line, or true where they were not touched."""

import pytest
from snapshot_fuzz import ANY, OF_SNAPSHOTS, fuzz, table

COUNT = 150


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    return fuzz(COUNT, 11, tmp_path_factory.mktemp("fuzz"))


def test_no_spoilt_file_ends_in_a_traceback_or_in_a_galaxy_that_is_silently_another(report):
    assert report.failures == []


def test_the_faults_are_of_all_kinds_and_most_of_them_are_refused(report):
    assert report.kinds == {each.__name__ for each in (*ANY, *OF_SNAPSHOTS, table)}
    assert report.refused + report.read == COUNT
    assert COUNT / 2 < report.refused < 0.9 * COUNT


def test_a_fault_that_passes_unseen_is_reported(tmp_path, monkeypatch):
    monkeypatch.setattr("galdiff.io.simulations.finish.check_columns", lambda raw: None)
    assert fuzz(40, 11, tmp_path).failures
