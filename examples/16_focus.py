"""Keep what an agent has its mind on: chains of focuses, with trees and expiry."""

import tempfile

from statestore import Store
from statestore.managers import FocusLimits, FocusManager

with tempfile.TemporaryDirectory() as folder:
    with Store(folder, autosave="on-change") as store:
        chains = store.register(FocusManager(limits=FocusLimits(max_chains=20, max_size=100)))
        chain = chains.create("Fix the parser", active=True)

        # What comes to mind goes to the end, and is the current focus.
        module = chains.push(chain, type="file", target="parser.py", tags=["code"])
        failed = chains.push_to_active(
            type="error", target="IndexError in parse()", priority="critical", ttl_s=3600
        )
        assert chains.current_focus == failed

        # A focus may have others below it.
        function = chains.add_child(chain, module, type="function", target="parse")
        chains.add_child(chain, function, type="test", target="test_empty")
        for focus in chains.walk(chain):
            print("  " * chains.depth(chain, focus) + f"{focus.type}: {focus.target}")

        # Back to the file; then a side issue gets a chain of its own.
        back = chains.previous(chain)
        assert back == chains.get_focus(chain, module)
        chains.push(chain, type="task", target="Write the changelog")
        work, rest = chains.split(chain, 2, name="Afterwards")
        print(f"{work.name}: {len(work.focuses)}; {rest.name}: {len(rest.focuses)}")
        chains.update_focus(work, failed, description="fixed", expires_at=chains[work].updated_at)

    with Store(folder) as store:  # another process, later
        chains = store.register(FocusManager())
        store.load_all()
        assert chains.active == chains[chain]
        assert chains.clean_expired() == 1
        assert chains.current_focus == chains.get_focus(chain, module)
        assert [one.target for one in chains.by_type(chain, "test")] == ["test_empty"]
        figures = chains.statistics()
        print(f"{figures.focuses} focuses in {figures.chains} chains: {dict(figures.by_type)}")
        store.save_all()
