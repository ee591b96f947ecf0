"""Settings of a deployment, and the place of a store."""

import os

import attrs
import pytest

from statestore import ConfigurationError, Manager, Store, UnknownName
from statestore.drivers.memory import MemoryDriver
from statestore.drivers.registered import register
from statestore.journal.journal import JournalOptions
from statestore.models.keys import Key


@attrs.frozen
class Note:
    id: str
    text: str = ""


def open_notes(path, **options):
    store = Store(path, **options)
    return store, store.register(Manager("notes", Note))


def configured(path, text):
    path.mkdir(exist_ok=True)
    (path / "statestore.toml").write_text(text)
    return path


def test_settings_of_the_store_are_used_and_an_argument_overrules(tmp_path):
    configured(tmp_path, 'autosave = "on-change"\nbackups = "backups/safe"\n')

    store, notes = open_notes(tmp_path)
    notes.create(id="a")
    assert store.unsaved == ()
    assert store.backups_path == str(tmp_path / "backups" / "safe")
    store.close()

    store, notes = open_notes(tmp_path, autosave="manual")
    store.load_all()
    notes.create(id="b")
    assert store.unsaved == (Key("notes", "b"),)
    store.close()


def test_another_file_of_settings_can_be_named(tmp_path):
    configured(tmp_path / "store", 'autosave = "manual"')
    other = tmp_path / "other.toml"
    other.write_text('\ufeffautosave = "on-change"\r\n', encoding="utf-8")

    with Store(tmp_path / "store", config=other) as store:
        store.register(Manager("notes", Note)).create(id="a")
        assert store.unsaved == ()
    with pytest.raises(ConfigurationError, match=r"none\.toml"):
        Store(tmp_path / "store", config=tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("autosav = 'manual'", "autosav"),
        ("autosave = 'sometimes'", "autosave"),
        ("autosave = 0", "autosave: it is manual, on-change or a number of seconds above 0"),
        ("autosave = -0.5", "autosave"),
        ("autosave = 86_401", "autosave: .* at most 86,400"),
        ("autosave = inf", "autosave"),
        ("autosave = nan", "autosave"),
        ("autosave = true", "autosave"),
        ("autosave = '5'", "autosave"),
        ("autosave = []", "autosave"),
        ("backups = 5", "backups"),
        ("group_access = 'yes'", "group_access"),
        ("[autosave]\nmode = 'manual'", "autosave"),
        ("materialize = 'later'", "materialize is 'background' or 'now'"),
        ("materialize = true", "materialize"),
        ("history_days = 0", "history_days is a number above 0"),
        ("lock_timeout_s = -1", "lock_timeout_s is a number of seconds, from 0 to 86,400"),
        ("lock_timeout_s = inf", "lock_timeout_s"),
        ("lock_timeout_s = nan", "lock_timeout_s"),
        ("lock_timeout_s = true", "lock_timeout_s"),
        ("lock_timeout_s = '30'", "lock_timeout_s"),
        ("history_days = -1.5", "history_days"),
        ("history_days = '30'", "history_days"),
        ("history_days = true", "history_days"),
        ("history_megabytes = nan", "history_megabytes"),
        ("history_megabytes = inf", "history_megabytes"),
        (f"history_megabytes = 1{'0' * 400}", "history_megabytes"),
        ("autosave = ", "TOML"),
        ("autosave = 'manual'\nautosave = 'manual'", "TOML"),
    ],
)
def test_setting_that_cannot_be_used_names_file_and_setting(tmp_path, text, told):
    configured(tmp_path, text)

    with pytest.raises(ConfigurationError, match=told) as raised:
        Store(tmp_path)

    assert "statestore.toml" in str(raised.value)
    assert os.listdir(tmp_path) == ["statestore.toml"]


def test_settings_that_are_no_text_are_refused(tmp_path):
    (tmp_path / "statestore.toml").write_bytes(b"\xff\xfea\0")

    with pytest.raises(ConfigurationError, match=r"statestore\.toml"):
        Store(tmp_path)


@pytest.mark.parametrize(
    "autosave",
    ["", "always", "5", 0, -1, 86_400.5, True, float("nan"), float("inf"), [], b"manual"],
)
def test_autosave_argument_that_cannot_be_used_is_refused(tmp_path, autosave):
    with pytest.raises(ConfigurationError, match="autosave"):
        Store(tmp_path / "new", autosave=autosave)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "file_mode", "folder_mode"),
    [("", 0o600, 0o700), ("group_access = true", 0o660, 0o770)],
    ids=["own", "group"],
)
@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_files_are_as_open_as_the_setting_says_whatever_the_umask(
    tmp_path, text, file_mode, folder_mode, umask
):
    path = configured(tmp_path / "state", text)
    os.chmod(path, folder_mode)
    before = os.umask(umask)
    try:
        store, notes = open_notes(path)
        notes.create(id="a")
        store.close()
    finally:
        os.umask(before)

    for file in (path / "notes" / "a.json", path / ".statestore" / "meta.json"):
        assert file.stat().st_mode & 0o777 == file_mode
    for folder in (path / "notes", path / ".statestore"):
        assert folder.stat().st_mode & 0o777 == folder_mode


@pytest.mark.parametrize("url", ["redis://host", "s3:bucket", "sqlite:/a"])
def test_unknown_url_is_refused(url, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    with pytest.raises(UnknownName, match="driver"):
        Store(url)

    assert list(tmp_path.iterdir()) == []


def test_directory_url_names_the_same_store_as_its_path(tmp_path):
    store, notes = open_notes(f"directory:{tmp_path}/state")
    notes.create(id="a", text="x")
    store.close()

    with Store(tmp_path / "state") as store:
        assert store.raw("notes/a")["text"] == "x"


def test_files_are_there_when_a_save_returns_if_the_setting_says_so(tmp_path):
    configured(tmp_path / "state", 'materialize = "now"\n').chmod(0o700)

    store, notes = open_notes(tmp_path / "state")
    notes.create(id="a")
    store.save_all()

    assert (tmp_path / "state" / "notes" / "a.json").exists()
    store.close()


def test_history_is_kept_as_the_settings_say(tmp_path):
    asked = []

    def open_asked(options):
        asked.append(options)
        return MemoryDriver()

    register("asked", open_asked)
    (tmp_path / "c.toml").write_text("history_days = 7\nhistory_megabytes = 0.5\n")

    Store("asked:", config=tmp_path / "c.toml").close()
    Store("asked:").close()

    (given, default) = asked
    assert (given.journal.history_days, given.journal.history_bytes) == (7, 524_288)
    assert (default.journal, default.materialize) == (JournalOptions(), "background")
