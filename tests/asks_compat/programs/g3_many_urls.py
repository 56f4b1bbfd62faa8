"""asks 2.x and 3.x: the recipe for many URLs of the documentation."""

import curio
from asks import Session

path_list = [f'/asks/test/{n}' for n in range(100)]
results = []
s = Session('http://example.org', connections=20)


async def grabber(path):
    r = await s.get(path=path)
    results.append(r)


async def main():
    async with curio.TaskGroup() as group:
        for path in path_list:
            await group.spawn(grabber, path)

curio.run(main)
curio.run(main)
print(len(results), {r.status_code for r in results}, sorted({r.url for r in results})[0][-12:])

# prints:
# 200 {200} /asks/test/0
