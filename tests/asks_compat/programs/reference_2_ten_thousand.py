"""The documentation of 2017, second example: ten thousand calls over fifty connections."""

import curio
from asks import HSession

answers = []


async def worker(num):
    r = await s.get(path='/' + str(num))
    answers.append(int(r.text))


async def main():
    s.endpoint = '/asks/test'
    tasks = []
    for i in range(1, 10001):
        tasks.append(await curio.spawn(worker(i)))
    for task in tasks:
        await task.join()

s = HSession('http://example.org', connections=50)

curio.run(main())
print(len(answers), sum(answers))

# prints:
# 10000 50005000
