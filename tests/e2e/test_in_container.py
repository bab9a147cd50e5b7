#!/usr/bin/python3
"""tc-hostnet in a container with the engine's socket: what is served is the container's own 127.0.0.1. The container has
this machine's programs and libraries, read-only."""
import contextlib
import json
import subprocess
import tempfile
import time
from pathlib import Path

from engine_api import attempt
from engines import DockerWithSshd, PodmanWithSshd
from harness import IMAGE, Service, eventually, main, run
from ssh_cases import HELLO, SshCase

BINDS = [word for folder in ("/usr", "/lib", "/lib64") for word in ("-v", f"{folder}:{folder}:ro")]
# Beyond what the same costs outside. The engine's own pace is in both.
ALLOWED = 6  # seconds; a quiet machine needs less than one, and a way that is waited for in vain costs 30


class InContainer(SshCase):
    """A container "client" with a service on its 127.0.0.1."""

    def client(self, *options, image=IMAGE):
        self.addCleanup(attempt, self.engine.api.remove, "client")
        self.addCleanup(self.in_client, "release", "--all", check=False)
        serve = f"mkdir /srv; printf '{HELLO.strip()}\\n' >/srv/index.html; httpd -p 127.0.0.1:{self.port} -h /srv; exec sleep 600"
        self.engine("run", "-d", "--name", "client", *BINDS, "-v", f"{self.program}:/tc-hostnet:ro",
                    "-v", f"{self.engine.socket}:/var/run/docker.sock", *options, image, "sh", "-c", serve)
        own = f"http://127.0.0.1:{self.port}/"
        self.assertTrue(eventually(lambda: self.engine.fetch("client", own) == HELLO))

    def in_client(self, *arguments, check=True, user=()):
        done = run(*self.engine.command, "exec", *user, "client", "/tc-hostnet", *arguments, env=self.engine.env, check=False)
        if check:
            self.assertEqual(done.returncode, 0, done.stderr)
        return done

    def served(self, *target, by, via="ssh", reaches="app", user=()):
        """Exposes, is reached, is released. Returns how long the first took."""
        begun = time.monotonic()
        done = self.in_client("-v", "expose", self.port, *target, "--detach", user=user)
        took = time.monotonic() - begun
        lease = done.stdout.strip()
        shown = json.loads(self.in_client("inspect", lease, "--json", user=user).stdout)
        self.assertEqual(shown["via"], via, done.stderr)
        if by:
            self.assertEqual(shown["tunnel"]["dialled_by"], by, done.stderr)
            self.assertIn("its sshd is reached by", done.stderr)
            listed = self.in_client("status", user=user).stdout
            self.assertIn(f"by {by}", listed)
        self.reaches(reaches, HELLO, port=self.port)
        self.in_client("release", lease, user=user)
        self.assertEqual(self.sidecars(), [])
        self.assertFalse(self.has_alias("app"))
        self.assertNotIn("run it as root", done.stderr)
        return took

    def usual(self):
        """The same from this namespace, by the path that a container's client takes."""
        with contextlib.ExitStack() as stack:
            with contextlib.suppress(OSError):  # a client with the host's network has it here
                stack.callback(Service(self.port, HELLO).close)
            begun = time.monotonic()
            lease = self.expose_by_ssh(self.port, "--container", "app")
            took = time.monotonic() - begun
            self.assertEqual(lease.end()[0], 0)
        return took

    def served_in_time(self, *target, by):
        """Two measurements side by side: a machine that is busy with something else changes its pace."""
        for _ in range(3):
            usual, took = self.usual(), self.served(*target, by=by)
            if took < usual + ALLOWED:
                return
        self.fail(f"{took:.1f} s, where the same took {usual:.1f} s outside")

    def setUp(self):
        super().setUp()
        self.engine.socket.chmod(0o660)
        self.network("other")


class Variants:
    def test_on_the_containers_network(self):
        self.client("--network", "web")
        self.served_in_time("--container", "app", by="address")

    def test_on_another_network(self):
        self.client("--network", "other")
        self.served_in_time("--container", "app", by="network")
        # Containers of the client's own network are not meant.
        self.container("stranger", network="other")
        lease = self.in_client("expose", self.port, "--network", "web", "--detach").stdout.strip()
        self.reaches("app", HELLO, port=self.port)
        sidecar = self.engine.api.inspect(self.sidecar())["NetworkSettings"]["Networks"]["other"]["IPAddress"]
        self.assertIsNone(self.engine.fetch("stranger", f"http://{sidecar}:{self.port}/"))
        self.assertTrue(eventually(lambda: json.loads(
            self.in_client("inspect", lease, "--json").stdout)["tunnel"]["refused_strangers"], 5))
        self.in_client("release", lease)

    def test_a_whole_network_from_the_default_one(self):
        self.client()
        self.served_in_time("--network", "web", by="network")

    def test_on_the_hosts_network(self):
        self.client("--network", "host")
        self.served_in_time("--container", "app", by="address")

    def test_on_the_hosts_network_with_its_processes(self):
        self.client("--network", "host", "--pid", "host")
        self.served_in_time("--container", "app", by="address")

    def test_without_a_network(self):
        """Only the engine's socket leads out."""
        self.client("--network", "none")
        self.served_in_time("--container", "app", by="exec")
        self.served_in_time("--network", "web", by="exec")

    def test_with_the_capabilities_of_the_native_path(self):
        """But with process ids of its own: neither a bridge of that name here nor a process
        with that number is acted upon."""
        self.client("--network", "other", "--cap-add", "NET_ADMIN")
        self.served("--container", "app", by="network")
        # Root's advice in a container is not to be root.
        for words in ((self.port, "--container", "app"), ("--container", "app", "--port", self.port)):
            told = self.in_client("doctor", *words, check=False).stdout
            self.assertRegex(told, "container|✓")
            self.assertNotRegex(told, "as root|sudo ")
        done = self.in_client("expose", self.port, "--container", "app", "--via", "native", check=False)
        self.assertEqual(done.returncode, 3, done.stderr)
        self.assertIn("runs this program in its container client, with process ids of its own", done.stderr)
        self.assertNotIn("run it as root", done.stderr)
        done = self.in_client("expose", self.port, "--container", "app", "--via", "relay", check=False)
        self.assertEqual(done.returncode, 3, done.stderr)
        self.assertIn("with process ids of its own", done.stderr)

    def service(self, port, text, address="127.0.0.1"):
        """None here: it is in the client's container."""


class Docker(Variants, InContainer):
    engine_type = DockerWithSshd

    def test_with_all_that_the_native_path_needs(self):
        """As on the host itself."""
        self.client("--network", "host", "--pid", "host", "--cap-add", "NET_ADMIN", "--cap-add", "SYS_PTRACE")
        self.served("--container", "app", by=None, via="native")

    def test_an_engine_of_another_machine(self):
        """It does not know the container, whose 127.0.0.1 has no published port: a command in the sidecar serves."""
        self.addCleanup(self.tc_hostnet, "release", "--all")
        namespace = "far"
        run("ip", "netns", "add", namespace)
        self.addCleanup(run, "ip", "netns", "del", namespace)
        run("ip", "-n", namespace, "link", "set", "lo", "up")
        service = subprocess.Popen(["ip", "netns", "exec", namespace, "busybox", "httpd", "-f", "-p", f"127.0.0.1:{self.port}",
                                    "-h", self.page()])
        self.addCleanup(service.wait, 10)
        self.addCleanup(service.kill)
        begun = time.monotonic()
        done = run("ip", "netns", "exec", namespace, self.program, "expose", self.port, "--network", "web", "--detach",
                   env=self.env)
        self.assertLess(time.monotonic() - begun, 20)  # not at the deadline, 30 s
        self.reaches("app", HELLO, port=self.port)
        shown = json.loads(self.tc_hostnet("inspect", done.stdout.strip(), "--json").stdout)
        self.assertEqual((shown["tunnel"]["dialled_by"], shown["tunnel"]["dialled_at"]), ("exec", ""))

    def page(self):
        folder = tempfile.mkdtemp(prefix="hostnet-e2e-")
        self.addCleanup(run, "rm", "-rf", folder)
        Path(folder, "index.html").write_text(HELLO)
        return folder

    def test_the_tunnel_by_exec_comes_back(self):
        self.client("--network", "none")
        lease = self.in_client("expose", self.port, "--container", "app", "--detach").stdout.strip()
        self.reaches("app", HELLO, port=self.port)
        big = "x" * 3_000_000
        self.engine("exec", "-i", "client", "sh", "-c", "cat >/srv/big", stdin=big)
        self.assertEqual(len(self.engine.fetch("app", f"http://host.testcontainers.internal:{self.port}/big", 30) or ""), len(big))
        sidecar = self.sidecar()
        self.engine.inside(sidecar, "pkill", "-f", "sshd: root")
        self.assertTrue(eventually(lambda: self.engine.fetch("app", f"http://host.testcontainers.internal:{self.port}/", 2) == HELLO))
        self.in_client("release", lease)
        self.assertEqual(self.sidecars(), [])

    def test_a_user_in_the_container(self):
        """Not root there: is told what a user is told."""
        self.client("--network", "other", "--group-add", str(self.engine.socket.stat().st_gid))
        done = run(*self.engine.command, "exec", "-u", "1000", "-e", "TC_HOSTNET_RUNTIME_DIR=/dev/shm/leases", "client", "/tc-hostnet", "expose",
                   self.port, "--container", "app", "--detach", env=self.engine.env)
        self.assertIn("it needs CAP_NET_ADMIN (run it as root); going by ssh instead", done.stderr)
        self.reaches("app", HELLO, port=self.port)
        self.in_client("release", "--all", user=("-u", "1000", "-e", "TC_HOSTNET_RUNTIME_DIR=/dev/shm/leases"))
        self.assertEqual(self.sidecars(), [])


class Podman(Variants, InContainer):
    engine_type = PodmanWithSshd


if __name__ == "__main__":
    main()
