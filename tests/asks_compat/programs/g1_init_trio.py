"""asks 1.x: on trio, chosen by init with the module's name."""

import asks
import trio

asks.init('trio')


async def grabber(s, path, results):
    r = await s.get(path=path)
    results.append(int(r.text))


async def main():
    results = []
    s = asks.Session('http://example.org', connections=5)
    async with trio.open_nursery() as n:
        for number in range(20):
            n.start_soon(grabber, s, f'/asks/test/{number}', results)
    print(sorted(results) == list(range(20)))
    with trio.move_on_after(0.1) as scope:
        await s.get(path='/delay/5')
    print(scope.cancelled_caught)
    await s.close()

trio.run(main)

# prints:
# True
# True
