"""Namespaces that come and go by request, and who leads them."""

from __future__ import annotations

from typing import Any

from slacker.content.values import Keyword
from slacker.errors import ConfigurationError
from tests.cluster.test_layout import API
from tests.cluster.test_publisher import ADDRESS, API2, OTHER, PublisherCase
from tests.zookeeper.test_election import SESSION


class LeaderTests(PublisherCase):
    def test_the_first_server_leads_and_is_named(self) -> None:
        first, _ = self.publish(OTHER)
        second, _ = self.publish(ADDRESS)
        self.world.advance(100)
        self.assertEqual(self.leader(), OTHER.encode())
        self.assertEqual([first.leads(API), second.leads(API)], [True, False])
        self.assertEqual(self.told, [(f"{OTHER} {API}", True), (f"{OTHER} {API2}", True)])

    def test_a_stale_name_is_replaced(self) -> None:
        for stale in (b"10.0.0.9:2104", b"", None, b"no address", b"\xff\xfe"):
            self.world.put(self.layout.leader(API), stale)
        self.publish()
        self.assertEqual(self.leader(), ADDRESS.encode())

    def test_the_next_leads_and_is_named_as_soon_as_the_leader_stops(self) -> None:
        first, _ = self.publish(OTHER)
        second, _ = self.publish(ADDRESS)
        self.world.advance(1)
        first.stop()
        self.world.advance(0.1)
        self.assertEqual(self.leader(), ADDRESS.encode())
        self.assertTrue(second.leads(API))
        self.assertEqual(self.told[2:4], [(f"{OTHER} {API}", False), (f"{OTHER} {API2}", False)])

    def test_a_name_that_somebody_overwrites_is_written_again(self) -> None:
        self.publish()
        for _ in range(3):
            self.world.put(self.layout.leader(API), b"10.0.0.9:2104")
            self.world.advance(2)
            self.assertEqual(self.leader(), ADDRESS.encode())

    def test_who_leads_no_more_writes_no_more(self) -> None:
        publisher, _ = self.publish()
        publisher.unpublish([API])
        self.world.advance(1)
        self.world.put(self.layout.leader(API), b"10.0.0.9:2104")
        self.world.advance(100)
        self.assertEqual(self.leader(), b"10.0.0.9:2104")

    def test_two_that_write_at_once_end_in_the_leaders_name(self) -> None:
        publisher, kazoo = self.publish()
        real = kazoo.set_async

        def too_late(path: str, value: bytes, version: int) -> Any:
            kazoo.set_async = real  # type: ignore[method-assign]
            self.world.put(path, OTHER.encode())
            return real(path, value, version)

        kazoo.set_async = too_late  # type: ignore[method-assign]
        self.world.put(self.layout.leader(API), b"")
        self.world.advance(2)
        self.assertEqual(self.leader(), ADDRESS.encode())
        self.assertTrue(publisher.published)

    def test_somebody_who_always_writes_first_is_tried_again_and_not_in_a_tight_loop(self) -> None:
        publisher, kazoo = self.publish()
        real = kazoo.set_async

        def too_late(path: str, value: bytes, version: int) -> Any:
            self.world.put(path, OTHER.encode())
            return real(path, value, version)

        kazoo.set_async = too_late  # type: ignore[method-assign]
        self.world.put(self.layout.leader(API), b"")
        self.world.requests.clear()
        self.world.advance(30)
        self.assertFalse(publisher.published)
        self.assertLess(len(self.world.requests), 300)
        kazoo.set_async = real  # type: ignore[method-assign]
        self.world.advance(40)
        self.assertEqual((self.leader(), publisher.published), (ADDRESS.encode(), True))

    def test_who_is_told_to_leave_while_it_proclaims_does_not(self) -> None:
        publisher, _ = self.publish()
        self.world.advance(1)
        self.world.put(self.layout.leader(API), b"")
        self.world.requests.clear()
        self.world.pump()
        self.world.clock.advance(0)
        self.world.pump_until(lambda: ("get", self.layout.leader(API)) in self.world.requests)
        publisher.unpublish([API])
        self.world.advance(1)
        self.assertEqual(self.leader(), b"")

    def test_a_server_out_of_reach_stops_leading_before_its_session_can_end(self) -> None:
        first, kazoo = self.publish(OTHER)
        self.publish(ADDRESS)
        self.told.clear()
        kazoo.step = lambda: False  # type: ignore[method-assign]
        self.world.advance(SESSION * 0.7)
        self.assertFalse(first.leads(API))
        self.world.end_session(kazoo._session)
        self.world.advance(1)
        self.assertEqual(
            self.told,
            [
                (f"{OTHER} {API}", False),
                (f"{OTHER} {API2}", False),
                (f"{ADDRESS} {API}", True),
                (f"{ADDRESS} {API2}", True),
            ],
        )
        self.assertEqual(self.leader(), ADDRESS.encode())

    def test_after_an_expiry_of_all_sessions_there_is_one_leader_and_it_is_named(self) -> None:
        for _, kazoo in [self.publish(OTHER), self.publish(ADDRESS)]:
            kazoo.expire()
        self.world.advance(2)
        leading = [publisher.address for publisher, _ in self.publishers if publisher.leads(API)]
        self.assertEqual(leading, [(self.leader() or b"").decode()])


class ControlTests(PublisherCase):
    def setUp(self) -> None:
        super().setUp()
        self.publisher, self.kazoo = self.publish()

    def test_a_namespace_that_is_unpublished_is_neither_found_nor_led(self) -> None:
        self.publisher.unpublish([API])
        self.assertFalse(self.publisher.leads(API))
        done = self.publisher.when_published()
        self.world.advance(0.5)
        self.assertIsNone(self.successResultOf(done))
        self.assertEqual(self.found(), [API2])
        self.assertEqual(self.candidates(), [])
        self.assertIn(self.layout.server(ADDRESS), self.world.nodes)
        self.assertIn(self.layout.function(API, "echo"), self.world.nodes)
        self.assertEqual(self.told[2:], [(f"{ADDRESS} {API}", False)])

    def test_it_is_found_and_led_again_when_published_again(self) -> None:
        self.publisher.unpublish([API, API2])
        self.world.advance(1)
        self.assertEqual(self.found(), [])
        self.publisher.publish([API])
        self.world.advance(1)
        self.assertEqual(self.found(), [API])
        self.assertTrue(self.publisher.leads(API))

    def test_doing_it_twice_is_doing_it_once(self) -> None:
        for _ in range(2):
            self.publisher.unpublish([API])
        self.world.advance(1)
        self.assertEqual(self.found(), [API2])
        self.publisher.publish([API])
        self.publisher.publish([API, API2])
        self.world.advance(1)
        self.assertEqual((self.found(), len(self.candidates())), ([API, API2], 1))

    def test_it_is_kept_across_a_reconnect_an_expiry_and_the_loss_of_the_root(self) -> None:
        self.publisher.unpublish([API])
        for event in (self.kazoo.suspend, self.kazoo.expire, lambda: self.world.remove(self.layout.root)):
            event()
            self.world.advance(5)
            self.assertEqual((self.found(), self.candidates()), ([API2], []))
        self.publisher.publish([API])
        self.world.advance(5)
        self.assertStands()

    def test_what_is_wanted_while_zookeeper_is_away_is_done_when_it_is_back(self) -> None:
        self.world.reachable = False
        self.kazoo.suspend()
        self.world.pump()
        self.publisher.unpublish([API])
        self.publisher.set_server_data({Keyword("weight"): 7})
        self.assertFalse(self.publisher.leads(API))
        self.world.advance(5)
        self.world.reachable = True
        self.world.advance(1)
        self.assertEqual((self.found(), self.candidates()), ([API2], []))
        self.assertEqual(self.data(self.layout.server(ADDRESS)), b"{:weight 7}")

    def test_a_change_of_mind_while_it_is_being_done_ends_in_what_was_said_last(self) -> None:
        self.world.advance(1)
        self.publisher.unpublish([API])
        self.world.clock.advance(0)
        self.world.pump_until(lambda: ("delete", self.layout.member(API, ADDRESS)) in self.world.requests)
        self.publisher.publish([API])
        self.world.advance(2)
        self.assertStands()
        self.publisher.unpublish([API])
        self.publisher.publish([API])
        self.publisher.unpublish([API])
        self.world.advance(2)
        self.assertEqual((self.found(), self.candidates()), ([API2], []))

    def test_a_namespace_may_be_offline_from_the_beginning(self) -> None:
        publisher, _ = self.publish(OTHER, offline={API})
        self.assertEqual(self.found(OTHER), [API2])
        publisher.publish([API])
        self.world.advance(1)
        self.assertEqual(self.found(OTHER), [API, API2])

    def test_server_data_can_be_changed_and_the_change_survives_an_expiry(self) -> None:
        self.publisher.set_server_data({Keyword("weight"): 7})
        self.world.advance(0.5)
        self.assertEqual(self.data(self.layout.server(ADDRESS)), b"{:weight 7}")
        self.kazoo.expire()
        self.world.advance(1)
        self.assertEqual(self.data(self.layout.server(ADDRESS)), b"{:weight 7}")

    def test_server_data_that_edn_cannot_say_are_refused_and_change_nothing(self) -> None:
        with self.assertRaises(ConfigurationError):
            self.publisher.set_server_data(object())
        self.world.advance(40)
        self.assertEqual(self.data(self.layout.server(ADDRESS)), b"nil")
