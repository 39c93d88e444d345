"""Clients of single servers."""

from slacker.client.client import Client
from slacker.client.remote import Namespace, RemoteFunction

__all__ = ["Client", "Namespace", "RemoteFunction"]
