#!/usr/bin/python3
"""The library's container API from many threads of one program; separate because it also runs under ThreadSanitizer."""
from container_bed import ContainerCase
from container_crashes import Many
from engines import DockerWithSshd
from harness import main


class DockerMany(Many, ContainerCase):
    engine_type = DockerWithSshd


if __name__ == "__main__":
    main()
