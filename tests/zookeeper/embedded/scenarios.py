"""What is played on the embedded and on the real server, which must answer alike."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable

from tests.zookeeper.embedded import requests as rq
from tests.zookeeper.embedded.playing import Play
from tests.zookeeper.embedded.requests import Question

ALICE = rq.auth("digest", b"alice:secret")
BOB = rq.auth("digest", b"bob:secret")


async def nodes(play: Play) -> None:
    await play.join("a")
    await play.ask(
        "a",
        rq.create("/n"),
        rq.create("/n", b"x"),
        rq.create("/n/a", None),
        rq.get_data("/n/a"),
        rq.create("/n/b", b"b", op=15),
        rq.create("/n/e", b"e", 1, op=15),
        rq.create("/n/e/child"),
        rq.create("/n/s-", b"", 2),
        rq.create("/n/", b"", 2),
        rq.create("/n/t-", b"", 3, op=15),
        rq.create("/n/c", b"", 4, op=19),
        rq.create("/n/c/child"),
        rq.create("/n/flags", b"", 9),
        rq.create("/n/ttl", b"", 5),
        rq.create_ttl("/n/ttl", 60_000),
        rq.create_ttl("/n/ttl-", 60_000, 6),
        rq.create_ttl("/n/ttl/child", 1),
        rq.create_ttl("/n/ttl2", 0),
        rq.create_ttl("/n/ttl2", -1),
        rq.create_ttl("/n/ttl2", 0xFF_FFFF_FFFF),
        rq.create_ttl("/n/ttl3", 0x100_0000_0000),
        rq.create_ttl("/n/ttl4", 60_000, 0),
        rq.exists("/n/ttl"),
        rq.create("/n/c2", b"", 0, op=19),
        rq.create("/n/c3", b"", 1, op=19),
        rq.create("/no/parent"),
        rq.create("/", b""),
        rq.exists("/n"),
        rq.exists("/nothing"),
        rq.get_data("/n"),
        rq.get_children("/n"),
        rq.get_children2("/n"),
        rq.get_children("/nothing"),
        rq.set_data("/n", b"12"),
        rq.set_data("/n", b"123", 0),
        rq.set_data("/n", b"123", 1),
        rq.set_data("/n", None),
        rq.set_data("/nothing", b""),
        rq.get_data("/n"),
        rq.delete("/n"),
        rq.delete("/n/a", 3),
        rq.delete("/n/a", 0),
        rq.delete("/n/a"),
        rq.delete("/nothing/below"),
        rq.get_children2("/n"),
        rq.create("/n/after-", b"", 2),
        rq.sync("/n"),
        rq.sync("/nothing"),
        rq.get_acl("/n"),
        rq.get_acl("/nothing"),
        rq.ping(),
    )


async def special_nodes(play: Play) -> None:
    await play.join("a")
    for path in ("/zookeeper", "/zookeeper/quota", "/zookeeper/config"):
        await play.ask("a", rq.get_children(path), rq.get_acl(path), rq.delete(path))
    await play.ask("a", rq.delete("/"), rq.delete(""), rq.set_data("/zookeeper/config", b""))
    answer = await play.ask("a", rq.get_data("/zookeeper/config"))
    assert answer is not None


async def bad_paths(play: Play) -> None:
    await play.join("a")
    await play.ask("a", rq.create("/p"))
    bad = [
        "",
        "p",
        "/p/",
        "//",
        "/p//x",
        "/p/.",
        "/p/..",
        "/p/./x",
        "/p/../x",
        "/./x",
        "/p/\0",
        "/p/\n",
        "/p/\x7f",
    ]
    bad += [
        "/p/\x9f",
        "/p/\ue000",
        "/p/\uffff",
        "/p/\U0001f600",
        "/p/...",
        "/p/.x",
        "/p/x.",
        "/p/\xa0",
        "/p/\ufff0",
    ]
    for path in bad:
        for flags in (0, 2):
            await play.ask("a", rq.create(path, b"", flags))
        await play.ask("a", rq.exists(path), rq.get_data(path), rq.get_children(path), rq.set_data(path, b""))
        await play.ask("a", rq.delete(path), rq.get_acl(path), rq.set_acl(path, rq.OPEN))
        await play.ask("a", rq.multi(rq.check(path, -1)), rq.exists(path, watch=True))
        await play.ask("a", rq.remove_watches(path, 3))


async def transactions(play: Play) -> None:
    await play.join("a")
    await play.join("b")
    await play.ask("a", rq.multi())
    await play.ask(
        "b", rq.get_children("/", watch=True), rq.exists("/m", watch=True), rq.exists("/m/s-", watch=True)
    )
    await play.ask(
        "a",
        rq.multi(
            rq.create("/m", b"1"),
            rq.create("/m/s-", b"", 2),
            rq.create("/m/s-", b"", 3, op=15),
            rq.create("/m/c", b"", 4, op=19),
            rq.create_ttl("/m/ttl", 60_000),
            rq.set_data("/m", b"22", 0),
            rq.check("/m", 1),
            rq.delete("/m/s-0000000000"),
        ),
    )
    await play.ask(
        "b", rq.get_data("/m", watch=True), rq.get_children("/m", watch=True), rq.exists("/m/x", watch=True)
    )
    failing = [
        rq.check("/m", 7),
        rq.create("/m"),
        rq.create("/m/s-0000000001/x"),
        rq.delete("/m"),
        rq.delete("/nothing"),
        rq.set_data("/m", b"", 9),
        rq.create("relative"),
        rq.create("/m/x", b"", 0, []),
        rq.create("/m/x", b"", 9),
        rq.set_data("/m/x/y", b""),
    ]
    for question in failing:
        await play.ask("a", rq.multi(question))
        await play.ask(
            "a",
            rq.multi(
                rq.create("/m/x"),
                rq.set_data("/m", b"no"),
                rq.create("/m/e", b"", 1),
                rq.create("/m/s-", b"", 2),
                rq.delete("/m/c"),
                question,
                rq.create("/m/y"),
            ),
        )
        await play.ask("a", rq.get_children2("/m"), rq.get_data("/m"), rq.exists("/m/e"))
    await play.ask("a", rq.multi(rq.create("/m/x"), rq.set_data("/m/x", b"1"), rq.delete("/m/x")))
    await play.ask("a", rq.check("/m", 3), rq.check("/nothing", 1))


async def rules_of_access(play: Play) -> None:
    await play.join("a")
    await play.join("b")
    await play.ask("a", ALICE, ALICE)
    answer = await play.ask("a", rq.create("/acl", b"", 0, rq.CREATOR), rq.get_acl("/acl"))
    assert answer is not None
    [(_, _, alice)], _ = answer.values
    cases = [
        [],
        [(31, "auth", "")],
        [(31, "world", "somebody")],
        [(31, "digest", "nodigest")],
        [(31, "digest", "too:many:parts")],
        [(31, "ip", "nowhere")],
        [(31, "ip", "127.0.0.1/33")],
        [(31, "ip", "127.0.0.0/8")],
        [(31, "nonsense", "x")],
        [(31, "digest", alice), (31, "digest", alice), (1, "world", "anyone")],
    ]
    for number, acl in enumerate(cases):
        for name in "ab":
            await play.ask(
                name, rq.create(f"/acl-{name}{number}", b"", 0, acl), rq.get_acl(f"/acl-{name}{number}")
            )
            await play.ask(name, rq.set_acl(f"/acl-{name}{number}", acl))
    for perms in (0, 1, 2, 4, 8, 16, 17, 31):
        node = f"/perms{perms}"
        await play.ask("a", rq.create(node), rq.create(f"{node}/below"))
        await play.ask("a", rq.set_acl(node, [(31, "digest", alice), (perms, "world", "anyone")]))
        await play.ask(
            "b",
            rq.get_data(node),
            rq.get_children(node),
            rq.get_children2(node, watch=True),
            rq.exists(node),
            rq.get_acl(node),
            rq.set_data(node, b"x"),
            rq.create(f"{node}/new"),
            rq.delete(f"{node}/below"),
            rq.set_acl(node, [(31, "digest", alice), (perms, "world", "anyone")]),
            rq.multi(rq.check(node, -1)),
            rq.multi(rq.set_data(node, b"y"), rq.create(f"{node}/newer")),
            rq.remove_watches(node, 3),
        )
    await play.ask("b", rq.set_acl("/perms31", [(1, "digest", alice)], 5), rq.set_acl("/nothing", rq.OPEN))
    await play.ask(
        "b", BOB, rq.create("/acl/bobs"), rq.create("/bobs", b"", 0, rq.CREATOR), rq.get_acl("/bobs")
    )
    await play.ask("b", rq.auth("ip", b""), rq.get_acl("/acl"), rq.exists("/acl"))
    await play.join("c")
    await play.ask("c", rq.auth("nonsense", b"x"), rq.ping())


async def watches(play: Play) -> None:
    await play.join("a")
    await play.join("b")
    await play.ask("a", rq.create("/w", b"0"), rq.create("/w/child"))
    await play.ask(
        "b",
        rq.get_data("/w", watch=True),
        rq.exists("/w", watch=True),
        rq.get_children("/w", watch=True),
        rq.get_children2("/w/child", watch=True),
        rq.get_data("/w/child", watch=True),
        rq.exists("/w/new", watch=True),
        rq.get_data("/w/new", watch=True),
        rq.get_children("/w/new", watch=True),
    )
    await play.ask(
        "a", rq.set_data("/w", b"1"), rq.set_data("/w", b"2"), rq.create("/w/new"), rq.create("/w/newer")
    )
    await play.ask("a", rq.delete("/w/child"), rq.delete("/w/new"), rq.delete("/w/newer"))
    await play.ask("b", rq.get_data("/w", watch=True), rq.get_children("/w", watch=True))
    await play.ask("b", rq.set_data("/w", b"own"), rq.create("/w/own"), rq.delete("/w/own"))
    await play.ask("b", rq.get_data("/w", watch=True), rq.get_children("/w", watch=True))
    await play.ask("a", rq.set_acl("/w", rq.OPEN), rq.delete("/w"))
    await play.ask("b", rq.exists("/w", watch=True), rq.exists("/w", watch=True))
    await play.ask("a", rq.create("/w", b"", 1), rq.create("/w2"))
    await play.ask("b", rq.get_data("/w", watch=True), rq.get_children("/", watch=True))
    await play.ask("a", rq.close())


async def removed_watches(play: Play) -> None:
    await play.join("a")
    await play.join("b")
    await play.ask("a", rq.create("/r"))
    for kind in (1, 2, 3, 0, 9):
        for read in (rq.get_data, rq.get_children, rq.exists):
            await play.ask("b", read("/r", True))
        await play.ask("b", rq.check_watches("/r", kind), rq.remove_watches("/r", kind))
        await play.ask("b", rq.check_watches("/r", kind), rq.remove_watches("/r", kind))
        await play.ask("a", rq.set_data("/r", b""), rq.create("/r/x"), rq.delete("/r/x"))
    await play.ask("b", rq.check_watches("/nothing", 3))


async def added_watches(play: Play) -> None:
    await play.join("a")
    await play.join("b")
    await play.ask("a", rq.create("/add"))
    await play.ask("b", rq.add_watch("/add", 0), rq.add_watch("/add/deep", 1))
    for round in range(2):
        await play.ask("a", rq.set_data("/add", b""), rq.create("/add/x"), rq.set_data("/add/x", b""))
        await play.ask(
            "a", rq.create("/add/deep"), rq.create("/add/deep/er"), rq.create("/add/deep/er/still")
        )
        await play.ask("a", rq.set_data("/add/deep/er/still", b"x"), rq.delete("/add/deep/er/still"))
        await play.ask("a", rq.delete("/add/deep/er"), rq.delete("/add/deep"), rq.delete("/add/x"))
        await play.ask("b", rq.check_watches("/add", 3), rq.check_watches("/add/deep", 3))
        await play.ask("b", rq.add_watch("/", 1)) if round else None
    await play.ask("a", rq.delete("/add"), rq.create("/add"))
    await play.ask("b", rq.remove_watches("/add", 3), rq.remove_watches("/add/deep", 3))
    await play.ask("a", rq.create("/add/y"), rq.create("/add/deep"), rq.delete("/add/deep"))
    await play.ask("b", rq.remove_watches("/", 3))
    await play.ask("a", rq.set_data("/add/y", b""), rq.delete("/add/y"))


async def reconnecting(play: Play) -> None:
    await play.join("a")
    await play.join("b", timeout=9_000)
    await play.ask(
        "a", rq.create("/same"), rq.create("/changed"), rq.create("/deleted"), rq.create("/children")
    )
    answer = await play.ask("b", rq.create("/own", b"", 1))
    assert answer is not None
    await play.ask("a", rq.set_data("/changed", b"x"), rq.delete("/deleted"), rq.create("/made"))
    await play.ask("a", rq.create("/children/x"))
    await play.rejoin("b2", "b", timeout=4_000)
    play.transcript.append(["b", await play.clients["b"].frames.get()])
    paths = ["/same", "/changed", "/deleted"]
    await play.ask(
        "b2", rq.set_watches(answer.zxid, paths, ["/made", "/unmade"], ["/same", "/deleted", "/children"])
    )
    for change in (rq.set_data, rq.create):
        await play.ask("a", change("/same", b""), change("/unmade", b""), change("/children", b""))
    await play.ask("a", rq.create("/same/x"), rq.create("/deleted"))
    await play.ask("b2", rq.set_watches2(answer.zxid, (paths, [], []), ["/per"], ["/rec"]))
    await play.ask("a", rq.create("/per"), rq.create("/rec"), rq.create("/rec/x"), rq.create("/per/x"))
    await play.ask("b2", rq.exists("/own"))
    await play.join("victim")
    await play.rejoin(
        "thief", "victim", password=b"x" * 16
    )  # and the real server cuts the victim's connection
    await play.join("late", zxid=2**62)
    await play.join("stranger", session=12345)
    await play.join("old", read_only=b"")
    for number, timeout in enumerate((0, 1, 999, 1001, 39_999, 40_001, 2**31 - 1, -1)):
        await play.join(f"timeout{number}", timeout=timeout)
    await play.ask("b2", rq.close())
    await play.ask("a", rq.exists("/own"))
    await play.rejoin("closed", "b")


def random_play(seed: int) -> Callable[[Play], Awaitable[None]]:
    """A scenario of chance: few paths, so that operations meet, and all kinds of them."""

    async def scenario(play: Play) -> None:
        chance = random.Random(seed)
        for name in "abc":
            await play.join(name)
        await play.ask("a", ALICE)
        await play.ask("b", BOB)
        acls = [rq.OPEN, rq.OPEN, rq.OPEN, rq.CREATOR, [(1, "world", "anyone"), (31, "auth", "")], []]

        def path() -> str:
            depth = chance.choice((1, 1, 2, 2, 3))
            return "".join(f"/{chance.choice('xyz')}" for _ in range(depth))

        def change() -> Question:
            version = chance.choice((-1, -1, -1, 0, 1, 2))
            return chance.choice(
                (
                    lambda: rq.create(
                        path(), b"1", chance.randrange(5), chance.choice(acls), op=chance.choice((1, 15))
                    ),
                    lambda: rq.create(path(), None, chance.choice((0, 0, 0, 1))),
                    lambda: rq.delete(path(), version),
                    lambda: rq.set_data(path(), b"2" * chance.randrange(3), version),
                    lambda: rq.check(path(), version),
                )
            )()

        def question() -> Question:
            watch = chance.random() < 0.5
            return chance.choice(
                (
                    change,
                    change,
                    change,
                    lambda: rq.multi(*(change() for _ in range(chance.randrange(5)))),
                    lambda: rq.exists(path(), watch),
                    lambda: rq.get_data(path(), watch),
                    lambda: rq.get_children2(path(), watch),
                    lambda: rq.get_acl(path()),
                    lambda: rq.set_acl(path(), chance.choice(acls), chance.choice((-1, 0, 1))),
                    lambda: rq.remove_watches(path(), chance.choice((1, 2, 3))),
                )
            )()

        for _ in range(400):
            one = question()
            if one.op != rq.check("", 0).op:  # on its own the real server never answers it
                await play.ask(chance.choice("abc"), one)
        await play.ask("c", rq.close())

    return scenario


SCENARIOS: tuple[Callable[[Play], Awaitable[None]], ...] = (
    nodes,
    special_nodes,
    bad_paths,
    transactions,
    rules_of_access,
    watches,
    removed_watches,
    added_watches,
    reconnecting,
)
