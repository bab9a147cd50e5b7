#!/usr/bin/python3
"""A user who is not root, the helper on a real bus with a real polkitd, and containers of a real Docker Engine."""
import importlib.util
import json
import os
import subprocess
import tempfile
import time
from pathlib import Path

from engines import DockerWithSshd
from harness import ALIAS, HostCase, Lease, eventually, main, output, run

# tests/dbus has a module of this name too.
spec = importlib.util.spec_from_file_location("bus_harness", Path(__file__).resolve().parents[1] / "dbus" / "harness.py")
bus_harness = importlib.util.module_from_spec(spec)
spec.loader.exec_module(bus_harness)

PORT = 8088


class Helper(HostCase):
    engine_type = DockerWithSshd

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        # Debian's docker.io opens it to group docker; here it is open to all, because access to the engine is not tested.
        os.chmod(cls.engine.socket, 0o666)
        os.chmod(cls.engine.dir, 0o755)

    def setUp(self):
        super().setUp()
        service = bus_harness.Service("alice", PORT)
        self.addCleanup(service.stop)
        self.network("web")
        self.container("app", network="web")
        self.container("other", network="web")

    def as_user(self, user, *arguments):
        return [*bus_harness.as_user(user), str(self.program), *map(str, arguments)]

    @property
    def user_env(self):
        return bus_harness.user_environment() | {"DOCKER_HOST": f"unix://{self.engine.socket}"}

    def expose_as(self, user, *arguments):
        lease = Lease(self.as_user(user, "--json", "expose", *arguments), self.user_env)
        self.addCleanup(lease.close)
        return lease

    def says(self, container):
        return self.engine.inside(container, "sh", "-c", f"nc -w 2 {ALIAS} {PORT} </dev/null").stdout

    def test_a_container(self):
        before = self.engine.hosts("app")
        lease = self.expose_as("alice", PORT, "--container", "app")
        self.assertEqual((lease.ready["via"], lease.ready["gateway"]), ("helper", self.gateway("web")))
        self.assertEqual(self.says("app"), "alice")
        # Only that container gets the alias and the open port.
        self.assertFalse(self.has_alias("other"))
        refused = self.engine.inside("other", "nc", "-w", "2", self.gateway("web"), str(PORT))
        self.assertEqual(refused.stdout, "")
        self.assertIn(self.address_of("app"), output("nft", "list", "set", "bridge", "tc_hostnet", "pinned"))
        self.assertEqual(lease.end()[0], 0)
        self.assertEqual(self.engine.hosts("app"), before)
        self.assertEqual(self.says("app"), "")

    def test_doctor_sees_its_leases(self):
        """As root, and as a user, who cannot connect from inside."""
        lease = self.expose_as("alice", PORT, "--container", "app")
        question = ("doctor", "--container", "app", "--port", PORT, "--json")
        by_root = json.loads(self.tc_hostnet(*map(str, question)).stdout)
        by_user = json.loads(run(*self.as_user("alice", *question), env=self.user_env, check=False).stdout)
        self.assertTrue(by_root["ok"], by_root)
        self.assertEqual(by_user["stops_at"], None, by_user)
        for told in (by_root, by_user):
            steps = {step["name"]: step for step in told["steps"]}
            self.assertIn(f"lease {lease.id} (helper) leads {PORT}/tcp to 127.0.0.1:{PORT}", steps["forward"]["finding"])
            self.assertEqual(steps["alias"]["status"], "ok")

    def test_a_network(self):
        lease = self.expose_as("alice", PORT, "--network", "web")
        for container in ("app", "other"):
            self.assertEqual(self.says(container), "alice", container)
        self.assertEqual(lease.end()[0], 0)
        self.assertFalse(self.has_alias("app"))

    def test_by_the_address_of_host_gateway(self):
        """host-gateway is docker0's address for containers on every network."""
        self.container("late", network="web", hosts=[f"{ALIAS}:host-gateway"])
        self.expose_as("alice", PORT, "--network", "web", "--no-alias")
        self.assertEqual(self.says("late"), "alice")

    def test_it_follows_its_container(self):
        """Restarted and made anew, with a new id each time, as the helper numbers its leases; then away and released."""
        self.container("brief", network="web")
        lease = self.expose_as("alice", PORT, "--container", "brief")
        for again in (lambda: self.engine.api.restart("brief"),
                      lambda: (self.engine.api.remove("brief"), self.container("brief", network="web"))):
            begin = time.monotonic()
            again()
            while (event := lease.read_event())["event"] == "waiting":
                pass
            self.assertEqual(event["event"], "followed")
            self.assertLess(time.monotonic() - begin, 10)
            self.assertTrue(eventually(lambda: self.says("brief") == "alice", timeout=5))
        self.engine.api.remove("brief")
        waiting = lease.read_event()
        self.assertEqual(waiting["event"], "waiting")
        listed = json.loads(run(*self.as_user("alice", "list", "--json"), env=self.user_env).stdout)
        self.assertEqual((listed["id"], listed["via"], listed["state"]), (waiting["lease"], "helper", "waiting"))
        released = run(*self.as_user("alice", "release", waiting["lease"]), env=self.user_env)
        self.assertEqual(released.stdout.strip(), waiting["lease"])
        self.assertEqual(lease.read_event()["reason"], "released by another process")
        self.assertEqual(lease.end(None)[0], 0)

    def test_killed(self):
        lease = self.expose_as("alice", PORT, "--container", "app")
        self.assertEqual(self.says("app"), "alice")
        lease.process.kill()
        self.assertTrue(eventually(lambda: self.says("app") == ""))
        # The alias stays until the next use, as on the ssh path.
        self.assertTrue(self.has_alias("app"))
        run(*self.as_user("alice", "list"), env=self.user_env)
        self.assertFalse(self.has_alias("app"))

    def test_whom_the_helper_refuses_goes_by_ssh(self):
        for user in ("bob", "mallory"):
            with self.subTest(user):
                process = subprocess.Popen(self.as_user(user, "--no-ask-password", "--json", "expose", PORT, "--container",
                                                        "app"), env=self.user_env, stdout=subprocess.PIPE,
                                           stderr=subprocess.PIPE, text=True)
                try:
                    self.assertIn('"via":"ssh"', process.stdout.readline())
                    self.assertEqual(self.says("app"), "alice")
                finally:
                    process.terminate()
                    _, said = process.communicate(timeout=30)
                self.assertIn("going by ssh instead", said)
                self.assertIn("expose-foreign", said)
                self.assertEqual(process.returncode, 0, said)

    def test_who_insists_on_the_helper_is_told(self):
        for user, code in (("bob", 5), ("mallory", 4)):
            with self.subTest(user):
                done = run(*self.as_user(user, "--no-ask-password", "expose", PORT, "--container", "app", "--via", "helper"),
                           env=self.user_env, check=False)
                self.assertEqual(done.returncode, code, done.stderr)
                self.assertFalse(self.has_alias("app"))

    def test_the_library_s_containers(self):
        programs = Path(tempfile.mkdtemp(prefix="hostnet-bin-"))
        self.addCleanup(run, "rm", "-rf", programs)
        programs.chmod(0o755)
        for variable in ("GUIDE_HOST", "TC_HOSTNET_REAPER"):
            run("cp", os.environ[variable], programs)
        environment = self.user_env | {"TC_HOSTNET_REAPER": str(programs / "tc-hostnet-reaper")}
        done = run(*bus_harness.as_user("alice"), programs / "guide_host", env=environment)
        self.assertEqual(done.stdout, "helper: hello from 127.0.0.1\n")

    def test_without_a_shell_in_the_image_the_error_says_what_to_do(self):
        self.engine("exec", "app", "rm", "/bin/sh")
        done = run(*self.as_user("alice", "expose", PORT, "--container", "app", "--via", "helper"), env=self.user_env,
                   check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(f"--add-host {ALIAS}:host-gateway", done.stderr)
        self.assertEqual(run(*self.as_user("alice", "list", "--json"), env=self.user_env).stdout, "")


if __name__ == "__main__":
    main()
