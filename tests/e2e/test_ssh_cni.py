#!/usr/bin/python3
"""The ssh path against rootful Podman on networks of the CNI plugins, which Podman 5 no longer has."""
from engines import PodmanWithCniAndSshd
from harness import main
from ssh_cases import Reach, SshCase, WithoutDns


class PodmanCniReach(Reach, WithoutDns, SshCase):
    engine_type = PodmanWithCniAndSshd


if __name__ == "__main__":
    main()
