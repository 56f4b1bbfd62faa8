"""asks 3.x: on trio without init, in a nursery, with a cancel scope, streams and sessions."""

import asks
import trio


async def main():
    results = {}

    async def one(s, n):
        r = await s.get(path=f'/asks/test/{n}')
        results[n] = r.text

    async with asks.Session('http://example.org', connections=5) as s:
        async with trio.open_nursery() as nursery:
            for n in range(20):
                nursery.start_soon(one, s, n)
        print(results == {n: str(n) for n in range(20)})
        received = b''
        r = await s.get(path='/drip?n=3', stream=True)
        async with r.body:
            async for chunk in r.body(timeout=60):
                received += chunk
        print(received)
        with trio.move_on_after(0.1) as scope:
            await s.get(path='/delay/5')
        print(scope.cancelled_caught)
        try:
            with trio.fail_after(60):
                await s.get(path='/delay/5', timeout=0.1)
        except asks.errors.RequestTimeout:
            print('timeout')
        print((await s.get(path='/status/404')).status_code)
    print((await asks.put('http://example.org/put', data={'a': 1})).json()['form'])

trio.run(main)

# prints:
# True
# b'***'
# True
# timeout
# 404
# {'a': '1'}
