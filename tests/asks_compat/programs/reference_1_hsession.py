"""The documentation of 2017, first example: a session with a host needs no argument to get."""

import curio
from asks import HSession


async def main():
    s = HSession('http://example.org')
    r = await s.get()
    print(r.status_code, r.text.partition(' ')[0])

curio.run(main())

# prints:
# 200 asks_fast
