#!/usr/bin/python3
"""The library's container API against a real Podman."""
from container_bed import ContainerCase
from container_cases import Containers, Errors, Workflows
from container_crashes import Crashes, Many
from harness import PodmanWithSshd, main


class PodmanContainerCase(ContainerCase):
    engine_type = PodmanWithSshd


class PodmanWorkflows(Workflows, PodmanContainerCase):
    pass


class PodmanContainers(Containers, PodmanContainerCase):
    pass


class PodmanErrors(Errors, PodmanContainerCase):
    pass


class PodmanCrashes(Crashes, PodmanContainerCase):
    pass


class PodmanMany(Many, PodmanContainerCase):
    pass


if __name__ == "__main__":
    main()
