import asks
import curio

async def example(url):
    r = await asks.get(url)

async def main():
    for page in ('get', 'json', 'ip'):
        await curio.spawn(example('http://example.org/' + page))

curio.run(main())
