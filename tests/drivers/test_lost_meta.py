"""A store whose own file is lost, though its journal is there."""

from statestore.testing.driver import contents, put


def test_store_whose_meta_file_is_lost_keeps_its_identity_and_its_commits(opened, root):
    driver = opened(materialize="background")
    driver.commit([put("a", n=1)], {})
    identity = driver.store_id
    driver.close()
    (root / ".statestore" / "meta.json").unlink()

    again = opened()

    assert again.store_id == identity
    assert contents(again) == {"a": {"id": "a", "n": 1}}
    assert [commit.sequence for commit in again.changes(0)] == [1]
