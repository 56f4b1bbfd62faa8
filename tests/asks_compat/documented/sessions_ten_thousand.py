from asks import HSession
import curio

async def worker(num):
    r = await s.get(path='/' + str(num))

async def main():
    s.endpoint = '/asks/test'
    for i in range(1, 10001):
        await curio.spawn(worker(i))

s = HSession('http://example.org', connections=50)
curio.run(main())
