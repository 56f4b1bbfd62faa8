"""2017: the base functions and their arguments."""

import asks
import curio


async def grab():
    for method in (asks.get, asks.post, asks.put, asks.delete, asks.options):
        r = await method('http://example.org/anything')
        print(r.json()['method'], r.status_code, r.reason_phrase, r.http_version)
    r = await asks.head('http://example.org/get')
    print(r.status_code, r.body == b'')
    r = await asks.request('PROPFIND', 'http://example.org/anything')
    print(r.json()['method'])

    r = await asks.get('http://example.org/get', params={'search': 'a term', 'tags': ['x', 'y']})
    print(r.json()['args'])
    r = await asks.post('http://example.org/post', data={'name': 'Ünal', 'n': 0, 'empty': ''})
    print(r.json()['form'])
    r = await asks.post('http://example.org/post', json={'key': ['value', None]})
    print(r.json()['json'], r.json()['headers']['content-type'])
    r = await asks.get('http://example.org/headers', headers={'X-Mine': 'yes'})
    print(r.json()['headers']['x-mine'])
    r = await asks.get('http://example.org/cookies', cookies={'in': 'jar'})
    print(r.json()['cookies'])
    r = await asks.get('http://example.org/redirect/2', max_redirects=3)
    print(r.status_code, [old.status_code for old in r.history])

curio.run(grab())

# prints:
# GET 200 OK 1.1
# POST 200 OK 1.1
# PUT 200 OK 1.1
# DELETE 200 OK 1.1
# OPTIONS 200 OK 1.1
# 200 True
# PROPFIND
# {'search': 'a term', 'tags': ['x', 'y']}
# {'name': 'Ünal', 'n': '0', 'empty': ''}
# {'key': ['value', None]} application/json
# yes
# {'in': 'jar'}
# 200 [302, 302]
