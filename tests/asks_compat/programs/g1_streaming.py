"""asks 1.x: streams, with and without a context, with a limit for each chunk."""

import asks
import curio


async def main():
    total = 0
    r = await asks.get('http://example.org/bytes/500000', stream=True)
    async for chunk in r.body:
        total += len(chunk)
    print(r.status_code, total)

    s = asks.Session('http://example.org')
    r = await s.get(path='/bytes/5000000', stream=True)
    async with r.body:
        async for chunk in r.body:
            print(len(chunk) > 0)
            break
    r = await s.get(path='/drip?n=3', stream=True)
    dripped = b''
    async for chunk in r.body(timeout=60):
        dripped += chunk
    print(dripped)
    r = await s.get(path='/gzip', stream=True)
    data = b''
    async for chunk in r.body:
        data += chunk
    print(data[:18])
    await s.close()

curio.run(main)

# prints:
# 200 500000
# True
# b'***'
# b'{"coding": "gzip",'
