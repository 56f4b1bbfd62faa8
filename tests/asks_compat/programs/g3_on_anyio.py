"""asks 3.x: one program on asyncio and on trio, by anyio."""

import anyio
import asks


async def main():
    async with asks.Session('http://example.org', connections=5) as s:
        r = await s.get(path='/stream/3', stream=True)
        lines = b''
        async for chunk in r.body:
            lines += chunk
        print(len(lines) > 0)
        async with anyio.create_task_group() as group:
            for n in range(10):
                group.start_soon(one, s, n)


async def one(s, n):
    r = await s.get(path=f'/asks/test/{n}')
    assert r.text == str(n)

anyio.run(main, backend='asyncio')
anyio.run(main, backend='trio')
print(anyio.run(asks.get, 'http://example.org/asks/test/7').text)

# prints:
# True
# True
# 7
