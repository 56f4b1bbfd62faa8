"""The documentation of 2017, last example: cookies are sent back only if asked for."""

import curio
from asks import HSession


async def main():
    s = HSession('http://example.org', persist_cookies=True)
    r = await s.get(path='/cookies/set?token=abc')
    print(r.json())
    r = await s.get(path='/cookies')
    print(r.json())
    print(sorted(s.cookie_tracker_obj.domain_dict))

    forgetful = HSession('http://example.org')
    await forgetful.get(path='/cookies/set?token=abc')
    r = await forgetful.get(path='/cookies')
    print(r.json(), forgetful.cookie_tracker_obj)

curio.run(main())

# prints:
# {'cookies': {'token': 'abc'}}
# {'cookies': {'token': 'abc'}}
# ['127.0.0.1']
# {'cookies': {}} None
