"""Authentication: Basic, Bearer, Digest, netrc."""
