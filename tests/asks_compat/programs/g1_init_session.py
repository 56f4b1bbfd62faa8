"""asks 1.x: a library was chosen by init; one Session for everything."""

import asks
import curio

asks.init('curio')


async def example():
    s = asks.Session('http://example.org', connections=5)
    s.endpoint = '/asks/test'
    r = await s.get(path='/7')
    print(r.text)
    s.base_location = 'http://example.org/'
    s.endpoint = 'asks/test/'
    r = await s.get(path='/8/')
    print(r.text)
    s.headers.update({'x-token': 'abc'})
    r = await s.get('http://example.org/headers')
    print(r.json()['headers']['x-token'])
    r = await s.get('http://example.org/headers', headers={'X-Token': 'other'})
    print(r.json()['headers']['x-token'])
    await s.close()

curio.run(example)

# prints:
# 7
# 8
# abc
# other
