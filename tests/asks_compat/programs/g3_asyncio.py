"""asks 3.x: on asyncio without init, with gather, streams, a callback, auth and a cookie jar."""

import asyncio

import asks
from asks.auth import PreResponseAuth


class TokenAuth(PreResponseAuth):
    async def __call__(self, request):
        await asyncio.sleep(0)
        return {'Authorization': 'Bearer a-token'}


async def main():
    received = bytearray()

    async def collect(chunk):
        await asyncio.sleep(0)
        received.extend(chunk)

    async with asks.Session('http://example.org', connections=5, persist_cookies=True) as s:
        answers = await asyncio.gather(*[s.get(path=f'/asks/test/{n}') for n in range(20)])
        print([int(r.text) for r in answers] == list(range(20)))
        r = await s.get(path='/drip?n=3', stream=True)
        async for chunk in r.body(timeout=60):
            received += chunk
        print(bytes(received))
        received.clear()
        await s.get(path='/bytes/300000', callback=collect)
        print(len(received))
        print((await s.get(path='/bearer/a-token', auth=TokenAuth())).status_code)
        await s.get(path='/cookies/set?sweet=yes')
        print((await s.get(path='/cookies')).json()['cookies'])
        try:
            await s.get(path='/delay/5', timeout=0.1)
        except asks.errors.RequestTimeout:
            print('timeout')
    print((await asks.post('http://example.org/post', json={'a': 1})).json()['json'])

asyncio.run(main())

# prints:
# True
# b'***'
# 300000
# 200
# {'sweet': 'yes'}
# timeout
# {'a': 1}
