"""Shared by the tests of rootless engines: every request takes the ssh path, and the output says why."""
import json

from harness import Lease, eventually, run
from ssh_cases import HELLO, Reach, SshCase


class RootlessCase(Reach, SshCase):
    """A subclass names the engine."""

    def as_nobody(self, *arguments, check=True, **env):
        """Runs as the engine's own user."""
        environment = self.env | {"HOME": str(self.engine.dir / "home"), "XDG_RUNTIME_DIR": str((self.engine.dir / "run").resolve())} | env
        environment.pop("TC_HOSTNET_RUNTIME_DIR")
        return run("setpriv", "--reuid", self.engine.user, "--regid", self.engine.user, "--clear-groups", self.program,
                   *arguments, env=environment, check=check)

    def of_owner(self, *arguments):
        """The engine's own user may enter its containers."""
        environment = self.env | {"HOME": str(self.engine.dir / "home"), "XDG_RUNTIME_DIR": str((self.engine.dir / "run").resolve())}
        environment.pop("TC_HOSTNET_RUNTIME_DIR")
        return ["setpriv", "--reuid", self.engine.user, "--regid", self.engine.user, "--clear-groups", self.program,
                *map(str, arguments)], environment

    def bridge(self, network):
        """The name of its bridge, in any namespace."""
        raise NotImplementedError

    def namesake_here(self, network, address):
        """A bridge of this host that looks like the engine's."""
        bridge = self.bridge(network)
        run("ip", "link", "add", bridge, "type", "bridge")
        self.addCleanup(run, "ip", "link", "del", bridge)
        run("ip", "address", "add", address, "dev", bridge)
        run("ip", "link", "set", bridge, "up")

    def expose_as_root(self, *arguments):
        self.addCleanup(self.tc_hostnet, "release", "--all")  # a sidecar keeps its network from being removed
        lease = self.expose(*arguments)
        self.assertEqual(lease.ready["via"], "ssh")
        return lease

    def test_root_goes_by_ssh_and_is_told_why_once(self):
        before = self.engine.inventory()
        lease = self.expose_as_root(self.port, "--container", "app")
        self.reaches("app", HELLO, port=self.port)
        code, _, said = lease.end()
        self.assertEqual(code, 0)
        self.assertEqual((said.count("rootless"), said.count("\n")), (1, 1), said)
        self.nothing_is_left()
        self.assertEqual(self.engine.inventory(), before)

    def test_who_insists_on_the_native_path_is_told_why(self):
        for target in (("--container", "app"), ("--network", "web")):
            said = self.refused(3, "rootless", self.port, *target, "--via", "native")
            self.assertIn("--via ssh", said)

    def test_a_bridge_of_that_name_on_the_host_is_not_taken_for_it(self):
        self.namesake_here("web", f"{self.gateway('web')}/24")
        self.refused(3, "rootless", self.port, "--network", "web", "--via", "native")
        # tc-hostnet does not dial the sidecar's address there either.
        self.expose_by_ssh(self.port, "--container", "app")
        self.reaches("app", HELLO, port=self.port)

    def test_datagrams_go_by_relay_unasked(self):
        for target in (("--container", "app"), ("--network", "web")):
            argv, env = self.of_owner("--json", "expose", f"{self.port}/udp", *target)
            lease = Lease(argv, env)
            self.addCleanup(lease.close)
            self.assertEqual(lease.ready["via"], "relay", lease.ready)
            self.assertIn("the ssh path carries TCP only; going by relay instead", lease.end()[2])
        self.refused(2, "--via relay", f"{self.port}/udp", "--container", "app", "--via", "ssh")

    def test_the_doctor_names_it(self):
        def engine_check():
            checks = json.loads(self.tc_hostnet("doctor", "--json", check=False).stdout)["checks"]
            (engine,) = [check for check in checks if check["name"] == "engine"]
            return engine
        # The doctor does not wait long for a busy engine, and questions that it gave up would keep that busy: a patient
        # one comes first.
        self.engine.api.get("/info", timeout=240)
        engine = eventually(lambda: one if "runs rootless" in (one := engine_check())["finding"] else None, timeout=60)
        self.assertIsNotNone(engine)
        self.assertEqual(engine["status"], "warn")
