#!/usr/bin/python3
"""The ssh path against rootful Podman, by its API for Docker's clients, on netavark's networks and on CNI's."""
from engines import PodmanWithCniAndSshd, PodmanWithSshd
from harness import main
from ssh_cases import HELLO, Reach, SshCase, WhateverTheNetworks


class WithoutDns:
    def test_a_network_without_dns(self):
        """A network without DNS, as all CNI networks are without the dnsname plugin."""
        self.network("plain", "--disable-dns")
        self.container("nameless", network="plain")
        hosts = self.engine.hosts("nameless")
        lease = self.expose_by_ssh(self.port, "--network", "plain")
        self.reaches("nameless", HELLO, port=self.port)
        self.assertEqual(lease.end()[0], 0)
        self.assertEqual(self.engine.hosts("nameless"), hosts)
        self.nothing_is_left()


class PodmanReach(Reach, WithoutDns, WhateverTheNetworks, SshCase):
    engine_type = PodmanWithSshd


class PodmanCniReach(Reach, WithoutDns, SshCase):
    engine_type = PodmanWithCniAndSshd


if __name__ == "__main__":
    main()
