"""Parts of the transports for httpx and httpx2, which differ only in their package."""
