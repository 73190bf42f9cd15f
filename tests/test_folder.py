"""What a run leaves in its folder: files whole or absent, tables, and a folder that belongs to one config."""

import csv
import functools
import gzip
import json

import pytest

from galdiff.errors import InputError
from galdiff.io.folder import as_json, csv_writer, text, write_files
from galdiff.train.folder import changed, claim


def test_writers_leave_texts_numbers_and_tables(tmp_path):
    rows = (("a", 1.5), ("b, c", 2))
    packed = functools.partial(gzip.open, compresslevel=5)
    writers = {"t.txt": text("Å\n"), "n.json": as_json({"x": [1, None]}), "r.csv": csv_writer(["name", "value"], rows)}
    write_files(tmp_path, {**writers, "r.csv.gz": csv_writer(["name", "value"], iter(rows), packed)})
    assert (tmp_path / "t.txt").read_text(encoding="utf-8") == "Å\n"
    assert json.loads((tmp_path / "n.json").read_text()) == {"x": [1, None]}
    with (tmp_path / "r.csv").open(newline="") as plain, gzip.open(tmp_path / "r.csv.gz", "rt", newline="") as small:
        assert list(csv.reader(plain)) == list(csv.reader(small)) == [["name", "value"], ["a", "1.5"], ["b, c", "2"]]


def test_a_writer_that_fails_leaves_what_was_there(tmp_path):
    write_files(tmp_path, {"a": text("before")})
    with pytest.raises(InputError, match="a: exists already"):
        write_files(tmp_path, {"a": text("after")})

    def half(path):
        path.write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_files(tmp_path, {"b": text("whole"), "a": half}, overwrite=True)
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {"a": "before", "b": "whole"}


def test_a_folder_is_claimed_by_one_config(tmp_path):
    folder = tmp_path / "run"
    for _ in range(2):
        with claim(folder, "train: {steps: 3}\nseed: 0\n"):
            pass
    with (
        pytest.raises(InputError, match=r"another run was begun here \(seed, train.steps differ\)"),
        claim(folder, "train: {steps: 4}\nseed: 1\n"),
    ):
        pass
    with (
        pytest.raises(InputError, match=r"\(other values differ\)"),
        claim(folder, "train: {steps: 3}\nseed: 0  # the same numbers in other words\n"),
    ):
        pass
    assert (folder / "config.yaml").read_text() == "train: {steps: 3}\nseed: 0\n"
    assert changed({"a": {"b": 1}}, {"a": 2}) == ["a"]
