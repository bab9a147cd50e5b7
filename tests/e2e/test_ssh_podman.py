#!/usr/bin/python3
"""The ssh path against rootful Podman, by its API for Docker's clients, on netavark's networks."""
from engines import PodmanWithSshd
from harness import ALIAS, eventually, main, run
from ssh_cases import HELLO, Reach, SshCase, WhateverTheNetworks, WithoutDns


class PodmanReach(Reach, WithoutDns, WhateverTheNetworks, SshCase):
    engine_type = PodmanWithSshd

    def test_a_network_with_ipv6_alone(self):
        self.network("six-only", "--subnet", "fd00:78::/64")
        self.container("sixth", network="six-only")
        for target in (("--network", "six-only"), ("--container", "sixth")):
            with self.subTest(target=target):
                lease = self.expose(self.port, *target)
                self.reaches("sixth", HELLO, port=self.port)
                self.assertEqual(lease.ready["via"], "ssh")
                self.walks("sixth", f"[{self.addresses(self.sidecar(), 'six-only')[1]}]")
                code, _, err = lease.end()
                self.assertEqual((code, err.count("\n")), (0, 1), err)
                self.assertIn("IPv4", err)
        self.refused(3, "IPv4", self.port, "--via", "native", "--container", "sixth")

    def test_a_container_whose_first_network_does_not_serve(self):
        run("ip", "link", "add", "parent0", "type", "veth", "peer", "name", "parent1")
        self.addCleanup(run, "ip", "link", "delete", "parent0")
        self.network("apart", "--driver", "macvlan", "--subnet", "10.99.0.0/24", "--opt", "parent=parent0")
        self.container("mixed", network="apart")
        for path in ("native", "ssh"):
            self.refused(3, "driver 'macvlan'", self.port, "--via", path, "--container", "mixed")
        self.engine("network", "connect", "web", "mixed")
        for path in ("native", "ssh"):
            with self.subTest(path=path):
                lease = self.expose(self.port, "--via", path, "--container", "mixed")
                self.reaches("mixed", HELLO, port=self.port)
                # Podman then writes the hosts file anew, without comments. The line is the lease's all the same.
                self.engine.api.disconnect("apart", "mixed")
                self.assertTrue(eventually(lambda: f"{ALIAS} # tc-hostnet {lease.id}" in "".join(self.engine.hosts("mixed")),
                                           timeout=2))
                self.reaches("mixed", HELLO, port=self.port)
                self.assertEqual(lease.end()[0], 0)
                self.assertFalse(self.has_alias("mixed"))
                self.engine.api.connect("apart", "mixed")


if __name__ == "__main__":
    main()
