"""``GET /events``: what happens, as it happens."""

from __future__ import annotations

from socket import SO_SNDBUF, SOL_SOCKET

from makima_relay.announcements import MOST_EVENTS, Event
from makima_relay.core.fleet import daemon_id_of
from makima_relay.core.rejections import Rejection
from makima_relay.web.event_reader import KEEP_ALIVE, PATIENCE
from tests.fakes import HandStore, elapse
from tests.web.event_case import EventsTestCase

TOKEN = "a-token-for-admins"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


class KindTests(EventsTestCase):
    """What is told, and how."""

    def test_the_answer_is_a_stream_of_events(self) -> None:
        """That nobody keeps, gathers or takes for the last of many; it begins at once."""
        reader = self.read()
        self.assertEqual(reader.status, 200)
        self.assertEqual(reader.header("Content-Type"), "text/event-stream; charset=utf-8")
        self.assertEqual(reader.header("Cache-Control"), "no-store")
        self.assertEqual(reader.header("X-Accel-Buffering"), "no")
        self.assertEqual(reader.header("Connection"), "close")
        self.assertEqual(reader.retry, 3000)
        self.assertTrue(reader.last_id)

    def test_the_head_can_be_had_alone(self) -> None:
        """Nobody reads then."""
        answer = self.ask("HEAD", "/events")
        self.assertEqual((answer.status, answer.header("Content-Type")), (200, "text/event-stream; charset=utf-8"))
        self.assertEqual(len(self.api.streams), 0)

    def test_a_task_is_told_as_the_history_shows_it(self) -> None:
        """As it has come to be, with the name of its daemon."""
        daemon = self.join("build-7")
        self.wait()
        reader = self.read()
        self.spawn("t1")
        daemon.send("taskOutput", taskId="t1")
        daemon.send("taskComplete", taskId="t1", success=False, error="no paper")
        self.wait()
        (told,) = [each for each in reader.take_events() if each.kind == "task"]
        self.assertEqual([told.data], self.get("/tasks")["tasks"])
        self.assertEqual((told.data["status"], told.data["daemonHostname"]), ("failed", "build-7"))

    def test_why_a_task_waits_is_told(self) -> None:
        """There is nobody to give it to."""
        reader = self.read()
        self.spawn("t1")
        self.wait()
        self.assertEqual(
            [e.data["pendingReason"] for e in reader.take_events() if e.kind == "task"], ["no daemon connected"]
        )

    def test_secrets_are_blacked_out(self) -> None:
        """As everywhere."""
        reader = self.read()
        self.server = self.go_live()
        self.server.send("spawnTask", taskId="t1", name="Use a-key-of-the-server")
        self.wait()
        self.assertEqual([e.data["taskName"] for e in reader.take_events() if e.kind == "task"], ["Use [secret]"])

    def test_daemons_are_told_when_they_come_change_and_go(self) -> None:
        """As the fleet shows them; of one that is gone it is said."""
        reader = self.read()
        daemon = self.join("d", slots=2)
        self.wait()
        shown = self.get("/daemons")["daemons"]
        self.assertEqual([e.data for e in reader.take_events() if e.kind == "daemon"], shown)
        self.spawn("t1")
        self.wait()
        self.assertEqual([e.data["activeTasks"] for e in reader.take_events() if e.kind == "daemon"], [1])
        self.post(f"/daemons/{daemon_id_of('d')}/drain")
        self.wait()
        self.assertEqual([e.data["draining"] for e in reader.take_events() if e.kind == "daemon"], [True])
        daemon.lose()
        self.wait()
        (gone,) = [each.data for each in reader.take_events() if each.kind == "daemon"]
        self.assertEqual((gone["daemonId"], gone["hostname"], gone["connected"]), (daemon_id_of("d"), "d", False))

    def test_the_connection_to_the_server_is_told(self) -> None:
        """As the status shows it, whenever it has come further."""
        reader = self.read()
        self.upstream.connector.connect()
        self.wait()
        (connecting,) = [each.data for each in reader.take_events() if each.kind == "upstream"]
        self.assertEqual(connecting["upstream"]["state"], "connecting")
        self.accept_upstream()
        self.wait()
        (live,) = [each.data for each in reader.take_events() if each.kind == "upstream"]
        status = self.get("/status")
        self.assertEqual(live, {name: status[name] for name in ("status", "upstreamConnected", "upstream")})
        self.assertEqual((live["status"], live["upstreamConnected"]), ("ok", True))

    def test_the_journal_is_told(self) -> None:
        """Entry by entry, in order."""
        reader = self.read()
        self.note("one", "two")
        self.wait()
        self.assertEqual([each.data for each in reader.take_events()], self.get("/logs?limit=2")["logs"][::-1])

    def test_nothing_is_told_before_it_is_in_the_database(self) -> None:
        """What a reader has heard of is not lost."""
        store = HandStore()
        self.start(store)
        self.make_api()
        reader = self.read()
        self.spawn("t1")
        self.wait(1.0)
        self.assertEqual([each for each in reader.take_events() if each.kind == "task"], [])
        store.recalls[-1].done.callback([])
        self.wait(1.0)
        self.assertEqual([each for each in reader.take_events() if each.kind == "task"], [])
        while waiting := [each for each in store.commits if not each.done.called]:
            waiting[0].succeeds()
        self.wait()
        self.assertEqual([each.data["taskId"] for each in reader.take_events() if each.kind == "task"], ["t1"])

    def test_a_daemon_that_falls_silent_is_told(self) -> None:
        """Nobody else notices until there is a task for it."""
        self.policy = type(self.policy)(health_timeout=20.0)
        self.restart()
        self.make_daemons(keepalive=(1_000.0, 1_000.0))
        self.join("d")
        reader = self.read()
        elapse(self.reactor, 45)
        told = [each.data for each in reader.take_events() if each.kind == "daemon"]
        self.assertEqual([each["healthy"] for each in told], [True, False])


class ResumeTests(EventsTestCase):
    """Who comes back misses nothing, or is told that it has."""

    def test_whoever_comes_back_gets_what_it_has_missed(self) -> None:
        """By the header that browsers send, or by the parameter; the header is the newer."""
        reader = self.read()
        first = reader.last_id
        self.note("one")
        self.wait()
        self.assertEqual(self.details(reader), ["one"])
        self.note("two", "three")
        self.wait()
        for path, headers, missed in (
            ("/events", {"Last-Event-ID": reader.last_id}, ["two", "three"]),
            (f"/events?lastEventId={reader.last_id}", {}, ["two", "three"]),
            (f"/events?lastEventId={first}", {"Last-Event-ID": reader.last_id}, ["two", "three"]),
            (f"/events?lastEventId={first}", {}, ["one", "two", "three"]),
            ("/events", {}, []),
        ):
            again = self.read(path, headers)
            self.wait()
            self.assertEqual(self.details(again), missed, path)

    def test_every_event_has_an_id_of_its_own(self) -> None:
        """Whoever comes back with the id of any gets the rest."""
        reader = self.read()
        self.note(*"abcde")
        self.wait()
        events = reader.take_events()
        self.assertEqual(len({event.id for event in events}), 5)
        for place, event in enumerate(events, 1):
            again = self.read("/events", {"Last-Event-ID": event.id})
            self.wait()
            self.assertEqual(again.take_events(), events[place:])

    def test_an_id_that_is_not_known_is_answered_with_a_reset(self) -> None:
        """Of another process, from the future, or none at all; then it goes on."""
        reader = self.read()
        run, _, number = reader.last_id.partition("-")
        for unknown in (
            f"0{run}-{number}",
            f"{run}-{int(number) + 100}",
            f"{run}-",
            "1",
            "x" * 50,
            f"{run}-{number}-x",
        ):
            again = self.read("/events", {"Last-Event-ID": unknown})
            self.wait()
            (reset,) = again.take_events()
            self.assertEqual((reset.kind, reset.data, reset.id), ("reset", {}, reader.last_id), unknown)
            self.note("more")
            self.wait()
            self.assertEqual(self.details(again), ["more"])
            reader.take_events()

    def test_ids_of_an_earlier_run_are_not_known(self) -> None:
        """However few events there were since."""
        reader = self.read()
        self.restart()
        again = self.read("/events", {"Last-Event-ID": reader.last_id})
        self.wait()
        self.assertEqual([each.kind for each in again.take_events()], ["reset"])

    def test_the_last_thousand_are_remembered(self) -> None:
        """One more, and what came first is not known."""
        reader = self.read()
        place = reader.last_id
        for _ in range(MOST_EVENTS // 200):
            self.note(*map(str, range(200)))
            self.wait()
        again = self.read("/events", {"Last-Event-ID": place})
        self.wait(1.0)
        self.assertEqual(len(self.details(again)), MOST_EVENTS)
        self.note("one more")
        self.wait()
        again = self.read("/events", {"Last-Event-ID": place})
        self.wait(1.0)
        self.assertEqual(self.details(again), ["reset"])


class BurstTests(EventsTestCase):
    """Very much happens, or somebody does not keep up."""

    def test_what_changes_often_is_told_once(self) -> None:
        """As it is in the end."""
        daemon = self.join("d")
        reader = self.read()
        self.wait()
        reader.take_events()
        self.spawn(*(f"t{number}" for number in range(5)))
        for number in range(5):
            for _ in range(10):
                daemon.send("taskOutput", taskId=f"t{number}")
            daemon.send("taskComplete", taskId=f"t{number}", success=True)
        self.wait()
        told = reader.take_events()
        self.assertEqual([each.data["status"] for each in told if each.kind == "task"], ["completed"] * 5)
        self.assertEqual(len([each for each in told if each.kind == "daemon"]), 1)

    def test_a_reader_of_more_than_is_remembered_is_told_to_begin_anew(self) -> None:
        """Once in a while; then it goes on with what comes."""
        reader = self.read()
        self.note(*map(str, range(MOST_EVENTS + 1)))
        self.wait()
        self.assertEqual(self.details(reader), ["reset"])
        self.note(*map(str, range(MOST_EVENTS + 1)))
        self.wait()
        self.assertEqual(self.details(reader), [])
        self.wait(2.0)
        self.assertEqual(self.details(reader), ["reset"])
        self.note("more")
        self.wait()
        self.assertEqual(self.details(reader), ["more"])

    def test_a_slow_reader_is_given_no_more(self) -> None:
        """What it has missed comes when it takes something again."""
        slow, other = self.read(), self.read()
        self.stall(slow)
        self.note("one")
        self.wait()
        self.assertEqual((self.details(slow), self.details(other)), ([], ["one"]))
        slow.transport.producer.resumeProducing()
        self.wait(0.0)
        self.assertEqual(self.details(slow), ["one"])

    def test_little_is_held_for_a_slow_reader(self) -> None:
        """Neither here nor by the system, which would take megabytes before it is known to be slow."""
        reader = self.read()
        held = reader.transport.bufferSize + reader.transport.socket_options[SOL_SOCKET, SO_SNDBUF]
        self.assertLessEqual(held, 256 << 10)

    def test_a_reader_that_takes_nothing_is_dropped(self) -> None:
        """The others are not."""
        slow, other = self.read(), self.read()
        self.stall(slow)
        elapse(self.reactor, PATIENCE - 1.5)
        self.assertFalse(slow.lost)
        elapse(self.reactor, 2.5)
        self.assertTrue(slow.lost)
        self.assertFalse(other.lost)
        self.assertEqual(len(self.api.streams), 1)

    def test_a_piece_is_small_enough_for_a_reader_that_keeps_up(self) -> None:
        """Or it would be taken for a slow one."""
        reader = self.read()
        sizes: list[int] = []
        reader.transport.writeSequence = lambda data: sizes.append(sum(map(len, data)))
        self.note(*["x" * 400] * 900)
        self.wait(1.0)
        self.assertGreater(sum(sizes), 900 * 400)
        self.assertLess(max(sizes), 48 << 10)


class LifeTests(EventsTestCase):
    """How long somebody may read, and how many."""

    def test_a_silent_stream_is_kept_alive(self) -> None:
        """By comments; neither the time for a request nor that of an idle connection ends it."""
        reader = self.read()
        elapse(self.reactor, 40 * KEEP_ALIVE)
        self.assertEqual(reader.take_events(), [])
        self.assertIn(reader.comments, range(36, 41))
        self.assertFalse(reader.lost)
        self.note("still here")
        self.wait()
        self.assertEqual(self.details(reader), ["still here"])

    def test_there_may_be_only_so_many(self) -> None:
        """One more is told when to come back, and counted; when one leaves there is room."""
        self.make_api(most_event_streams=2)
        first, _ = self.read(), self.read()
        refused = self.ask("GET", "/events")
        self.assert_problem(refused, 503, "Service Unavailable", "there are 2 readers of events already")
        self.assertEqual(refused.header("Retry-After"), "10")
        self.assertEqual(self.engine.relay.rejected[Rejection.TOO_MANY_EVENT_STREAMS], 1)
        first.lose()
        self.assertEqual(self.read().status, 200)

    def test_whoever_is_gone_is_forgotten(self) -> None:
        """And what was set for it."""
        reader = self.read("/events?output=t1")
        self.assertEqual(self.engine.relay.outputs.followed, {"t1"})
        reader.lose()
        self.assertEqual(len(self.api.streams), 0)
        self.assertEqual(self.engine.relay.outputs.followed, set())
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_all_ends_properly_when_the_relay_stops(self) -> None:
        """And nobody can begin any more."""
        readers = [self.read(), self.read("/events?output=t1")]
        self.api.streams.end_all()
        self.reactor.advance(0)
        for reader in readers:
            reader.take_events()
            self.assertTrue(reader.has_ended)
            self.assertTrue(reader.lost)
        self.assert_problem(self.ask("GET", "/events"), 503, "Service Unavailable", "the relay stops")

    def test_another_token_ends_all_that_began_with_the_old_one(self) -> None:
        """At once; the new one is taken."""
        self.make_api(TOKEN)
        reader = self.read("/events", BEARER)
        self.api.access.change_token("another")
        reader.take_events()
        self.assertTrue(reader.has_ended)
        self.assertEqual(self.read("/events", {"Authorization": "Bearer another"}).status, 200)

    def test_it_ends_with_the_sign_in(self) -> None:
        """When that is over by itself, or was ended; those of others go on."""
        self.make_api(TOKEN)
        home = {"Origin": "http://localhost:8787"}
        cookies = []
        for _ in range(2):
            answer = self.ask("POST", "/session", home, b'{"token": "%b"}' % TOKEN.encode())
            cookies.append({"Cookie": (answer.header("Set-Cookie") or "").partition(";")[0]})
        one, other, bearer = (self.read("/events", headers) for headers in (*cookies, BEARER))
        self.ask("DELETE", "/session", {**home, **cookies[0]})
        one.take_events()
        other.take_events()
        self.assertEqual([one.has_ended, other.has_ended], [True, False])
        self.api.access.sessions._ends.clear()  # type: ignore[union-attr]
        elapse(self.reactor, 2 * KEEP_ALIVE)
        other.take_events()
        bearer.take_events()
        self.assertEqual([other.has_ended, bearer.has_ended], [True, False])

    def test_bad_parameters_are_named(self) -> None:
        """With what they take."""
        for query, said in (
            ("only=tasks", "only must be output"),
            ("only=output", "only=output needs output with a task id"),
            (f"output={'x' * 129}", "output must be a task id of at most 128 characters"),
            ("output=%FF", "output must be UTF-8 text"),
        ):
            self.assert_problem(self.ask("GET", f"/events?{query}"), 400, "Bad Request", said)


class SharingTests(EventsTestCase):
    """What many readers cost."""

    def test_each_event_is_written_once_for_all(self) -> None:
        """Whenever they read it; and not at all when nobody does."""
        written: list[Event] = []
        shape = self.api.feed._shape
        self.api.feed._shape = lambda event: (written.append(event), shape(event))[1]
        self.note("nobody reads")
        self.wait()
        self.assertEqual(written, [])
        readers = [self.read() for _ in range(40)]
        self.note("one", "two")
        self.wait()
        self.assertEqual([self.details(reader) for reader in readers], [["one", "two"]] * 40)
        place = readers[0].last_id
        self.note("three")
        self.wait()
        again = self.read("/events", {"Last-Event-ID": place})
        self.wait()
        self.assertEqual(self.details(again), ["three"])
        other = self.read("/events?output=t1", {"Last-Event-ID": place})
        self.wait()
        self.assertEqual(self.details(other), ["three"])
        self.assertEqual(len(written), 3)

    def test_a_few_are_served_at_a_time(self) -> None:
        """The reactor has its turn between them."""
        readers = [self.read() for _ in range(40)]
        served: list[int] = []

        def look() -> None:
            served.append(sum(bool(reader.transport.value()) for reader in readers))
            if served[-1] < 40:
                self.reactor.callLater(0, look)

        self.note("one")
        self.api.engine.announcements.listeners.append(look)
        self.wait()
        self.assertEqual(served, [0, 8, 16, 24, 32, 40])
