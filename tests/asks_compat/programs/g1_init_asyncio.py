"""asks 1.x: on asyncio, chosen by init."""

import asyncio

import asks

asks.init('asyncio')


async def grabber(s, path, results):
    r = await s.get(path=path)
    results.append(int(r.text))


async def main():
    results = []
    s = asks.Session('http://example.org', connections=5)
    tasks = [asyncio.ensure_future(grabber(s, f'/asks/test/{n}', results)) for n in range(20)]
    await asyncio.wait(tasks)
    print(sorted(results) == list(range(20)))
    try:
        await asyncio.wait_for(s.get(path='/delay/5'), 0.1)
    except asyncio.TimeoutError:
        print('timeout')
    await s.close()

loop = asyncio.new_event_loop()
loop.run_until_complete(main())
loop.close()

# prints:
# True
# timeout
