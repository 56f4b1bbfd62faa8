from asks import DSession
import curio

url_list = ['http://example.org/get', 'http://example.org/json', 'http://example.org/html'] * 5

async def worker(url):
    r = await s.get(url)

async def main():
    for url in url_list:
        await curio.spawn(worker(url))

s = DSession()
curio.run(main())
