#!/usr/bin/python3
"""The ssh path against rootful Podman, by its API for Docker's clients."""
from harness import PodmanWithSshd, main
from ssh_cases import Reach, SshCase


class PodmanReach(Reach, SshCase):
    engine_type = PodmanWithSshd


if __name__ == "__main__":
    main()
