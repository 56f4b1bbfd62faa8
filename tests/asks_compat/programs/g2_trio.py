"""asks 2.x: on trio, chosen by init with the module; streams, a callback and auth."""

import asks
import trio
from asks.auth import PreResponseAuth

asks.init(trio)


class TokenAuth(PreResponseAuth):
    async def __call__(self, request):
        await trio.sleep(0)
        return {'Authorization': 'Bearer a-token'}


async def main():
    s = asks.Session('http://example.org', connections=3)
    sizes = []

    async def stream(number):
        r = await s.get(path=f'/bytes/{number}000', stream=True)
        size = 0
        async with r.body:
            async for chunk in r.body:
                size += len(chunk)
        sizes.append(size)

    async with trio.open_nursery() as n:
        for number in range(1, 7):
            n.start_soon(stream, number)
    print(sorted(sizes))

    async with await trio.open_file('image.png', 'wb') as out:
        await asks.get('http://example.org/bytes/300000', callback=out.write)
    print((await trio.Path('image.png').stat()).st_size)

    r = await s.get(path='/bearer/a-token', auth=TokenAuth())
    print(r.status_code)
    try:
        await s.get(path='/delay/5', timeout=0.1)
    except asks.errors.RequestTimeout:
        print('timeout')
    await s.close()

trio.run(main)

# prints:
# [1000, 2000, 3000, 4000, 5000, 6000]
# 300000
# 200
# timeout
