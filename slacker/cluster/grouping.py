"""Which of the connected servers a call goes to. Pure: servers in, servers out."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from slacker.client import Client
from slacker.errors import ConfigurationError

#: Chooses one of the connected servers, which come in the order of their addresses and are at least one; the
#: leader is given where one is known and connected.
ChooseOne = Callable[[Sequence[Client], "Client | None"], Client]

ALL = "all"


def choose_random(servers: Sequence[Client], leader: Client | None) -> Client:
    """Any of them."""
    return servers[int(random.random() * len(servers))]


def choose_first(servers: Sequence[Client], leader: Client | None) -> Client:
    """The leader where one is known and connected, else the first in the order of addresses."""
    return leader or servers[0]


ONE_SERVER: dict[str, ChooseOne] = {"random": choose_random, "first": choose_first}


def check_grouping(policy: object) -> None:
    """Refuse what is no grouping.

    :raises ConfigurationError: with the names there are.
    """
    if policy != ALL and policy not in ONE_SERVER:
        known = ", ".join([*ONE_SERVER, ALL])
        raise ConfigurationError(f"grouping {policy!r} is unknown; there are {known}")
