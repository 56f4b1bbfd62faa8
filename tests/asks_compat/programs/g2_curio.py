"""asks 2.x: on curio, chosen by init; a stream, a callback and a time limit in a task group."""

import asks
import curio

asks.init('curio')


async def main():
    s = asks.Session('http://example.org', connections=5)
    async with curio.TaskGroup() as group:
        for number in range(20):
            await group.spawn(s.get, f'http://example.org/asks/test/{number}')
    print(sorted(int(task.result.text) for task in group.tasks) == list(range(20)))

    async with curio.aopen('image.png', 'wb') as out:
        async def write_out(chunk):
            await out.write(chunk)
        await s.get(path='/bytes/300000', callback=write_out)
    async with curio.aopen('image.png', 'rb') as written:
        print(len(await written.read()))

    print(await curio.ignore_after(0.1, s.get(path='/delay/5')))
    await s.close()

curio.run(main)

# prints:
# True
# 300000
# None
