"""What the tests stand on: peers, servers, a faulty wire, leak checks.

Three rings of tests use it (see CONTRIBUTING.md): no I/O (`feeding`), a curio kernel against a
scripted peer (`peer`, `faults`), real servers on loopback (`servers`, `app`).
Not here: fixtures, they are in `tests/conftest.py`; anything the library itself imports.
"""
