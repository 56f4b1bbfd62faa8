import asks
import curio

path_list = ['http://example.org/get', 'http://example.org/json', 'http://example.org/ip'] * 5
responses = []

async def grabber(url):
    r = await s.get(url)
    responses.append(r)

async def main(urls):
    for url in urls:
        await curio.spawn(grabber(url))

s = asks.Session(connections=5)
curio.run(main(path_list))
