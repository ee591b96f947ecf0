"""import and convert: commands that bring records in, or write them anew."""

import pytest

from statestore.cli.samples import SAMPLE_MESSAGES, SAMPLES


@pytest.fixture
def transcripts(tmp_path):
    folder = tmp_path / "transcripts"
    folder.mkdir()
    for name, text in SAMPLES.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def test_import_takes_each_transcript_once(empty, transcripts):
    empty("init")

    first = empty.json("import", transcripts)
    again = empty("import", *sorted(transcripts.iterdir()))

    assert (first["conversations"], first["messages"]) == (3, SAMPLE_MESSAGES)
    assert again.stdout.startswith("imported 0 conversations and 0 messages; 3 transcripts")
    assert {one["records"] for one in empty.json("ls")["kinds"]} >= {3}


def test_import_tells_what_it_could_not_take(empty, transcripts):
    empty("init")

    result = empty("import", transcripts, "nowhere.json", code=7)
    value = empty.json("import", "nowhere.json", code=7)

    assert "imported 3 conversations" in result.stdout
    assert "failed: " in result.stderr
    assert len(value["failures"]) == 1


def test_import_into_no_store_makes_none(empty, transcripts):
    assert "init" in empty("import", "nothing-there", code=3).stderr
    assert not empty.store.exists()


def test_convert_there_and_back_gives_the_same_bytes(shell):
    paths = sorted(shell.store.glob("[a-z]*/*"))
    before = [path.read_bytes() for path in paths]

    there = shell.json("convert", "--to", "yaml")
    back = shell("convert", "--to", "json")

    assert (there["items"], there["format"]) == (6, "yaml")
    assert back.stdout.startswith("converted 6 records to json")
    assert [path.read_bytes() for path in paths] == before


def test_convert_some_kinds_leaves_the_format_of_the_store(shell):
    shell("convert", "tasks", "notes", "--to", "gzip")

    value = shell.json("stats")
    assert value["format"] == "json"
    assert value["kinds"]["notes"]["formats"] == {"gzip": 1}
    assert value["kinds"]["sessions"]["formats"] == {"json": 1}


def test_convert_goes_on_past_what_cannot_be_read(broken):
    result = broken("convert", "--to", "compact", code=7)

    assert "converted 5 records" in result.stdout
    assert "tasks/t1" in result.stderr


@pytest.mark.parametrize(
    ("words", "code"), [(["--to", "nope"], 2), ([], 2), (["--to", "yaml", "nope"], 3)]
)
def test_convert_refuses_wrong_names(shell, words, code):
    before = shell.json("stats")

    shell("convert", *words, code=code)

    assert shell.json("stats") == before


def test_import_makes_a_store_that_is_missing(empty, transcripts):
    result = empty("import", transcripts)

    assert "made a new store" in result.stderr
    assert "imported 3 conversations" in result.stdout
    assert empty.json("import", transcripts)["unchanged"] == 3
