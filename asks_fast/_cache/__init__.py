"""HTTP caching (RFC 9111): `cache` joins the rules, which do no I/O, and the stores."""
