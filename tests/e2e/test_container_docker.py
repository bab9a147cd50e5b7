#!/usr/bin/python3
"""The library's container API against a real Docker Engine."""
import contextlib
import json
import socket

from container_bed import ContainerCase, get
from container_cases import Containers, Errors, Networks, Workflows
from container_crashes import Crashes
from engines import DockerWithSshd
from harness import eventually, main


class DockerContainerCase(ContainerCase):
    engine_type = DockerWithSshd


class DockerWorkflows(Workflows, DockerContainerCase):
    def test_later_ports_by_ssh_share_the_sidecar_and_survive_its_restart(self):
        first, second, third = (self.hello(f"{word}\n") for word in ("first", "second", "third"))
        name = self.start(host_ports=[str(first)], path="ssh")
        for late in (second, third):
            self.driver("expose", of=name, port=str(late))
        (sidecar,) = self.engine.api.containers("io.github.tchostnet.lease")
        def listed():
            return sorted(port["container"] for port in json.loads(self.tc_hostnet("list", "--json").stdout)["ports"])
        self.assertTrue(eventually(lambda: listed() == sorted([first, second, third])), listed())
        words = {first: "first\n", second: "second\n", third: "third\n"}
        self.assertEqual({port: self.fetch(name, port) for port in words}, words)
        self.engine.api.restart(sidecar)
        self.assertTrue(eventually(lambda: {port: self.fetch(name, port, timeout=2) for port in words} == words, 60))
        self.driver("drop", of=name)


class DockerContainers(Containers, Networks, DockerContainerCase):
    def test_ipv4_and_ipv6_ports_that_differ(self):
        # The next ports in the engine's order are taken on IPv6, so the engine must choose two numbers. It tries ten times.
        with contextlib.ExitStack() as taken:
            first = self.web(exposed=["8080"])
            port = self.driver("port4", of=first, port="8080")
            for ahead in range(port + 1, port + 6):
                blocker = taken.enter_context(socket.socket(socket.AF_INET6))
                blocker.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                blocker.bind(("::", ahead))
                blocker.listen()
            second = self.web(exposed=["8080"], wait_for=[["listening", "8080"]])
            four = self.driver("port4", of=second, port="8080")
            six = self.driver("port6", of=second, port="8080")
            self.assertNotEqual(four, six)
            self.assertEqual(get(four), "web\n")
            self.assertEqual(get(six, host="[::1]"), "web\n")

    def test_health(self):
        healthy = {"health": ["test", "-e", "/tmp/ready"], "wait_for": [["healthy"]]}
        self.start(cmd=["sh", "-c", "sleep 0.5; touch /tmp/ready; exec sleep 600"], **healthy)
        self.assertGreater(self.started["ms"], 500)
        self.refused("failure", "wait for health: the engine reports it unhealthy", **healthy)


class DockerErrors(Errors, DockerContainerCase):
    pass


class DockerCrashes(Crashes, DockerContainerCase):
    pass


if __name__ == "__main__":
    main()
