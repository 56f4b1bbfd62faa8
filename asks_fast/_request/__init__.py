"""What is sent: request, headers, bodies."""
