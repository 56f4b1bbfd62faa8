"""asks 2.x and 3.x: what the overview of functions and arguments shows."""

from pathlib import Path

import asks
import curio
from asks.multipart import MultipartData

Path('file.txt').write_text('text of a file')


async def main():
    async with asks.Session('http://example.org', '/anything', {'x-mine': '1'}, connections=2) as s:
        r = await s.get(params='raw=a b')
        print(r.json()['query'])
        r = await s.post(data='a string', mimetype='text/csv')
        print(r.json()['data'], r.json()['headers']['content-type'], r.json()['headers']['x-mine'])
        r = await s.post(data=b'bytes')
        print(r.json()['data'], r.json()['headers']['content-type'])
        for value in ({}, [], 0, False):
            r = await s.post(json=value)
            print(r.json()['data'])
        r = await s.post(multipart={
            'path': Path('file.txt'), 'raw': b'raw bytes', 'number': 2,
            'named': MultipartData(b'<p>', mime_type='text/html', basename='page.html'),
        })
        data = r.json()['data']
        print('filename="file.txt"' in data, 'raw bytes' in data, 'name="number"\r\n\r\n2' in data)
        print('filename="page.html"\r\nContent-Type: text/html\r\n\r\n<p>' in data)
        with Path('file.txt').open('rb') as opened:
            r = await s.put(multipart={'opened': opened})
        print('filename="file.txt"' in r.json()['data'])
        r = await s.patch(path='/more', data={'key': 'value'})
        print(r.json()['method'], r.json()['path'], r.json()['form'])
        r = await s.get('http://example.org/text/iso-8859-1')
        print(r.text, r.encoding)
        r = await s.get('http://example.org/redirect/1', follow_redirects=False)
        print(r.status_code, r.headers['location'])
        r = await s.get('http://example.org/deflate', encoding='latin-1')
        print(r.json()['coding'], len(r.content) > len(r.raw), r.raw == r.body)

curio.run(main)

# prints:
# raw=a%20b
# a string text/csv 1
# bytes text/plain
# {}
# []
# 0
# false
# True True True
# True
# True
# PATCH /anything/more {'key': 'value'}
# Grüße aus Köln iso8859-1
# 302 /get
# deflate True True
