"""The manifests: against the schemas of Kubernetes, against each other, and against the relay."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import yaml
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from makima_relay.service import _STOP_TIMEOUT
from tests.deploy.test_container import ROOT, VARIABLES, instructions

MANIFESTS = ROOT / "deploy/kubernetes"
#: What is asked for, as an orchestrator does it: nobody but the relay itself knows its address.
_OLDEST = "1.30"


def read(path: Path) -> list[Any]:
    """The documents of a file."""
    return list(yaml.safe_load_all(path.read_text(encoding="utf-8")))


def objects(directory: str) -> Iterator[Any]:
    """The objects that a kustomization lists."""
    (kustomization,) = read(MANIFESTS / directory / "kustomization.yaml")
    for name in kustomization["resources"]:
        yield from read(MANIFESTS / directory / name)


class SchemaTests(SynchronousTestCase):
    """What a cluster would say of each object."""

    def assert_valid(self, manifest: Any) -> None:
        """The oldest and the newest Kubernetes whose schemas are here know every member of it."""
        for version in (_OLDEST, kubernetes_validate.latest_version()):
            kubernetes_validate.validate(manifest, version, strict=True)

    def test_every_object_is_valid(self) -> None:
        """But for the ServiceMonitor, whose schema is the Prometheus Operator's."""
        kinds = set()
        for directory in ("base", "components/autoscaling"):
            for each in objects(directory):
                kinds.add(each["kind"])
                self.assert_valid(each)
        self.assertEqual(
            kinds, {"StatefulSet", "Service", "PodDisruptionBudget", "NetworkPolicy", "HorizontalPodAutoscaler"}
        )

    def test_a_member_that_is_misspelt_is_found(self) -> None:
        """So the schemas are really asked."""
        (stateful_set, *_) = objects("base")
        stateful_set["spec"]["template"]["spec"]["containers"][0]["readynessProbe"] = {}
        self.assertRaises(kubernetes_validate.ValidationError, self.assert_valid, stateful_set)

    def test_the_example_with_all_components_can_be_built(self) -> None:
        """By kustomize itself."""
        kubectl = shutil.which("kubectl")
        if kubectl is None:
            raise SkipTest("there is no kubectl here: the kustomizations are not built")
        directory = Path(self.mktemp())
        shutil.copytree(MANIFESTS, directory)
        example = directory / "overlays/example"
        for name in ("api-key", "admin-token"):
            (example / name).write_text("secret")
        path = example / "kustomization.yaml"
        path.write_text(re.sub("^#  - ", "  - ", path.read_text(), flags=re.MULTILINE))
        built = subprocess.run([kubectl, "kustomize", str(example)], capture_output=True, text=True, check=False)
        self.assertEqual(built.returncode, 0, built.stderr)
        manifests = list(yaml.safe_load_all(built.stdout))
        self.assertEqual({each["metadata"]["namespace"] for each in manifests}, {"makima"})
        for each in manifests:
            if each["kind"] != "ServiceMonitor":
                self.assert_valid(each)
        (relay,) = [each["spec"] for each in manifests if each["kind"] == "StatefulSet"]
        (container,) = relay["template"]["spec"]["containers"]
        self.assertEqual(container["image"], "registry.example/makima-relay:1")
        self.assertEqual(relay["replicas"], 2)
        self.assertLessEqual({each["name"] for each in container["env"]}, VARIABLES)
        self.assertIn("MAKIMA_RELAY_REDIS_FILE", {each["name"] for each in container["env"]})


class NamesTests(SynchronousTestCase):
    """Whatever an object names is there."""

    def setUp(self) -> None:
        found = [*objects("base"), *objects("components/monitoring"), *objects("components/autoscaling")]
        self.found = {(each["kind"], each["metadata"]["name"]): each for each in found}
        self.stateful_set = self.found["StatefulSet", "makima-relay"]["spec"]
        self.pod = self.stateful_set["template"]
        (self.container,) = self.pod["spec"]["containers"]
        self.variables = {each["name"]: each for each in self.container["env"]}
        (self.example,) = read(MANIFESTS / "overlays/example/kustomization.yaml")

    def test_every_file_is_used(self) -> None:
        """By a kustomization, or as what it says."""
        used = {MANIFESTS / "components/autoscaling/adapter-rules.yaml"}
        for path in MANIFESTS.rglob("kustomization.yaml"):
            (listed,) = read(path)
            names = [*listed.get("resources", ()), *(patch["path"] for patch in listed.get("patches", ()))]
            used |= {path, *(path.parent / name for name in names)}
        self.assertEqual({path for path in MANIFESTS.rglob("*.yaml") if path not in used}, set())
        self.assertEqual({path for path in used if not path.exists()}, set())

    def test_every_selector_finds_the_relay(self) -> None:
        """Its own, those of the Services, of the budget and of the policy."""
        labels = self.pod["metadata"]["labels"].items()
        selectors = [
            self.stateful_set["selector"]["matchLabels"],
            *(each["labelSelector"]["matchLabels"] for each in self.pod["spec"]["topologySpreadConstraints"]),
            *(each["spec"]["selector"] for (kind, _), each in self.found.items() if kind == "Service"),
            self.found["PodDisruptionBudget", "makima-relay"]["spec"]["selector"]["matchLabels"],
            self.found["NetworkPolicy", "makima-relay"]["spec"]["podSelector"]["matchLabels"],
        ]
        self.assertEqual(len(selectors), 6)
        for selector in selectors:
            self.assertTrue(selector.items() <= labels, selector)

    def test_prometheus_finds_each_relay_once(self) -> None:
        """By the headless Service alone, at its port, with the token."""
        monitor = self.found["ServiceMonitor", "makima-relay"]["spec"]
        wanted = monitor["selector"]["matchLabels"].items()
        services = {name: each for (kind, name), each in self.found.items() if kind == "Service"}
        matching = [name for name, each in services.items() if wanted <= each["metadata"]["labels"].items()]
        self.assertEqual(matching, [self.stateful_set["serviceName"]])
        self.assertEqual(services[matching[0]]["spec"]["clusterIP"], "None")
        (endpoint,) = monitor["endpoints"]
        self.assertEqual(endpoint["path"], "/metrics")
        self.assertIn(endpoint["port"], {each["name"] for each in services[matching[0]]["spec"]["ports"]})
        (secret,) = self.example["secretGenerator"]
        credentials = endpoint["authorization"]["credentials"]
        self.assertEqual(credentials["name"], secret["name"])
        self.assertIn(credentials["key"], secret["files"])

    def test_every_port_is_the_relays(self) -> None:
        """By its name; the number is the one at which it listens."""
        (port,) = self.container["ports"]
        named = [each["targetPort"] for kind, each in self.services_ports()]
        named += [self.container[f"{kind}Probe"]["httpGet"]["port"] for kind in ("startup", "liveness", "readiness")]
        policy = self.found["NetworkPolicy", "makima-relay"]["spec"]
        named += [each["port"] for rule in policy["ingress"] for each in rule["ports"]]
        self.assertEqual(set(named), {port["name"]})
        self.assertEqual(self.variables["MAKIMA_RELAY_LISTEN"]["value"], f"tcp:{port['containerPort']}")
        self.assertEqual(instructions("EXPOSE"), [str(port["containerPort"])])

    def services_ports(self) -> Iterator[tuple[str, Any]]:
        """The ports of all Services."""
        for (kind, name), each in self.found.items():
            if kind == "Service":
                yield from ((name, port) for port in each["spec"]["ports"])

    def test_settings_secrets_and_volumes_are_there(self) -> None:
        """Each variable is the relay's; each file of secrets is made, and mounted where it is looked for."""
        self.assertLessEqual(set(self.variables), VARIABLES)
        self.assertIn("MAKIMA_RELAY_ADMIN_TOKEN_FILE", self.variables)
        mounts = {each["name"]: each["mountPath"] for each in self.container["volumeMounts"]}
        (secret,) = self.example["secretGenerator"]
        (volume,) = self.pod["spec"]["volumes"]
        self.assertEqual(volume["secret"]["secretName"], secret["name"])
        files = {each["value"] for name, each in self.variables.items() if name.endswith("_FILE")}
        self.assertEqual(files, {f"{mounts[volume['name']]}/{name}" for name in secret["files"]})
        (claim,) = self.stateful_set["volumeClaimTemplates"]
        database = Path(self.variables["MAKIMA_RELAY_DATABASE"]["value"])
        # Not the volume's own directory, which the group may write.
        self.assertEqual(str(database.parents[1]), mounts[claim["metadata"]["name"]])
        reference = self.variables["MAKIMA_SERVER_URL"]["valueFrom"]["configMapKeyRef"]
        (config,) = self.example["configMapGenerator"]
        self.assertEqual(reference["name"], config["name"])
        self.assertEqual([each.partition("=")[0] for each in config["literals"]], [reference["key"]])

    def test_the_relay_may_write_its_data_and_nothing_else(self) -> None:
        """As the user of the image, and without a word to the cluster."""
        pod, own = self.pod["spec"]["securityContext"], self.container["securityContext"]
        (user,) = instructions("USER")
        self.assertEqual(f"{pod['runAsUser']}:{pod['runAsGroup']}", user)
        self.assertEqual(pod["fsGroup"], pod["runAsGroup"])
        self.assertTrue(pod["runAsNonRoot"] and own["readOnlyRootFilesystem"])
        self.assertFalse(own["allowPrivilegeEscalation"] or self.pod["spec"]["automountServiceAccountToken"])
        self.assertEqual(own["capabilities"], {"drop": ["ALL"]})
        # Kubernetes would set variables that begin with MAKIMA_RELAY_.
        self.assertFalse(self.pod["spec"]["enableServiceLinks"])
        self.assertGreater(self.pod["spec"]["terminationGracePeriodSeconds"], _STOP_TIMEOUT)

    def test_the_autoscaler_asks_for_what_the_adapter_makes(self) -> None:
        """By the same names; ``tests/web/test_monitoring.py`` looks at what it makes them of."""
        scaler = self.found["HorizontalPodAutoscaler", "makima-daemon"]["spec"]
        (rules,) = read(MANIFESTS / "components/autoscaling/adapter-rules.yaml")
        asked = [each["external"]["metric"]["name"] for each in scaler["metrics"]]
        self.assertEqual(asked, [each["name"]["as"] for each in rules["rules"]["external"]])
