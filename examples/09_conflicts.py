"""Two hands on one record: refuse, take one side, or merge."""

import tempfile

import attrs

from statestore import Manager, SaveFailed, Store


@attrs.frozen
class Page:
    id: str
    title: str = ""
    text: str = ""
    views: int = 0


def merge(base: Page | None, mine: Page, theirs: Page) -> Page:
    """Add up the views that both have counted, and keep both texts."""
    counted = mine.views - (base.views if base else 0)
    text = theirs.text if mine.text == theirs.text else f"{theirs.text} / {mine.text}"
    return attrs.evolve(theirs, views=theirs.views + counted, text=text)


with tempfile.TemporaryDirectory() as folder, Store(folder) as one, Store(folder) as other:
    mine = one.register(Manager("pages", Page, merge=merge))
    theirs = other.register(Manager("pages", Page))
    mine.create(id="home", title="Home", views=1)
    one.save_all()
    other.load_all()

    theirs.update("home", text="by the other", views=3)
    other.save_all()
    mine.update("home", text="by the one", views=2)

    report = one.refresh()  # brings in what is new, and keeps what is unsaved here
    assert [str(key) for key in report.kept] == ["pages/home"]
    try:
        one.save_all()
    except SaveFailed as error:
        print(error.report.failures[0].error)  # it names both revisions

    saved = one.save_all(on_conflict="merge")  # or "mine", or "theirs"
    print([(str(settled.key), settled.how) for settled in saved.resolved])
    assert mine["home"] == Page("home", "Home", "by the other / by the one", views=4)

    # Where the new value follows from the old one there is no conflict to begin with.
    theirs.modify("home", lambda page: attrs.evolve(page, views=page.views + 1))
    assert other.raw("pages/home")["views"] == 5
