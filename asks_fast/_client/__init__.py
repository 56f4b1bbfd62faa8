"""What one call does, from its arguments to the final response."""
