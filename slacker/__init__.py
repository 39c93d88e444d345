"""slacker for Python."""
