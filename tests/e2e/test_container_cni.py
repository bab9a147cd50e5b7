#!/usr/bin/python3
"""The library's container API against a real Podman with CNI: what depends on how networks are made.

Not what becomes of a process that is killed while it starts one: docs/engines.md has what Podman does then."""
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
