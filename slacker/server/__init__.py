"""Servers: what is exposed, and how a request finds its way to a function and back."""

from slacker.server.context import CurrentCall, current_call
from slacker.server.functions import expose, no_slacker, nonblocking
from slacker.server.limits import Limits
from slacker.server.service import SlackerServer

__all__ = ["CurrentCall", "Limits", "SlackerServer", "current_call", "expose", "no_slacker", "nonblocking"]
