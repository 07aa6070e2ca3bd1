"""``docs/delivery.svg``: drawn by the script beside it."""

from __future__ import annotations

import runpy
from xml.etree import ElementTree

from twisted.trial.unittest import SynchronousTestCase

from tests.docs.pages import ROOT

_SVG = "{http://www.w3.org/2000/svg}"


class DrawingTests(SynchronousTestCase):
    """The sequence of a delivery."""

    def setUp(self) -> None:
        self.text = (ROOT / "docs" / "delivery.svg").read_text(encoding="utf-8")

    def test_the_picture_is_what_the_script_draws(self) -> None:
        """Whoever changes one changes the other."""
        self.assertEqual(self.text, runpy.run_path(str(ROOT / "docs" / "draw_delivery.py"))["drawing"]())

    def test_it_can_be_read_without_seeing_it_and_in_the_dark(self) -> None:
        """It has a title, a description, and colours for both schemes; no words leave it."""
        picture = ElementTree.fromstring(self.text)
        self.assertTrue(picture.findtext(f"{_SVG}title"))
        self.assertIn("pong", picture.findtext(f"{_SVG}desc") or "")
        self.assertIn("prefers-color-scheme:dark", picture.findtext(f"{_SVG}style") or "")
        width = float(picture.attrib["viewBox"].split()[2])
        for each in picture.iter(f"{_SVG}text"):
            # About 7.5 a letter, half of them on each side.
            reach = len(each.text or "") * 7.5 / 2
            self.assertTrue(reach <= float(each.attrib["x"]) <= width - reach, each.text)
