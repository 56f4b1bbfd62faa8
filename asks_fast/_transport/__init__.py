"""Connections: routes, name resolution, sockets, TLS, proxies; the exchange of one request.

Modules that cost memory or time to import (`ssl`, `idna`, `http_tunnel`, `socks`) are imported by
the function that needs them.

The compiled hot path (`_hotpath`) sends and receives; `_client` handles redirects and retries.
"""
