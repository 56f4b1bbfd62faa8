"""asks 2.x and 3.x: the cookie tracker, made by the session or by the user."""

import asks
import curio
from asks.cookie_utils import CookieTracker


async def main():
    async with asks.Session('http://example.org', persist_cookies=True) as s:
        r = await s.get(path='/cookies/set?a=1&b=2')
        cookie = r.history[0].cookies[0]
        print(cookie, cookie.name, cookie.value, cookie.path, cookie.secure, cookie.host)
        print(dict(cookie)['name'])
        r = await s.get(path='/cookies', cookies={'own': '3'})
        print(sorted(r.json()['cookies'].items()))
        print([c.name for c in s._cookie_tracker.domain_dict['127.0.0.1']])
    tracker = CookieTracker()
    await asks.get('http://example.org/cookies/set?c=3', persist_cookies=tracker)
    r = await asks.get('http://example.org/cookies', persist_cookies=tracker)
    print(r.json()['cookies'])

curio.run(main)

# prints:
# <Cookie a from 127.0.0.1> a 1 / False 127.0.0.1
# a
# [('a', '1'), ('b', '2'), ('own', '3')]
# ['a', 'b']
# {'c': '3'}
