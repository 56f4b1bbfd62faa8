from asks import HSession
import curio

async def main():
    s = HSession('http://example.org')
    r = await s.get()

curio.run(main())
