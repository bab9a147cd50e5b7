#!/usr/bin/python3
"""Rootful Podman with CNI bridges: the netavark tests, and the differences."""
import test_podman
from engines import PodmanWithCni
from harness import main, snapshot
from test_podman import HELLO


class PodmanCniCase(test_podman.PodmanCase):
    engine_type = PodmanWithCni

    def nothing_is_left_of(self, *target, containers):
        """The target's containers reach the service, then do not; afterwards the host is unchanged and they still run."""
        quiet = snapshot(self.engine), [self.engine.hosts(name) for name in containers]
        lease = self.expose(8088, *target)
        self.assertEqual(lease.ready["via"], "native")
        for name in containers:
            self.reaches(name, HELLO)
        self.assertNotEqual(snapshot(self.engine), quiet[0])
        self.assertEqual(lease.end()[0], 0)
        for name in containers:
            self.reaches_nothing(name, name=lease.ready["gateway"])
        self.assertEqual((snapshot(self.engine), [self.engine.hosts(name) for name in containers]), quiet)

    def test_the_engine_is_what_this_is_about(self):
        self.assertEqual(self.engine("info", "-f", "{{.Host.NetworkBackend}}"), "cni")
        self.assertIn("Podman", self.doctor())

    def test_the_default_network(self):
        self.container("app")
        self.assertEqual(self.expose(8088, "--network", "podman").ready["interface"], "cni-podman0")
        self.reaches("app", HELLO)

    def test_nothing_is_left_on_the_default_network(self):
        self.container("app")
        self.container("other")
        self.nothing_is_left_of("--network", "podman", containers=("app", "other"))
        self.nothing_is_left_of("--container", "app", containers=("app",))

    def test_nothing_is_left_on_a_network(self):
        self.network("web")
        self.container("app", network="web")
        self.container("other", network="web")
        self.nothing_is_left_of("--network", "web", containers=("app", "other"))
        self.nothing_is_left_of("--container", "app", containers=("app",))

    def test_a_bridge(self):
        self.network("web")
        self.container("app", network="web")
        self.container("alone")
        for bridge, name in ((self.bridge("web"), "app"), ("cni-podman0", "alone")):
            with self.subTest(bridge=bridge):
                quiet = snapshot(self.engine)
                lease = self.expose(8088, "--bridge", bridge)
                self.assertEqual((lease.ready["via"], lease.ready["interface"]), ("native", bridge))
                self.reaches(name, HELLO, name=lease.ready["gateway"])
                self.assertEqual(lease.end()[0], 0)
                self.assertEqual(snapshot(self.engine), quiet)

    def test_a_network_that_has_had_no_container(self):
        """The first container creates the bridge."""
        self.network("web")
        refused = self.tc_hostnet("expose", "8088", "--network", "web", "--via", "native", check=False)
        self.assertEqual(refused.returncode, 3, refused.stderr)
        self.assertIn("Podman makes it with the first container", refused.stderr)

    def test_the_network_is_removed_with_its_containers(self):
        self.network("web")
        self.container("app", network="web")
        lease = self.expose(8088, "--network", "web", "--once")
        self.reaches("app", HELLO)
        self.engine("network", "rm", "-f", "web")
        self.ends_as_gone(lease)

    def test_the_network_is_removed(self):
        """The plugins keep a bridge without containers."""
        self.network("web")
        self.container("app", network="web")
        self.engine.api.remove("app")
        lease = self.expose(8088, "--network", "web", "--once")
        self.engine.api.remove_network("web")
        self.ends_as_gone(lease)

    def ends_as_gone(self, lease):
        event = lease.read_event()
        self.assertEqual((event["event"], event["state"]), ("ended", "failed"))
        code, _, said = lease.end(None)
        self.assertEqual(code, 1)
        self.assertRegex(said.splitlines()[-1], r"\Atc-hostnet: lease \w+ ended: bridge \S+ is gone; to expose it again: tc-hostnet expose [^\n]+\Z")
        self.assertEqual(self.leases(), [])


if __name__ == "__main__":
    main()
