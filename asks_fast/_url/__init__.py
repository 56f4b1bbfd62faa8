"""Parts of URL handling: hosts and percent-encoding."""
