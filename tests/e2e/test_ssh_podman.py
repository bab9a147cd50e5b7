#!/usr/bin/python3
"""The ssh path against rootful Podman, by its API for Docker's clients."""
from harness import IMAGE, PodmanWithSshd, main
from ssh_cases import Reach, SshCase


class PodmanReach(Reach, SshCase):
    engine_type = PodmanWithSshd

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        # netavark makes its chains for the first container with a published port, and leaves them.
        cls.engine("network", "create", "first")
        cls.engine("run", "--rm", "--network", "first", "-p", "18080:80", IMAGE, "true")
        cls.engine("network", "rm", "first")


if __name__ == "__main__":
    main()
