"""The documentation of 2017, third example: many requests to many places."""

import curio
from asks import DSession

url_list = ['http://example.org/' + page for page in ('get', 'json', 'html', 'ip', 'close') * 10]
statuses = []


async def worker(url):
    r = await s.get(url)
    statuses.append(r.status_code)


async def main():
    tasks = [await curio.spawn(worker(url)) for url in url_list]
    for task in tasks:
        await task.join()

s = DSession()

curio.run(main())
print(len(statuses), set(statuses), s.connections)

# prints:
# 50 {200} 20
