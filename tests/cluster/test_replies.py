"""What Redis answers, read in whatever pieces it comes."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase
from txredisapi import ResponseError

from makima_relay.cluster.replies import InvalidReplyError, Replies
from tests.untraced import untraced

_SIMPLE = st.one_of(
    st.none(),
    st.binary(max_size=40),
    st.integers(-(1 << 62), 1 << 62),
    st.text(st.characters(codec="ascii", exclude_characters="\r\n"), max_size=20),
)
_REPLIES = st.recursive(_SIMPLE, lambda inner: st.lists(inner, max_size=5), max_leaves=20)


def written(reply: Any) -> bytes:
    """An answer as Redis writes it."""
    match reply:
        case None:
            return b"$-1\r\n"
        case bytes():
            return b"$%d\r\n%b\r\n" % (len(reply), reply)
        case int():
            return b":%d\r\n" % reply
        case str():
            return b"+%b\r\n" % reply.encode()
    return b"*%d\r\n" % len(reply) + b"".join(map(written, reply))


def depth(reply: Any) -> int:
    """How many lists are within each other."""
    return 1 + max(map(depth, reply), default=0) if isinstance(reply, list) else 0


class RepliesTests(SynchronousTestCase):
    """Bytes become answers."""

    @untraced
    @given(st.lists(_REPLIES.filter(lambda reply: depth(reply) < 8), max_size=6), st.lists(st.integers(1, 30)))
    def test_answers_are_read_whatever_the_pieces(self, replies: list[Any], sizes: list[int]) -> None:
        """Nothing is lost, added or changed."""
        data = b"".join(map(written, replies))
        reader, read = Replies(), []
        for size in sizes:
            read += reader.feed(data[:size])
            data = data[size:]
        read += reader.feed(data)
        self.assertEqual(read, replies)

    def test_a_refusal_is_an_error_with_its_words(self) -> None:
        """Also within a list; what every refusal begins with is left out."""
        [error, [within]] = Replies().feed(b"-ERR unknown command\r\n*1\r\n-WRONGPASS no\r\n")
        self.assertIsInstance(error, ResponseError)
        self.assertEqual((str(error), str(within)), ("unknown command", "WRONGPASS no"))

    def test_a_list_may_be_none(self) -> None:
        """As the answer is to a question about which nothing has come."""
        self.assertEqual(Replies().feed(b"*-1\r\n*0\r\n"), [None, []])

    def test_a_long_string_is_put_together_once(self) -> None:
        """It is looked at when all of it is there, not with each piece."""
        reader = Replies()
        piece = b"x" * 65_536
        self.assertEqual(reader.feed(b"$%d\r\n" % (100 * len(piece))), [])
        for _ in range(99):
            self.assertEqual(reader.feed(piece), [])
        self.assertEqual(len(reader._pieces), 100)
        self.assertEqual(reader.feed(piece + b"\r\n"), [piece * 100])

    def test_what_is_no_answer_is_refused(self) -> None:
        """HTTP, numbers that are none, and more than anybody has room for."""
        for data in (
            b"HTTP/1.1 400 Bad Request\r\n",
            b"$x\r\n",
            b":\r\n",
            b"*9999999\r\n",
            b"$99999999999\r\n",
            b":" + b"9" * 40 + b"\r\n",
            b"*1\r\n" * 9,
            b"+" + b"x" * 70_000,
        ):
            self.assertRaises(InvalidReplyError, Replies().feed, data)
