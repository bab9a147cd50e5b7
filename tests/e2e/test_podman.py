#!/usr/bin/python3
"""The tests of test_docker.py for rootful Podman with netavark bridges, by its Docker API."""
from engines import Podman
from gateway_cases import AtGateway
from harness import ALIAS, HostCase, main
from relay_cases import EVERYWHERE, ByHandoff, ByRelay

HELLO = "hello from 127.0.0.1\n"


class PodmanCase(AtGateway, ByRelay, HostCase):
    engine_type = Podman
    first_instruction_by_relay = EVERYWHERE
    gateway_serves_new_containers = False  # the container's network is there before its program runs
    networks_by_relay = (*ByRelay.networks_by_relay, "macvlan", "mapped")

    def setUp(self):
        super().setUp()
        self.service(8088, HELLO)

    def test_a_network(self):
        self.network("web")
        self.container_by_command("app", "--network", "web")
        before = self.engine.hosts("app")
        lease = self.expose(8088, "--network", "web")
        self.assertEqual(lease.ready["gateway"], self.gateway("web"))
        self.reaches("app", HELLO)
        self.assertEqual(lease.end()[0], 0)
        self.assertEqual(self.engine.hosts("app"), before)
        self.reaches_nothing("app", name=self.gateway("web"))

    def test_the_default_network(self):
        self.container("app")
        self.assertEqual(self.expose(8088, "--network", "podman").ready["interface"], "podman0")
        self.reaches("app", HELLO)

    def test_a_container_and_not_its_neighbour(self):
        self.network("web")
        self.container("app", network="web")
        self.container("neighbour", network="web")
        before = self.engine.hosts("app")
        lease = self.expose(8088, "--container", "app")
        self.reaches("app", HELLO)
        self.assertFalse(self.has_alias("neighbour"))
        self.reaches_nothing("neighbour", name=self.gateway("web"))
        self.assertEqual(lease.end()[0], 0)
        self.assertEqual(self.engine.hosts("app"), before)

    def test_a_container_on_the_default_network(self):
        self.container_by_command("app")
        self.expose(8088, "--container", "app")
        self.reaches("app", HELLO)

    def test_the_name_that_podman_gives_the_host(self):
        """Podman itself writes host.containers.internal into each hosts file."""
        self.network("web")
        self.container("app", network="web")
        named = [line.split()[0] for line in self.engine.hosts("app") if "host.containers.internal" in line]
        self.assertEqual(named, [self.gateway("web")])
        self.expose(8088, "--network", "web")
        self.reaches("app", HELLO, name="host.containers.internal")

    def test_the_users_own_alias(self):
        self.network("web")
        self.container("theirs", network="web", hosts=[f"{ALIAS}:192.0.2.1"])
        before = self.engine.hosts("theirs")
        refused = self.tc_hostnet("expose", "8088", "--container", "theirs", check=False)
        self.assertEqual(refused.returncode, 8, refused.stderr)
        self.assertEqual(self.engine.hosts("theirs"), before)

    def test_what_podman_does_not_know(self):
        for target, name in (("--network", "nowhere"), ("--container", "nobody")):
            refused = self.tc_hostnet("expose", "8088", target, name, check=False)
            self.assertEqual((refused.returncode, refused.stderr.count("\n")), (6, 1), refused.stderr)
            self.assertIn(name, refused.stderr)

    def test_a_published_port_keeps_its_setting(self):
        """netavark, like CNI's portmap, sets route_localnet for published ports; tc-hostnet must leave it on."""
        self.network("web")
        self.container("app", network="web", ports={80: ("", 18080)})
        path = f"/proc/sys/net/ipv4/conf/{self.bridge('web')}/route_localnet"
        with open(path) as setting:
            prior = setting.read()
        self.assertEqual(prior, "1\n")
        lease = self.expose(8088, "--network", "web")
        self.reaches("app", HELLO)
        lease.end()
        with open(path) as setting:
            self.assertEqual(setting.read(), prior)

    def bridge(self, network):
        return self.engine.api.bridge(network)


class RelayByHandoff(AtGateway, ByHandoff, HostCase):
    engine_type = Podman
    first_instruction_by_relay = EVERYWHERE
    gateway_serves_new_containers = False
    networks_by_relay = (*ByRelay.networks_by_relay, "macvlan", "mapped")


if __name__ == "__main__":
    main()
