"""asks 2.x and 3.x: what goes wrong, and by which name it is caught."""

import asks
import curio
from asks.errors import (
    AsksException,
    BadStatus,
    ConnectivityError,
    RequestTimeout,
    TooManyRedirects,
)


async def main():
    async with asks.Session() as s:
        try:
            await s.get('http://example.org/slow/5', timeout=0.2)
        except RequestTimeout as error:
            print('timeout', isinstance(error, ConnectivityError))
        try:
            await s.get('http://example.org/redirect/5', max_redirects=2)
        except TooManyRedirects as error:
            print('redirects', isinstance(error, AsksException))
        r = await s.get('http://example.org/status/418')
        try:
            r.raise_for_status()
        except BadStatus as error:
            print(error.status_code, error.response is r, str(error).partition(' for url')[0])
        r = await s.get('http://example.org/status/500')
        try:
            r.raise_for_status()
        except asks.errors.BadStatus as error:
            print(str(error).partition(':')[0])
        try:
            await s.get('http://example.org/get', ko='yes')
        except TypeError as error:
            print(error)
        try:
            await s.get(path='/no/base')
        except ValueError:
            print('no base')
        try:
            await s.post('http://example.org/post', data={'a': 1}, json={'b': 2})
        except TypeError:
            print('two bodies')
        try:
            await s.get('http://127.0.0.1:1/')
        except OSError as error:
            print('refused', isinstance(error, AsksException))

curio.run(main)

# prints:
# timeout True
# redirects True
# 418 True 418 Client Error: I'm a teapot
# 500 Server Error
# request() got unexpected keyword arguments 'ko'
# no base
# two bodies
# refused True
