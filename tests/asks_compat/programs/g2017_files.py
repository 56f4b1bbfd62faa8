"""2017: files by path, and a value that is no file as a field."""

import curio
from asks import HSession

with open('notes.txt', 'w') as notes:
    notes.write('some notes')


async def main():
    s = HSession('http://example.org', endpoint='/post', connections=2)
    r = await s.post(files={'upload': 'notes.txt', 'title': 'not a file'})
    sent = r.json()
    print(sent['headers']['content-type'].partition(';')[0])
    print('filename="notes.txt"' in sent['data'], 'some notes' in sent['data'])
    print('name="title"\r\n\r\nnot a file' in sent['data'])

curio.run(main())

# prints:
# multipart/form-data
# True True
# True
