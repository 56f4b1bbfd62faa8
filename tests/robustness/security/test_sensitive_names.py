"""One list of sensitive names, independent of spelling."""

from __future__ import annotations

import pytest

from asks_fast._sensitive import drop_sensitive_pairs, is_sensitive, mask_pairs, mask_urls


def _words(text: str) -> list[str]:
    return text.split()


SENSITIVE = _words("""
    Authorization Proxy-Authorization Cookie Set-Cookie X-Forwarded-Authorization
    X-Api-Key x_api_key apiKey APIKEY X-RapidAPI-Key DD-API-KEY x-goog-api-key X-MBX-APIKEY
    X-Auth-Token X-Auth-Key X-Auth-Email Private-Token JOB-TOKEN X-Vault-Token X-Consul-Token Token
    X-Access-Token accessToken access_token refreshToken idToken X-TrackerToken x-trackertoken
    X-Shopify-Access-Token X-Amz-Security-Token X-Amz-Signature X-Amz-Credential X-Plex-Token
    X-CSRF-Token X-XSRF-TOKEN csrfmiddlewaretoken CF-Access-Client-Secret CF-Access-Jwt-Assertion
    Ocp-Apim-Subscription-Key X-Functions-Key X-Parse-Master-Key Fastly-Key X-Sentry-Auth
    X-GitHub-OTP password userPassword passwd pwd pass client_secret clientSecret secretAccessKey
    aws_secret_access_key private_key session sessionId JSESSIONID PHPSESSID connect.sid sid sig
    signature jwt key code auth credentials
""")

HARMLESS = _words("""
    Accept Accept-Encoding Content-Type Host User-Agent Referer Idempotency-Key Surrogate-Key
    Sec-WebSocket-Key If-Match ETag X-Request-Id author authority WWW-Authenticate max_tokens
    status_code countryCode keyboard primaryKey public_key position side tokenizer passenger
    X-Forwarded-For design assign
""")


@pytest.mark.parametrize("name", SENSITIVE)
def test_sensitive_names(name: str) -> None:
    """Names of credentials are recognized in every spelling."""
    assert is_sensitive(name)
    assert is_sensitive(name.replace("-", "_"))


def test_long_names() -> None:
    """Long names are checked in linear time."""
    assert is_sensitive("x-" * 500_000 + "token")
    assert not is_sensitive("x-" * 500_000)
    assert mask_urls("?" * 500_000 + "a" * 500_000) == "?" * 500_000 + "a" * 500_000


@pytest.mark.parametrize("name", HARMLESS)
def test_names_that_are_not_sensitive(name: str) -> None:
    """Names that only resemble those of credentials are not sensitive."""
    assert not is_sensitive(name)


def test_pairs_and_urls() -> None:
    """Sensitive values are dropped or masked; the rest of the text stays as it was."""
    query = "a=1&api%5Fkey=x&b&token&access_token=y%20z&b=%2F"
    assert drop_sensitive_pairs(query) == "a=1&b&token&b=%2F"
    assert mask_pairs(query) == "a=1&api%5Fkey=***&b&token&access_token=***&b=%2F"
    text = "GET http://h/p?a=1&token=x: again status=302 url='/q?sig=y&n=2#id_token=z' error=E('k')"
    assert mask_urls(text) == (
        "GET http://h/p?a=1&token=***: again status=302 url='/q?sig=***&n=2#id_token=***' "
        "error=E('k')"
    )
    assert mask_urls("E('http://h/?a=it's&token=it's') http://h/?token=x.") == (
        "E('http://h/?a=it's&token=***') http://h/?token=***."
    )
