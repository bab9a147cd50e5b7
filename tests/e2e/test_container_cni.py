#!/usr/bin/python3
"""The library's container API against a real Podman with CNI: the cases that depend on how networks are made.

It does not cover a process killed while it starts a container: docs/engines.md describes what Podman does then."""
from container_bed import ContainerCase
from container_cases import Networks
from engines import PodmanWithCniAndSshd
from harness import main


class CniContainerCase(ContainerCase):
    engine_type = PodmanWithCniAndSshd


class CniNetworks(Networks, CniContainerCase):
    pass


if __name__ == "__main__":
    main()
