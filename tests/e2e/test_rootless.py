#!/usr/bin/python3
"""Rootless Podman: its bridges are in a separate namespace, so every request takes the ssh path, with the reason shown."""
from engines import RootlessPodmanWithSshd
from gateway_cases import AtEnginesGateway
from harness import main
from relay_cases import EVERYWHERE, ByRelay
from rootless_cases import RootlessCase


class RootlessReach(RootlessCase, AtEnginesGateway, ByRelay):
    engine_type = RootlessPodmanWithSshd

    def bridge(self, network):
        return self.engine.api.bridge(network)

    def test_the_network_that_rootless_containers_have_by_default(self):
        self.container_by_command("alone")
        # Podman 5 made pasta the default.
        mode = "slirp4netns" if self.engine("--version").split()[-1].startswith("4.") else "pasta"
        said = self.refused(3, mode, self.port, "--container", "alone")
        self.assertIn("--network web", said)


    first_instruction_by_relay = EVERYWHERE
    networks_by_relay = ("bridge", "internal", "none", "shared", "default", "keep-id")


del RootlessCase  # the base class has no engine and must not run


if __name__ == "__main__":
    main()
