"""Servers: what is exposed, and how a request finds its way to a function and back."""

from slacker.server.functions import expose, no_slacker, nonblocking
from slacker.server.service import SlackerServer

__all__ = ["SlackerServer", "expose", "no_slacker", "nonblocking"]
