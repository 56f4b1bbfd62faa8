"""One exchange with one origin: names, addresses, TLS, proxies."""
