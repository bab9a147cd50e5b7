#!/usr/bin/python3
"""Rootless Podman: its bridges are in a namespace of its own, so whoever asks goes by ssh, and is told why."""
from harness import ALIAS, RootlessPodmanWithSshd, main, run
from ssh_cases import HELLO, Reach, SshCase


class RootlessReach(Reach, SshCase):
    engine_type = RootlessPodmanWithSshd

    def as_nobody(self, *arguments, check=True, **env):
        """As the engine's own user."""
        environment = self.env | {"HOME": str(self.engine.dir / "home"), "XDG_RUNTIME_DIR": str(self.engine.dir / "run")} | env
        environment.pop("TC_HOSTNET_RUNTIME_DIR")
        return run("setpriv", "--reuid", "alice", "--regid", "alice", "--clear-groups", self.program, *arguments,
                   env=environment, check=check)

    def test_root_goes_by_ssh_and_is_told_why(self):
        lease = self.expose(self.port, "--container", "app")
        self.assertEqual(lease.ready["via"], "ssh")
        self.reaches("app", HELLO, port=self.port)
        code, _, said = lease.end()
        self.assertEqual(code, 0)
        self.assertIn("rootless", said)
        self.nothing_is_left()

    def test_the_network_that_rootless_containers_have_by_default(self):
        self.container("alone")
        said = self.refused(2, "slirp4netns", self.port, "--container", "alone")
        self.assertIn("--network web", said)

    def test_who_insists_on_the_native_path_is_told_why(self):
        said = self.refused(3, "rootless", self.port, "--container", "app", "--via", "native")
        self.assertIn("--via ssh", said)

    def test_a_bridge_of_that_name_on_the_host_is_not_taken_for_it(self):
        bridge = self.engine("network", "inspect", "-f", "{{.NetworkInterface}}", "web").strip()
        run("ip", "link", "add", bridge, "type", "bridge")
        self.addCleanup(run, "ip", "link", "del", bridge)
        run("ip", "address", "add", "10.89.0.1/24", "dev", bridge)
        run("ip", "link", "set", bridge, "up")
        self.refused(3, "rootless", self.port, "--network", "web", "--via", "native")

    def test_the_doctor_names_it(self):
        self.assertIn("runs rootless", self.tc_hostnet("doctor", check=False).stdout)


if __name__ == "__main__":
    main()
