"""Between a URL and the first byte: names, addresses, sockets, TLS, proxies; time limits, retries.

Rules:  imports downwards only (errors, the compiled hot path, and for Digest at a proxy `auth`);
        what costs memory or time to import is imported by the function that needs it.
Not here: the exchange itself, and the conversation around it.
"""
