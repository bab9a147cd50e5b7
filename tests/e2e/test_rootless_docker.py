#!/usr/bin/python3
"""Rootless Docker: dockerd with its bridges and its 127.0.0.1 in RootlessKit's namespaces. The system engine runs beside
it, with a default bridge of the same name and address, as both have by default."""
import os
import signal
import time

from engine_api import attempt
from engines import Docker, RootlessDockerWithSshd
from gateway_cases import AtEnginesGateway
from harness import ALIAS, IMAGE, Lease, eventually, main, output, run
from relay_cases import ByRelay
from rootless_cases import RootlessCase
from ssh_cases import HELLO


class RootlessDockerReach(RootlessCase, AtEnginesGateway, ByRelay):
    engine_type = RootlessDockerWithSshd

    @classmethod
    def setUpClass(cls):
        cls.system = Docker()
        cls.addClassCleanup(cls.system.close)
        super().setUpClass()

    def as_root_of_the_system(self, *arguments):
        return self.tc_hostnet(*arguments, env=self.env | {"DOCKER_HOST": f"unix://{self.system.socket}"}, check=False)

    def bridge(self, network):
        return self.engine.api.bridge(network)

    def test_the_doctor_tells_it_from_the_systems_engine(self):
        self.assertNotIn("rootless", self.as_root_of_the_system("doctor").stdout)
        self.assertIn("runs rootless", self.doctor())

    def test_its_loopback_is_not_the_hosts(self):
        """Why the native path cannot serve it: rules in its namespace would lead to another 127.0.0.1."""
        self.container("inside", network="host")
        self.reaches_nothing("inside", port=self.port, name="127.0.0.1")
        said = self.refused(2, "is not known to be this one", self.port, "--container", "inside")
        self.assertIn("bridge network", said)

    def test_the_default_network_is_not_taken_for_the_systems(self):
        self.assertIn(f" {self.gateway('bridge')}/", output("ip", "-4", "address", "show", "dev", "docker0"))
        self.container("alone")
        self.refused(3, "rootless", self.port, "--container", "alone", "--via", "native")
        self.expose_as_root(self.port, "--container", "alone")
        self.reaches("alone", HELLO, port=self.port)

    def test_at_gateway_the_default_networks_of_two_engines_are_two(self):
        """One user of both: the leases differ by where the bridge is."""
        self.system.let_everybody_in()
        port, _ = self.serve_hello()
        self.container("alone")
        self.addCleanup(attempt, self.system.api.remove, "theirs")
        self.system.api.run("theirs", IMAGE, ("sleep", "600"))
        ask = (f"{port}:8900", "--network", "bridge")
        lease = self.at_gateway(*ask)
        argv, env = self.of_owner("--json", "expose", "--via", "relay", *ask)
        theirs = Lease(argv, env | {"DOCKER_HOST": f"unix://{self.system.socket}"})
        self.addCleanup(theirs.close)
        self.assertEqual((theirs.ready["via"], theirs.ready["gateway"]), ("relay", lease.ready["gateway"]))
        for engine, container in ((self.engine, "alone"), (self.system, "theirs")):
            self.assertEqual(engine.fetch(container, f"http://{ALIAS}:8900/"), HELLO)
        self.refused_by_relay(8, f"lease {lease.id}'s", *ask)
        self.assertEqual(eventually(lambda: self.relay_of(theirs)["connections"] or None), 1)

    def test_at_gateway_the_engine_is_restarted(self):
        port, _ = self.serve_hello()
        self.network("relayed")
        self.container("first", network="relayed")
        lease, bridge = self.at_gateway(port, "--network", "relayed"), self.bridge("relayed")
        self.reaches("first", HELLO, port=port)
        os.kill(self.engine.pid, signal.SIGTERM)  # RootlessKit's: stop() would end all of the user's processes
        self.assertTrue(eventually(lambda: not os.path.exists(f"/proc/{self.engine.pid}")))
        try:
            # The sockets would keep its network namespace, with a bridge on which nothing runs.
            self.assertTrue(eventually(lambda: self.relay_of(lease)["state"] == "blocked"))
            self.assertEqual(self.relay_of(lease)["reason"], f"the network namespace of bridge {bridge} is gone")
        finally:
            self.engine.start()
            self.engine.api.start("app")
        since = time.monotonic()
        self.engine.api.start("first")
        lease.follows(self, since, within=30)
        self.assertTrue(eventually(lambda: self.has_alias("first")))
        self.reaches("first", HELLO, port=port)

    def test_the_systems_containers_keep_the_native_path(self):
        self.addCleanup(attempt, self.system.api.remove, "theirs")
        self.system.api.run("theirs", IMAGE, ("sleep", "600"))
        lease = self.as_root_of_the_system("expose", str(self.port), "--container", "theirs", "--detach")
        self.addCleanup(self.tc_hostnet, "release", "--all")
        self.assertEqual(lease.returncode, 0, lease.stderr)
        self.assertEqual([known["via"] for known in self.leases()], ["native"])
        self.assertEqual(self.system.fetch("theirs", f"http://{ALIAS}:{self.port}/"), HELLO)

    def test_the_sidecars_port_is_on_this_hosts_loopback_alone(self):
        """It arrives by RootlessKit's port driver."""
        self.expose_as_root(self.port, "--container", "app")
        published = self.engine("port", self.sidecar(), "22/tcp")
        self.assertTrue(published.startswith("127.0.0.1:"), published)
        self.assertIn(f" {published} ", run("ss", "-Hlnt").stdout)

    def test_a_container_of_the_library(self):
        self.assertEqual(run(os.environ["GUIDE_HOST"], env=self.env).stdout, "ssh: " + HELLO)


del RootlessCase  # the base class has no engine and must not run


if __name__ == "__main__":
    main()
