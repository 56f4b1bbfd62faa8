from asks import HSession
import curio

async def main():
    s = HSession('http://example.org', persist_cookies=True)
    r = await s.get()

curio.run(main())
