#!/usr/bin/python3
"""Rootless Podman: its bridges are in a namespace of its own, so whoever asks goes by ssh, and is told why."""
from engines import RootlessPodmanWithSshd
from harness import main
from rootless_cases import RootlessCase


class RootlessReach(RootlessCase):
    engine_type = RootlessPodmanWithSshd

    def bridge(self, network):
        return self.engine.api.bridge(network)

    def test_the_network_that_rootless_containers_have_by_default(self):
        self.container_by_command("alone")
        said = self.refused(2, "slirp4netns", self.port, "--container", "alone")
        self.assertIn("--network web", said)


del RootlessCase  # has no engine, and is not to be run


if __name__ == "__main__":
    main()
