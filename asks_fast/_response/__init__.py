"""What comes back: streams, decompression, text."""
