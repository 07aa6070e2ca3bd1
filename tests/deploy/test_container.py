"""The Dockerfile and the example for Compose."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import yaml
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from makima_relay.service import _STOP_TIMEOUT
from makima_relay.settings import SETTINGS
from tests.processes.harness import PATIENCE

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "Dockerfile"
#: All variables that a relay reads.
VARIABLES = {name for each in SETTINGS for name in (each.variable, f"{each.variable}_FILE")}
_VARIABLE = re.compile(r"\bMAKIMA_\w+")


def instructions(name: str) -> list[str]:
    """The arguments of each instruction of a kind, in one line."""
    text = re.sub(r"\\\n\s*", " ", DOCKERFILE.read_text(encoding="utf-8"))
    return re.findall(rf"^{name} (.*)$", text, re.MULTILINE)


class DockerfileTests(SynchronousTestCase):
    """What the image is made of; ``.ci/replay_dockerfile.py`` does its steps."""

    def test_the_linter_has_nothing_to_say(self) -> None:
        """With all of its rules."""
        hadolint = shutil.which("hadolint", path=Path(sys.executable).parent) or shutil.which("hadolint")
        if hadolint is None:
            raise SkipTest("there is no hadolint for this machine: the Dockerfile is not linted")
        result = subprocess.run([hadolint, str(DOCKERFILE)], capture_output=True, text=True, check=False)
        self.assertEqual((result.returncode, result.stdout), (0, ""))

    def test_only_what_is_locked_is_fetched(self) -> None:
        """With its hash, and built already."""
        fetching = [line for line in instructions("RUN") if "install" in line and "pip" in line]
        self.assertEqual(len(fetching), 2)
        self.assertIn("--require-hashes --only-binary :all: -r requirements.lock", fetching[0])
        self.assertIn("--no-index", fetching[1])
        self.assertNotIn("apt", " ".join(instructions("RUN")))

    def test_it_runs_as_nobody_else_and_gets_its_signals(self) -> None:
        """The first process is the relay itself, not a shell."""
        self.assertEqual(instructions("USER"), ["10001:10001"])
        (entrypoint,) = instructions("ENTRYPOINT")
        self.assertEqual(json.loads(entrypoint)[0], "twistd")
        self.assertIn("--nodaemon", json.loads(entrypoint))
        self.assertEqual(instructions("STOPSIGNAL"), ["SIGTERM"])
        (health,) = instructions("HEALTHCHECK")
        self.assertIn("/livez", json.loads(health.partition("CMD ")[2])[-1])

    def test_its_health_is_what_the_relay_says(self) -> None:
        """Not what a proxy does, which engines name in variables."""
        (health,) = instructions("HEALTHCHECK")
        command = [sys.executable, *json.loads(health.partition("CMD ")[2])[1:]]
        with socket.create_server(("127.0.0.1", 0)) as relay, socket.create_server(("127.0.0.1", 0)) as proxy:
            relay.settimeout(PATIENCE)
            command[-1] = command[-1].replace("8787", str(relay.getsockname()[1]))
            environment = {"http_proxy": f"http://127.0.0.1:{proxy.getsockname()[1]}"}
            for answer, status in ((b"200 OK", 0), (b"503 Service Unavailable", 1)):
                with subprocess.Popen(command, env=environment) as asking, relay.accept()[0] as connection:
                    self.assertTrue(connection.recv(4096).startswith(b"GET /livez HTTP/1.1"))
                    connection.sendall(b"HTTP/1.1 " + answer + b"\r\nContent-Length: 0\r\n\r\n")
                    self.assertEqual(asking.wait(PATIENCE), status)

    def test_nothing_is_sent_but_what_is_copied(self) -> None:
        """No ``.env``, no database, no history."""
        lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
        rules = [line for line in lines if not line.startswith("#")]
        self.assertEqual(rules[0], "*")
        copied = {name for line in instructions("COPY") if not line.startswith("--from") for name in line.split()[:-1]}
        self.assertEqual({rule[1:] for rule in rules if rule.startswith("!")}, copied)
        for name in copied:
            self.assertTrue((ROOT / name).exists(), name)

    def test_its_variables_are_the_relays(self) -> None:
        """A setting that was renamed leaves none behind."""
        named = set(_VARIABLE.findall(" ".join(instructions("ENV"))))
        self.assertEqual(named, {"MAKIMA_RELAY_DATABASE", "MAKIMA_RELAY_LISTEN"})
        self.assertLessEqual(named, VARIABLES)


class ComposeTests(SynchronousTestCase):
    """``deploy/compose``."""

    def setUp(self) -> None:
        self.compose = yaml.safe_load((ROOT / "deploy/compose/compose.yaml").read_text(encoding="utf-8"))
        self.relay = self.compose["services"]["relay"]

    def test_the_relay_may_write_its_data_and_nothing_else(self) -> None:
        """And may not become more than it is."""
        self.assertTrue(self.relay["read_only"])
        self.assertEqual(self.relay["volumes"], ["data:/data"])
        self.assertEqual(self.relay["cap_drop"], ["ALL"])
        self.assertEqual(self.relay["security_opt"], ["no-new-privileges:true"])
        self.assertGreater(int(self.relay["stop_grace_period"].removesuffix("s")), _STOP_TIMEOUT)

    def test_secrets_are_files_and_operators_need_a_token(self) -> None:
        """Each variable is the relay's; each file is one of the secrets."""
        variables = self.relay["environment"]
        self.assertLessEqual(set(variables), VARIABLES)
        files = {value for name, value in variables.items() if name.endswith("_FILE")}
        self.assertEqual(files, {f"/run/secrets/{name}" for name in self.relay["secrets"]})
        self.assertEqual(set(self.relay["secrets"]), set(self.compose["secrets"]))
        self.assertIn("MAKIMA_RELAY_ADMIN_TOKEN_FILE", variables)
        self.assertTrue((ROOT / "deploy/compose" / self.relay["build"] / "Dockerfile").exists())
