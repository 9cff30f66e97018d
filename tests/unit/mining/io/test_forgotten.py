import json
import os

import pytest

from mining.contract.errors import DatasetError
from mining.io.filesystem import Storage, list_glob, remove_folder
from mining.io.forgotten import (
    EVERYWHERE,
    Forgotten,
    ForgottenList,
    read_forgotten,
    write_forgotten,
)

LOCAL = Storage()
DIGEST_OF_SEVEN = "8d89950f3c1cd9c6600b2529986d1f45"


def test_a_list_holds_digests_and_comes_back(tmp_path):
    uri = str(tmp_path / "forgotten.json")
    assert read_forgotten(uri, LOCAL) == ForgottenList()
    listed = ForgottenList().with_more(
        {
            "talks": Forgotten.of(files=["a/7.mp3"], recordings=["0" * 32]),
            EVERYWHERE: Forgotten.of(recordings=["1" * 32]),
        }
    )
    listed = listed.with_more({"talks": Forgotten.of(ids=["seven"])})
    assert listed.pending
    write_forgotten(uri, listed, LOCAL)
    text = (tmp_path / "forgotten.json").read_text()
    assert not any(name in text for name in ("a/7.mp3", "seven", "0" * 32))
    found = read_forgotten(uri, LOCAL)
    assert found == listed
    talks, others = found.of("talks"), found.of("others")
    assert talks.has_id("seven")
    assert talks.has_recording("0" * 32)
    assert talks.has_recording("1" * 32)
    assert others.has_recording("1" * 32)
    assert not others.has_recording("0" * 32)
    assert not others.has_id("seven")


def test_a_file_is_known_below_its_base_and_in_full(tmp_path):
    below = Forgotten.of(files=["deu/7.mp3"])
    assert below.has_file("/moved/deu/7.mp3", "/moved/")
    assert not below.has_file("/moved/deu/7.mp3", "/")
    full = Forgotten.of(files=[os.path.abspath("deu/7.mp3")])
    assert full.has_file("deu/7.mp3", "whatever/")
    assert not full.has_file("s3://bucket/deu/7.mp3", "s3://bucket/")
    assert not Forgotten().has_file("a", "")


@pytest.mark.parametrize(
    "text", ["[]", "{}", '{"schema": 2, "corpora": {}, "pending": false}', "{"]
)
def test_a_damaged_list_stops_every_run(tmp_path, text):
    path = tmp_path / "forgotten.json"
    path.write_text(text)
    with pytest.raises(DatasetError, match=r"forgotten\.json: must be"):
        read_forgotten(str(path), LOCAL)


def test_the_fields_of_the_list_are_a_contract(tmp_path):
    write_forgotten(str(tmp_path / "f.json"), ForgottenList(corpora={"a": Forgotten()}), LOCAL)
    assert json.loads((tmp_path / "f.json").read_text()) == {
        "schema": 1,
        "pending": False,
        "corpora": {"a": {"ids": [], "files": [], "recordings": []}},
    }
    # these digests are in lists that are out: they must never change
    (one,) = Forgotten.of(ids=["seven"]).ids
    assert one == DIGEST_OF_SEVEN


def test_hidden_files_are_listed_and_removed_on_request(tmp_path):
    (tmp_path / "a/_b").mkdir(parents=True)
    for name in ("a/x", "a/.y", "a/_b/z"):
        (tmp_path / name).write_text("")
    folder = str(tmp_path / "a")
    assert list_glob(folder, LOCAL) == [f"{folder}/x"]
    assert list_glob(folder, LOCAL, hidden=True) == [f"{folder}/{n}" for n in (".y", "_b/z", "x")]
    remove_folder(folder, LOCAL)
    remove_folder(folder, LOCAL)
    assert not (tmp_path / "a").exists()
