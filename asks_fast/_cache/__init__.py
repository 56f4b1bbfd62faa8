"""HTTP caching (RFC 9111): `cache` applies the rules, which do no I/O, to the stores."""
