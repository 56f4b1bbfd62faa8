"""2017: a callback gets the body piece by piece, here to write it to a file."""

import os

import asks
import curio


async def write_out(bytechunk):
    async with curio.aopen('our_image.png', 'ab') as out_img:
        await out_img.write(bytechunk)


async def main():
    await asks.get('http://example.org/bytes/300000', callback=write_out)

curio.run(main())
print(os.path.getsize('our_image.png'))

# prints:
# 300000
