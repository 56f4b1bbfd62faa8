"""asks 1.x: the auth classes, ready-made and one's own."""

import asks
import curio
from asks.auth import BasicAuth, PostResponseAuth, PreResponseAuth


class TokenAuth(PreResponseAuth):
    def __init__(self, token):
        self.token = token

    async def __call__(self, request):
        return {'Authorization': 'Bearer ' + self.token, 'X-Path': request.path}


class AnswerAuth(PostResponseAuth):
    def __init__(self, token):
        super().__init__()
        self.token = token

    async def __call__(self, response, request):
        assert response.status_code == 401
        assert request.method == 'GET'
        assert request.scheme == 'http'
        assert response.headers['www-authenticate'].startswith('Bearer')
        return {'Authorization': 'Bearer ' + self.token}


async def main():
    usr_pw = ('AzureDiamond', 'hunter2')
    r = await asks.get('http://example.org/basic-auth/AzureDiamond/hunter2', auth=BasicAuth(usr_pw))
    print(r.status_code, r.json())
    r = await asks.get('http://example.org/basic-auth/AzureDiamond/hunter3', auth=BasicAuth(usr_pw))
    print(r.status_code)
    r = await asks.get('http://example.org/bearer/abc', auth=TokenAuth('abc'))
    print(r.status_code)
    r = await asks.get('http://example.org/bearer/abc', auth=AnswerAuth('abc'))
    print(r.status_code, [old.status_code for old in r.history])
    r = await asks.get('http://example.org/bearer/abc', auth=AnswerAuth('wrong'))
    print(r.status_code, [old.status_code for old in r.history])

curio.run(main)

# prints:
# 200 {'authenticated': True, 'user': 'AzureDiamond'}
# 401
# 200
# 200 [401]
# 401 [401]
