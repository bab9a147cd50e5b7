"""Shared by the tests of the ssh path on all engines."""
import contextlib
import json
import os
import pty
import select
import signal
import socket
import subprocess
import termios
import threading
import time
from pathlib import Path

import engines
from engine_api import attempt
from harness import ALIAS, IMAGE, HostCase, Service, eventually, run

HELLO = "hello from 127.0.0.1\n"
LEASE_LABEL = "io.github.tchostnet.lease"
NOBODY = 65534


def free_port():
    """A port without a listener."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def free_ports(count):
    """The first of so many ports in a row without a listener on 127.0.0.1 and 127.0.0.2."""
    while True:
        first = free_port()
        with contextlib.ExitStack() as open_sockets:
            try:
                for port in range(first, first + count):
                    for address in ("127.0.0.1", "127.0.0.2"):
                        open_sockets.enter_context(socket.socket()).bind((address, port))
                return first
            except (OSError, OverflowError):
                continue


class UnixService:
    """Answers every request on a Unix socket with one text."""

    def __init__(self, path, text):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(str(path))
        self.socket.listen()
        self.answer = f"HTTP/1.0 200 OK\r\nContent-Length: {len(text)}\r\n\r\n{text}".encode()
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                connection = self.socket.accept()[0]
            except OSError:
                return
            with connection:
                connection.recv(4096)
                connection.sendall(self.answer)

    def close(self):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()


class LeaseDriver:
    """lease_driver.cpp for the duration of the block; then it returns from main()."""

    def __init__(self, case, path, port, *containers):
        self.case = case
        self.process = subprocess.Popen([os.environ["LEASE_DRIVER"], path, f"unix://{case.engine.socket}", str(port), *containers],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=case.env)
        case.addCleanup(self.process.kill)
        case.assertEqual(self.process.stdout.readline(), f"held {len(containers)}\n")

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        with self.process.stdout:
            self.case.assertEqual(self.process.wait(60), 0)


class SshCase(HostCase):
    """Exposes by ssh by default; the network and the container "app" on it exist."""

    def setUp(self):
        super().setUp()
        self.port = free_port()
        self.service(self.port, HELLO)
        self.network("web")
        self.container("app", network="web")

    def expose_by_ssh(self, *arguments):
        self.addCleanup(self.tc_hostnet, "release", "--all")  # a sidecar keeps its network from being removed
        return self.expose("--via", "ssh", *arguments)

    def sidecars(self):
        return self.engine.api.containers(LEASE_LABEL)

    def sidecar(self):
        (only,) = self.sidecars()
        return only

    def refused(self, code, words, *arguments, env=None):
        """The command fails with that exit status and those words on one line, and creates nothing."""
        done = self.tc_hostnet("expose", *map(str, arguments), check=False, timeout=60, **({"env": env} if env else {}))
        self.assertEqual(done.returncode, code, done.stderr)
        self.assertIn(words, done.stderr)
        self.assertEqual(self.sidecars(), [])
        return done.stderr

    def nothing_is_left(self):
        self.assertTrue(eventually(lambda: not self.sidecars()), self.sidecars())
        self.assertFalse(self.has_alias("app"))
        self.assertEqual(self.leases(), [])

    def as_nobody(self, *arguments, check=True, **env):
        """Runs the command as a user whose only right is access to the engine."""
        for folder in (self.engine.dir, self.engine.socket):
            folder.chmod(folder.stat().st_mode | (0o005 if folder.is_dir() else 0o006))
        home = self.engine.dir / "nobody"
        home.mkdir(exist_ok=True)
        os.chown(home, NOBODY, NOBODY)
        environment = self.env | {"HOME": str(home), "XDG_RUNTIME_DIR": str(home)} | env
        environment.pop("TC_HOSTNET_RUNTIME_DIR")
        return run("setpriv", "--reuid", NOBODY, "--regid", NOBODY, "--clear-groups", self.program, *arguments,
                   env=environment, check=check)

    def run_in_image(self, *command, stdin=b"", shell=None):
        """Returns (exit code, output, error output), the latter as bytes."""
        words = [str(self.program), "run", "-p", str(self.port), "--network", "web", "--image", IMAGE, "--", *command]
        done = subprocess.run(["sh", "-c", shell, *words] if shell else words, env=self.env, input=stdin, capture_output=True,
                              timeout=120)
        return done.returncode, done.stdout, done.stderr

    def status_of(self, lease):
        return next(json.loads(line) for line in self.tc_hostnet("list", "--json").stdout.splitlines()
                    if json.loads(line)["id"] == lease.id)


class Reach:
    """Mixed into a SshCase with an engine."""

    def test_a_container_fetches_by_name_and_nothing_is_left(self):
        before = self.engine.inventory()
        hosts = self.engine.hosts("app")
        lease = self.expose_by_ssh(self.port, "--container", "app")
        self.assertEqual(lease.ready["via"], "ssh")
        self.assertEqual(lease.ready["gateway"], self.address_of(self.sidecar()))
        self.reaches("app", HELLO, port=self.port)
        code, _, err = lease.end()
        self.assertEqual((code, err), (0, ""))
        self.assertEqual(self.engine.inventory(), before)
        self.assertEqual(self.engine.hosts("app"), hosts)
        self.reaches_nothing("app", port=self.port)

    def test_a_network_by_its_dns(self):
        lease = self.expose_by_ssh(self.port, "--network", "web")
        self.container("later", network="web")
        for name in ("app", "later"):
            self.reaches(name, HELLO, port=self.port)
            self.assertFalse(self.has_alias(name))
        self.assertEqual(lease.end()[0], 0)
        self.nothing_is_left()

    def addresses(self, container, network):
        """Its IPv4 and IPv6 address on the network."""
        endpoint = self.engine.api.inspect(container)["NetworkSettings"]["Networks"][network]
        return endpoint["IPAddress"], endpoint["GlobalIPv6Address"]

    def reaches_in_both_families(self, container, network):
        """By the name, and at each of the sidecar's addresses."""
        ipv4, ipv6 = self.addresses(self.sidecar(), network)
        self.walks(container, ipv4)
        for name in (ALIAS, ipv4, f"[{ipv6}]"):
            with self.subTest(name=name):
                self.reaches(container, HELLO, port=self.port, name=name)
        return ipv4, ipv6

    def walks(self, container, address):
        """Doctor connects to that address of the name, or says that it may not; it names no fault."""
        done = self.tc_hostnet("doctor", "--container", container, "--port", self.port, env=self.env | {"COLUMNS": "200"}, check=False)
        self.assertNotIn("✗", done.stdout)
        if "doctor does not enter processes" in done.stdout:  # another user's engine
            self.assertEqual(done.returncode, 1, done.stdout)
        else:
            self.assertEqual(done.returncode, 0, done.stdout)
            self.assertIn(f"✓ connect    connected from inside to {address}:{self.port}", done.stdout)

    def test_a_network_with_ipv6(self):
        self.network("six", "--ipv6", "--subnet", "fd00:77::/64", "--subnet", "10.77.0.0/24")
        self.container("dual", network="six")
        self.container("beside", network="six")
        lease = self.expose_by_ssh(self.port, "--network", "six")
        self.reaches_in_both_families("dual", "six")
        self.assertEqual(lease.end()[0], 0)
        lease = self.expose_by_ssh(self.port, "--container", "dual")
        ipv4, ipv6 = self.reaches_in_both_families("dual", "six")
        self.assertEqual([line.split()[0] for line in self.engine.hosts("dual") if ALIAS in line], [ipv4, ipv6])
        for address in (ipv4, f"[{ipv6}]"):  # the lease is for one container in both families
            self.reaches_nothing("beside", port=self.port, name=address)
        self.assertEqual(lease.end()[0], 0)
        self.assertFalse(self.has_alias("dual"))
        users = self.as_nobody("expose", str(self.port), "--container", "dual", "--detach").stdout.strip()
        self.reaches_in_both_families("dual", "six")
        self.as_nobody("release", users)

    def test_a_neighbour_gains_nothing_by_the_sidecars_address(self):
        self.container("neighbour", network="web")
        lease = self.expose_by_ssh(self.port, "--container", "app")
        self.reaches_nothing("neighbour", port=self.port, name=lease.ready["gateway"])
        self.reaches("app", HELLO, port=self.port)
        self.assertTrue(eventually(lambda: self.status_of(lease)["tunnel"]["refused_strangers"] == 1))

    def test_two_containers_with_a_lease_each(self):
        other = free_port()
        self.service(other, "other\n")
        self.container("second", network="web")
        first = self.expose_by_ssh(self.port, "--container", "app")
        second = self.expose_by_ssh(other, "--container", "second")
        self.reaches("app", HELLO, port=self.port)
        self.reaches("second", "other\n", port=other)
        self.reaches_nothing("app", port=other, name=second.ready["gateway"])
        self.reaches_nothing("second", port=self.port, name=first.ready["gateway"])

    def test_an_unprivileged_user_goes_this_way_by_itself(self):
        lease = self.as_nobody("expose", str(self.port), "--container", "app", "--detach")
        self.addCleanup(self.as_nobody, "release", "--all")
        # One reason, in one short line.
        (told,) = [line for line in lease.stderr.splitlines() if "going by ssh instead" in line]
        self.assertRegex(told, "native: it needs CAP_NET_ADMIN.*; going by ssh instead$")
        self.assertLess(len(told), 100)
        self.assertNotIn("helper:", lease.stderr)
        self.reaches("app", HELLO, port=self.port)
        listed = json.loads(self.as_nobody("list", "--json").stdout)
        self.assertEqual((listed["id"], listed["via"]), (lease.stdout.strip(), "ssh"))
        self.assertEqual(self.as_nobody("release", lease.stdout.strip()).stdout, lease.stdout)
        self.nothing_is_left()

    def test_a_command_in_a_new_container(self):
        url = f"http://{ALIAS}:{self.port}/"
        run_it = ("run", "-p", self.port, "--network", "web", "--image", IMAGE, "--")
        done = self.tc_hostnet(*run_it, "wget", "-qO-", url)
        self.assertEqual((done.stdout, done.stderr), (HELLO, ""))
        done = self.tc_hostnet(*run_it, "sh", "-c", "echo out; echo err >&2; exit 7", check=False)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (7, "out\n", "err\n"))
        for command, code, says in (("nosuch", 127, "has no program 'nosuch'"), ("/no/such", 127, "has no program '/no/such'"),
                                    ("/etc/hosts", 126, "'/etc/hosts' cannot be run: permission denied"),
                                    ("/etc", 126, "'/etc' cannot be run: ")):
            for text in None, "input":  # Podman prepares a container with input at another moment
                done = self.tc_hostnet("--json", *run_it, command, check=False, stdin=text)
                told = json.loads(done.stderr)
                self.assertEqual((done.returncode, told["exit_code"]), (code, code), done.stderr)
                self.assertTrue(told["message"].startswith(f"image '{IMAGE}'"), told)
                self.assertIn(says, told["message"])
                self.assertTrue(told["hint"])
        done = self.tc_hostnet("run", "-p", self.port, "--image", "Bad Image", "true", check=False)
        self.assertEqual(done.returncode, 125)
        self.assertRegex(done.stderr, r"\Atc-hostnet: 'Bad Image' is not the name of an image: [^\n]+; name it as in alpine:3.19\n\Z")
        # A file or a pipe is passed on; with -i anything.
        for options, text in ((), "line\n" * 30000), ((), ""), (("-i",), None):
            done = self.tc_hostnet("run", *options, *run_it[1:], "wc", "-c", stdin=text)
            self.assertEqual(done.stdout.strip(), str(len(text or "")))
        self.assertEqual(self.engine.api.containers(), [self.engine.api.inspect("app")["Id"]])

    def test_the_streams_of_a_new_container_are_carried_byte_for_byte(self):
        odd = rb"\377\001\n\200"
        self.assertEqual(self.run_in_image("sh", "-c", f"printf '{odd.decode()}'; printf '{odd.decode()}' >&2; exit 3"),
                         (3, b"\xff\x01\n\x80", b"\xff\x01\n\x80"))
        many = bytes(range(256)) * 12000  # 3 MB, which no pipe holds
        self.assertEqual(self.run_in_image("cat", stdin=many), (0, many, b""))
        lines = "".join(f"{number}\n" for number in range(1, 50001)).encode()
        self.assertEqual(self.run_in_image("seq", "50000"), (0, lines, b""))
        # It ends while its input is open.
        process = subprocess.Popen([self.program, "run", "-p", str(self.port), "--network", "web", "--image", IMAGE, "--", "echo", "up"],
                                   env=self.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.addCleanup(process.kill)
        self.assertEqual((process.stdout.read(), process.wait(30)), (b"up\n", 0))
        process.stdin.close()
        process.stdout.close()
        # The reader goes: as with any program in a pipe.
        process = subprocess.Popen([self.program, "run", "-p", str(self.port), "--network", "web", "--image", IMAGE, "--", "yes"],
                                   env=self.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(process.kill)
        self.assertEqual(process.stdout.read(2), b"y\n")
        process.stdout.close()
        self.assertEqual((process.stderr.read(), process.wait(30)), (b"", 128 + signal.SIGPIPE))
        process.stderr.close()
        self.nothing_is_left()

    def test_a_new_container_without_some_of_the_standard_streams(self):
        script = "echo out; echo err >&2; cat; exit 7"
        for closed, seen in (("<&-", (7, b"out\n", b"err\n")), ("<&- >&-", (7, b"", b"err\n")),
                             ("<&- >&- 2>&-", (7, b"", b"")), ("2>&-", (7, b"out\nin\n", b""))):
            with self.subTest(closed=closed):
                self.assertEqual(self.run_in_image("sh", "-c", script, stdin=b"in\n", shell=f'"$0" "$@" {closed}'), seen)
        self.nothing_is_left()

    def test_a_terminal_for_a_new_container(self):
        master, slave = pty.openpty()
        self.addCleanup(os.close, master)
        self.addCleanup(os.close, slave)
        termios.tcsetwinsize(slave, (33, 101))
        before = termios.tcgetattr(slave)
        seen = b""

        def read_until(text):
            nonlocal seen
            while text not in seen:
                ready, _, _ = select.select([master], [], [], 30)
                self.assertTrue(ready, seen)
                seen += os.read(master, 4096)
        # The size comes just after the start, as with docker run.
        for stop in (None, signal.SIGTERM):
            process = subprocess.Popen([self.program, "run", "-p", str(self.port), "--network", "web", "-it", "--image", IMAGE,
                                        "--", "sh", "-c", "trap 'exit 9' TERM; until [ -n \"$(stty size 2>/dev/null)\" ]; do sleep 0.1; done; echo up; read a; stty size; read b; stty size; echo '<'$a$b'>'; exit 5"],
                                       env=self.env, stdin=slave, stdout=slave, stderr=slave, start_new_session=True)
            self.addCleanup(process.kill)
            read_until(b"up")
            if stop:  # the program reads, and ends by its signal
                process.send_signal(stop)
                os.write(master, b"\r")
                self.assertEqual(process.wait(30), 9)
            else:
                os.write(master, b"one\r")
                read_until(b"33 101")
                termios.tcsetwinsize(slave, (20, 50))
                process.send_signal(signal.SIGWINCH)
                time.sleep(0.3)
                os.write(master, b"two\r")
                read_until(b"<onetwo>")
                self.assertIn(b"20 50", seen)
                self.assertEqual(process.wait(30), 5)
            self.assertEqual(termios.tcgetattr(slave), before)
            seen = b""
        self.nothing_is_left()

    def brief_lease(self):
        """A lease for this run of a separate container, which the test may remove."""
        self.container("brief", network="web")
        lease = self.expose_by_ssh(self.port, "--container", "brief", "--once")
        self.reaches("brief", HELLO, port=self.port)
        return lease

    def ended(self, lease, reason):
        event = lease.read_event()
        self.assertEqual((event["event"], event["state"], event["reason"]), ("ended", "released", reason))
        code, _, err = lease.end(None)
        line = f"tc-hostnet expose {self.port} --container brief"
        self.assertEqual((code, err), (1, f"tc-hostnet: lease {lease.id} ended: {reason}; to expose it again: {line}\n"))
        self.nothing_is_left()

    def test_its_container_stops(self):
        """The lease ends: its address may pass to another container, which the lease does not cover."""
        lease = self.brief_lease()
        self.engine.api.kill("brief")
        self.ended(lease, "its container has stopped")

    def test_its_container_is_removed(self):
        lease = self.brief_lease()
        self.engine.api.remove("brief")
        self.ended(lease, "its container has stopped")

    def test_its_container_is_restarted(self):
        lease = self.brief_lease()
        self.engine.api.restart("brief")
        self.ended(lease, "its container has stopped")
        self.assertFalse(self.has_alias("brief"))

    def test_its_container_leaves_the_network(self):
        self.network("other")
        lease = self.brief_lease()
        self.engine.api.connect("other", "brief")
        self.addCleanup(attempt, self.engine.api.remove, "brief")  # before the network goes
        self.engine.api.disconnect("web", "brief")
        self.ended(lease, "its container has left network web")

    def test_a_killed_owner(self):
        lease = self.expose_by_ssh(self.port, "--container", "app")
        lease.end(9)
        self.reaches_nothing("app", port=self.port)  # its session ended with it
        for command in (("list",), ("status",), ("inspect", lease.id), ("release", lease.id), ("release", "--all")):
            self.assertIn(lease.id, self.tc_hostnet("--dry-run", *command).stdout)
        self.sidecar()
        self.assertTrue(self.has_alias("app"))
        self.tc_hostnet("list")
        self.nothing_is_left()


class WithoutDns:
    def test_a_network_without_dns(self):
        """A network without DNS, as all CNI networks are without the dnsname plugin."""
        self.network("plain", "--disable-dns")
        self.container("nameless", network="plain")
        hosts = self.engine.hosts("nameless")
        lease = self.expose_by_ssh(self.port, "--network", "plain")
        self.reaches("nameless", HELLO, port=self.port)
        self.assertEqual(lease.end()[0], 0)
        self.assertEqual(self.engine.hosts("nameless"), hosts)
        self.nothing_is_left()


class WhateverTheNetworks:
    """Also mixed in: cases that do not depend on the engine's networks or owner. They run on one engine per API."""

    def test_another_port_number_in_the_container(self):
        self.expose_by_ssh(f"{self.port}:15432", "--container", "app")
        self.reaches("app", HELLO, port=15432)

    def test_a_service_that_starts_later(self):
        late = free_port()
        self.expose_by_ssh(self.port, late, "--container", "app")
        self.assertIsNone(self.engine.fetch("app", f"http://{ALIAS}:{late}/", timeout=5))
        self.reaches("app", HELLO, port=self.port)
        self.service(late, "late\n")
        self.reaches("app", "late\n", port=late)

    def settle(self):
        """Podman's name server stops answering (aardvark-dns 1.4, four runs of eight) when a network's names go and come
        within a second."""
        if isinstance(self.engine, engines.Podman):
            time.sleep(1)

    def test_a_second_lease_takes_nothing_from_the_first(self):
        """A container resolves the name to one address. The line that the refusal shows exposes both ports, and nothing is
        said of the second one's service, which is not there."""
        other = free_port()
        # The conflict is found before an image is pulled or a sidecar is made.
        no_image = {"TESTCONTAINERS_SSHD_CONTAINER_IMAGE": "127.0.0.1:9/not/here:1"}
        network, container = ("--network", "web"), ("--container", "app")
        for first, via, second, then in ((network, "ssh", container, "ssh"), (container, "ssh", network, "ssh"),
                                         (container, "ssh", container, "native"), (network, "ssh", container, "native"),
                                         (network, "ssh", network, "native"), (container, "native", network, "ssh"),
                                         (container, "native", container, "ssh"),
                                         (network, "native", network, "ssh"), (network, "native", container, "ssh"),
                                         (container, "relay", container, "native"), (container, "relay", network, "ssh"),
                                         (container, "native", container, "relay"),
                                         (network, "native", container, "relay")):
            with self.subTest(first=(via, first), second=(then, second)):
                self.settle()
                lease = self.expose("--via", via, self.port, *first)
                done = self.tc_hostnet("expose", "--via", then, other, *second, check=False, env=self.env | no_image)
                self.assertEqual(done.returncode, 8, done.stderr)
                self.assertIn("already defined", done.stderr)
                self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
                target = " ".join(network if network in (first, second) else container)
                self.assertIn(f"have one lease for both: tc-hostnet release {lease.id} && tc-hostnet expose "
                              f"{min(self.port, other)} {max(self.port, other)} {target}", done.stderr)
                self.assertEqual(len(self.sidecars()), 1 if via == "ssh" else 0)
                self.reaches("app", HELLO, port=self.port)
                self.assertEqual(lease.end()[0], 0)
                self.nothing_is_left()
        # A user cannot release root's lease, nor read its ports unless a sidecar's label tells them.
        for via, line in (("native", "release that lease first (sudo tc-hostnet release {}), then name its ports"),
                          ("ssh", "have one lease for both: sudo tc-hostnet release {} && tc-hostnet expose ")):
            with self.subTest(root=via):
                self.settle()
                lease = self.expose("--via", via, self.port, *container)
                done = self.as_nobody("expose", str(other), *container, check=False)
                self.assertEqual(done.returncode, 8, done.stderr)
                self.assertIn("that lease is another user's; " + line.format(lease.id), done.stderr)
                self.assertEqual(lease.end()[0], 0)

    def start(self, *arguments):
        process = subprocess.Popen([self.program, "--json", "expose", *map(str, arguments)], env=self.env,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(process.wait, 10)
        self.addCleanup(process.kill)
        return process

    def test_of_two_leases_that_start_at_once_one_stays(self):
        other = free_port()
        self.service(other, "other\n")
        for via in ("ssh", "ssh"), ("native", "ssh"):
            for target in ("--container", "app"), ("--network", "web"):
                with self.subTest(via=via, target=target):
                    self.settle()
                    both = [self.start("--via", way, port, *target) for way, port in zip(via, (self.port, other))]
                    lines = [process.stdout.readline() for process in both]
                    self.assertEqual(sum(bool(line) for line in lines), 1, lines)
                    winner, loser = (both if lines[0] else both[::-1])
                    self.assertEqual(loser.wait(20), 8)
                    said = loser.stderr.read()
                    self.assertIn("already defined", said)
                    self.assertIn(json.loads(lines[both.index(winner)])["lease"], said)
                    port, text = ((self.port, HELLO), (other, "other\n"))[both.index(winner)]
                    self.reaches("app", text, port=port)
                    self.assertLessEqual(len(self.sidecars()), 1)
                    winner.terminate()
                    self.assertEqual(winner.wait(20), 0)
                    for process in both:
                        process.stdout.close()
                        process.stderr.close()
                    self.nothing_is_left()

    def test_a_killed_lease_is_in_nobodys_way(self):
        for via, then in (("ssh", "ssh"), ("native", "ssh"), ("ssh", "native")):
            with self.subTest(first=via, second=then):
                self.settle()
                self.expose("--via", via, self.port, "--container", "app").end(9)
                second = self.expose("--via", then, self.port, "--container", "app")
                self.reaches("app", HELLO, port=self.port)
                self.assertEqual(second.end()[0], 0)
                self.nothing_is_left()
        self.settle()
        self.expose_by_ssh(self.port, "--container", "app").end(9)
        self.addCleanup(self.as_nobody, "release", "--all")
        self.as_nobody("expose", str(self.port), "--container", "app", "--detach")
        self.reaches("app", HELLO, port=self.port)
        self.assertEqual(len(self.sidecars()), 1)
        self.as_nobody("release", "--all")

    def test_a_release_finds_a_lease_whose_target_goes(self):
        for via in ("native", "ssh"):
            for wait in (0, 0.05, 0.3):
                with self.subTest(via=via, wait=wait):
                    self.settle()
                    self.container("brief", network="web")
                    lease = self.expose("--via", via, self.port, "--container", "brief")
                    gone = threading.Thread(target=self.engine.api.remove, args=("brief",))
                    gone.start()
                    time.sleep(wait)
                    self.tc_hostnet("release", "--all")
                    gone.join()
                    code, out, err = lease.end(None, timeout=10)
                    self.assertEqual(code, 0, err)
                    self.assertEqual(json.loads(out.splitlines()[-1])["event"], "ended")
        self.nothing_is_left()

    def test_it_follows_its_container(self):
        """Restarted, made anew by the same name, and away: then it is listed, and can be released."""
        self.container("brief", network="web")
        lease = self.expose_by_ssh(self.port, "--container", "brief")
        self.engine.api.restart("brief")
        lease.follows(self, time.monotonic(), within=15)  # a new sidecar
        self.reaches("brief", HELLO, port=self.port)
        for _ in range(2):
            self.engine.api.remove("brief")
            self.assertEqual(lease.read_event()["event"], "waiting")
            self.assertEqual(self.sidecars(), [])
            (listed,) = self.leases()
            self.assertEqual((listed["id"], listed["via"], listed["state"]), (lease.id, "ssh", "waiting"))
            if _ == 0:
                self.engine.api.run("brief", IMAGE, ("sleep", "600"), network="web")
                lease.follows(self, time.monotonic(), within=15)  # a new sidecar
                self.reaches("brief", HELLO, port=self.port)
        self.tc_hostnet("release", lease.id)
        self.assertEqual(lease.read_event()["reason"], "released by another process")
        self.assertEqual(lease.end(None)[0], 0)
        self.nothing_is_left()

    def test_a_compose_project(self):
        """Found by its label, and followed when it is made anew under the same name."""
        label = "io.podman.compose.project" if isinstance(self.engine, engines.Podman) else "com.docker.compose.project"

        def up():
            self.network("shop_default", "--label", f"{label}=shop")
            self.container("shop-api-1", network="shop_default", labels={label: "shop"})

        self.refused(6, "there is no compose project 'shop'", self.port, "--project", "shop")
        up()
        self.refused(6, "there is only 'shop'; did you mean 'shop'?", self.port, "--project", "shpo")
        lease = self.expose("--via", "native", self.port, "--project", "shop")
        self.assertEqual((lease.ready["target"], lease.ready["via"]), ("network shop_default", "native"))
        self.reaches("shop-api-1", HELLO, port=self.port)
        self.engine.api.remove("shop-api-1")
        self.engine.api.remove_network("shop_default")
        self.assertEqual(lease.read_event()["event"], "waiting")
        up()  # Podman answers no question while it starts a container
        lease.follows(self, time.monotonic())
        self.assertTrue(eventually(lambda: self.has_alias("shop-api-1"), timeout=10))
        self.reaches("shop-api-1", HELLO, port=self.port)
        # A network that the project gets later is served, too.
        self.network("shop_back", "--label", f"{label}=shop")
        self.container("shop-db-1", network="shop_back", labels={label: "shop"})
        later = lease.read_event()
        self.assertEqual((later["event"], later["target"]), ("ready", "network shop_back"))
        self.assertTrue(eventually(lambda: self.has_alias("shop-db-1"), timeout=10))
        self.reaches("shop-db-1", HELLO, port=self.port)
        code, _, err = lease.end()
        self.assertEqual(code, 0)
        self.engine.api.remove("shop-db-1")
        self.engine.api.remove_network("shop_back")
        self.assertNotIn(f"lease {lease.id}", err)  # told once, by the event
        # A sidecar keeps its network: `compose down` leaves it, and `up` takes it again.
        lease = self.expose_by_ssh(self.port, "--project", "shop")
        self.engine.api.remove("shop-api-1")
        self.container("shop-api-1", network="shop_default", labels={label: "shop"})
        self.reaches("shop-api-1", HELLO, port=self.port)
        self.assertEqual(lease.end()[0], 0)
        self.nothing_is_left()

    def names_in(self, container):
        return sum(ALIAS in line for line in self.engine.hosts(container))

    def test_the_networks_of_a_compose_project(self):
        """A container may be on two of them, with a lease each: both serve it, and neither is in the way of the other. One
        that cannot be served keeps no other from it."""
        label = "io.podman.compose.project" if isinstance(self.engine, engines.Podman) else "com.docker.compose.project"
        run("ip", "link", "add", "lan0", "type", "veth", "peer", "name", "lan1")
        self.addCleanup(run, "ip", "link", "delete", "lan0")
        self.network("shop_lan", "--driver", "macvlan", "--subnet", "10.96.0.0/24", "--opt", "parent=lan0",
                     "--label", f"{label}=shop")
        project = (self.port, "--project", "shop")
        alone = self.refused(3, "network shop_lan has driver 'macvlan'", *project)
        self.assertNotIn("no network of compose project", alone)
        for name in ("shop_back", "shop_front"):
            self.network(name, "--label", f"{label}=shop")
        self.container("api", network="shop_back")
        self.container("page", network="shop_front")

        # Joins the second network while it runs, and leaves it again.
        lease = self.expose("--via", "native", *project)
        self.assertEqual(lease.read_event()["event"], "ready")
        self.assertEqual(self.names_in("api"), 1)
        for change, names in ((self.engine.api.connect, 2), (self.engine.api.disconnect, 1), (self.engine.api.connect, 2)):
            change("shop_front", "api")
            self.assertTrue(eventually(lambda names=names: self.names_in("api") == names, timeout=10))
            self.reaches("api", HELLO, port=self.port)
        code, _, err = lease.end()
        self.assertEqual((code, err.count("\n")), (0, 1), err)
        self.assertIn("network shop_lan of compose project shop is not served: ", err)
        self.assertEqual(self.names_in("api"), 0)

        for via in ("native", "ssh"):
            with self.subTest(via=via):
                self.settle()
                lease = self.expose("--via", via, *project)
                self.assertEqual(lease.read_event()["event"], "ready")
                for name in ("api", "page"):
                    self.reaches(name, HELLO, port=self.port)
                walk = self.tc_hostnet("doctor", "--container", "api", "--port", self.port).stdout
                self.assertIn("the way is open", walk)
                code, _, err = lease.end()
                self.assertEqual((code, err.count("\n")), (0, 1), err)
        plans = self.tc_hostnet("expose", *project, "--dry-run")
        self.assertIn("network shop_lan of compose project shop is not served: ", plans.stderr)
        # A line for each reason, if none can be served.
        self.engine.api.disconnect("shop_front", "api")
        for name in ("api", "page"):
            self.engine.api.remove(name)
        for name in ("shop_back", "shop_front"):
            self.engine.api.remove_network(name)
        self.network("shop_low", "--driver", "macvlan", "--subnet", "10.95.0.0/24", "--opt", "parent=lan1",
                     "--label", f"{label}=shop")
        told = self.refused(3, "no network of compose project shop can be served: shop_lan: ", *project, "--via", "ssh")
        self.assertIn("; shop_low: ", told)
        self.assertEqual(told.count("\n"), 1, told)
        self.nothing_is_left()

    def test_it_follows_the_containers_of_a_network(self):
        """On the default bridge, whose containers have the name in their hosts files."""
        self.container("plain")
        lease = self.expose_by_ssh(self.port, "--network", self.engine.default_network)
        self.engine.api.restart("plain")
        self.container("later")
        for name in ("plain", "later"):
            self.assertTrue(eventually(lambda name=name: self.has_alias(name), timeout=10))
            # The name of before a restart may be there for a moment longer.
            self.assertTrue(eventually(lambda name=name: self.engine.fetch(name, f"http://{ALIAS}:{self.port}/") == HELLO, 20))
        self.engine.api.connect("web", "plain")
        for change, expected in ((self.engine.api.disconnect, False), (self.engine.api.connect, True)):
            change(self.engine.default_network, "plain")
            self.assertTrue(eventually(lambda expected=expected: self.has_alias("plain") == expected, timeout=10))
        self.assertTrue(eventually(lambda: self.engine.fetch("plain", f"http://{ALIAS}:{self.port}/") == HELLO, 20))
        self.assertEqual(lease.end()[0], 0)
        for name in ("plain", "later"):
            self.assertFalse(self.has_alias(name))

    def test_an_entry_made_with_the_container_is_told(self):
        """The entry hides the network's DNS from that container; the others are served."""
        self.container("own", network="web", hosts=[f"{ALIAS}:host-gateway"])
        lease = self.expose_by_ssh(self.port, "--network", "web")
        self.reaches("app", HELLO, port=self.port)
        self.assertIn("container own does not reach these ports", lease.process.stderr.readline())
        self.container("late", network="web", hosts=[f"{ALIAS}:host-gateway"])
        self.assertIn("container late does not reach these ports", lease.process.stderr.readline())
        code, _, err = lease.end()
        self.assertEqual((code, err), (0, ""))

    def test_a_dry_run_of_a_new_container_makes_none(self):
        before = self.engine.api.containers(), self.engine.api.images()
        run_it = ("--dry-run", "run", "-p", f"{self.port}:80", "--network", "web", "--image", IMAGE, "--", "echo", "ran")
        shown = self.tc_hostnet(*run_it)
        self.assertEqual(shown.stderr, "")
        self.assertEqual([line for line in shown.stdout.splitlines() if not line.startswith("# ")], [])
        self.assertIn(f"forward its port 80 to 127.0.0.1:{self.port}, for the command's container alone", shown.stdout)
        self.assertIn(f"create and start a container from {IMAGE} on network web, and run echo ran", shown.stdout)
        planned = json.loads(self.tc_hostnet("--json", *run_it).stdout)
        self.assertEqual((planned["via"], planned["network"], planned["run"]),
                         ("ssh", "web", {"image": IMAGE, "command": ["echo", "ran"]}))
        refused = self.tc_hostnet("--dry-run", "run", "-p", "22", "--image", IMAGE, check=False)
        self.assertEqual((refused.returncode, refused.stdout), (125, ""))
        self.assertIn("SSH port is reserved", refused.stderr)
        explained = self.tc_hostnet("--explain", *run_it)
        self.assertEqual(explained.stderr, "ssh: as asked for\n")
        self.assertEqual((self.engine.api.containers(), self.engine.api.images()), before)
        self.nothing_is_left()

    def test_a_new_container_whose_log_cannot_be_read(self):
        with self.engine.with_log_driver("none"):
            self.assertEqual(self.run_in_image("sh", "-c", "echo out; echo err >&2; cat; exit 7", stdin=b"in\n"),
                             (7, b"out\nin\n", b"err\n"))

    def begin(self, *arguments):
        """Starts the command; returns once it holds back the signals that end it, as it does while it sets up."""
        process = subprocess.Popen([str(self.program), *map(str, arguments)], env=self.env, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(process.wait, 10)
        self.addCleanup(process.kill)

        def blocks():
            status = Path(f"/proc/{process.pid}/status").read_text()
            return int(status.split("SigBlk:")[1].split()[0], 16) >> (signal.SIGTERM - 1) & 1
        self.assertTrue(eventually(blocks))
        return process

    def stopped(self, process, number=signal.SIGTERM, within=5):
        """The signal ends it soon, with a shell's exit code and one line."""
        begun = time.monotonic()
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
        self.assertEqual((process.returncode, out), (128 + number, ""), err)
        self.assertEqual(err.splitlines()[-1:], [f"tc-hostnet: stopped by {number.name} before the ports were ready"])
        self.assertLess(time.monotonic() - begun, within)

    def test_a_signal_stops_the_set_up(self):
        set_up = (("expose", self.port, "--container", "app", "--via", "ssh"), ("expose", self.port, "--network", "web"),
                  ("expose", self.port, "--container", "app", "--via", "ssh", "--detach"),
                  ("run", "-p", self.port, "--network", "web", "--image", IMAGE, "true"))
        with self.engine.hung():
            for arguments, number in zip(set_up, (signal.SIGTERM, signal.SIGINT, signal.SIGTERM, signal.SIGHUP)):
                with self.subTest(arguments=arguments):
                    self.stopped(self.begin(*arguments), number)
            # The parent is killed: the child must not go on alone.
            process = self.begin(*set_up[2])
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
            self.assertTrue(eventually(children.read_text))
            child = children.read_text().strip()
            process.kill()
            self.assertTrue(eventually(lambda: not Path(f"/proc/{child}").exists(), timeout=10))
            process.communicate()
        self.nothing_is_left()
        # A registry that does not answer.
        with socket.socket() as registry:
            registry.bind(("127.0.0.1", 0))
            registry.listen()
            name = f"127.0.0.1:{registry.getsockname()[1]}/x:1"
            process = self.begin("run", "-p", self.port, "--network", "web", "--image", name, "true")
            pull = registry.accept()[0]
            self.addCleanup(pull.close)
            self.stopped(process, signal.SIGINT)
        self.nothing_is_left()

    def test_the_end_of_a_lease_whose_engine_hangs(self):
        lease = self.expose_by_ssh(self.port, "--container", "app")
        begun = time.monotonic()
        with self.engine.hung():
            code, _, err = lease.end()
            self.assertLess(time.monotonic() - begun, 15)
        *slow, told = err.splitlines()
        for line in slow:  # if the engine hangs in a question, and not in the removal
            self.assertIn("has not answered for 3 s", line)
        self.assertRegex(told, rf"\Atc-hostnet: lease {lease.id}: its sidecar tc-hostnet-{lease.id} is left: [^;]+; run tc-hostnet list: it")
        self.assertEqual(code, 1)
        self.tc_hostnet("list")
        self.nothing_is_left()

    def test_a_signal_goes_on_to_the_new_container(self):
        process = subprocess.Popen([self.program, "run", "-p", str(self.port), "--network", "web", "--image", IMAGE, "--",
                                    "sh", "-c", "trap 'exit 9' TERM; echo ready; while :; do sleep 0.1; done"],
                                   env=self.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        self.assertEqual(process.stdout.readline(), "ready\n")
        sidecar = self.address_of(self.sidecar())
        self.reaches_nothing("app", port=self.port, name=sidecar)
        process.terminate()
        self.assertEqual(process.wait(20), 9)
        process.stdout.close()
        self.nothing_is_left()

    def test_a_service_on_the_ipv6_loopback_alone(self):
        service = Service(free_port(), HELLO, address="::1")
        self.addCleanup(service.close)
        for via in ("ssh", "relay"):
            with self.subTest(via=via):
                lease = self.expose("--via", via, service.port, "--container", "app", "--require-listener")
                self.assertEqual(lease.ready["ports"][0]["found"], "::1")
                self.reaches("app", HELLO, port=service.port)
                code, _, err = lease.end()
                self.assertEqual((code, err), (0, ""))
        told = self.tc_hostnet("expose", "--via", "ssh", service.port, "--container", "app", "--detach").stderr
        self.assertIn(f") → [::1]:{service.port}, for container app", told)
        self.tc_hostnet("release", "--all")
        # Native reaches 127.0.0.1 alone, and leaves such a service to ssh.
        for target in (("--container", "app"), ("--network", "web")):
            lease = self.expose(service.port, *target)
            self.reaches("app", HELLO, port=service.port)
            self.assertIn(f"only on [::1]:{service.port}, which this path does not reach; going by ssh instead", lease.end()[2])
        plan = json.loads(self.tc_hostnet("--json", "expose", service.port, "--container", "app", "--dry-run").stdout)
        self.assertEqual(plan["via"], "ssh")
        self.refused(3, f"only on [::1]:{service.port}", service.port, "--via", "native", "--container", "app")

    def test_another_address_of_the_loopback(self):
        """The service on 127.0.0.2 is reached, and not the one with the same port on 127.0.0.1."""
        port = free_ports(2)
        self.service(port, "one\n")
        self.service(port, "two\n", address="127.0.0.2")
        self.service(port + 1, "three\n", address="127.0.0.2")
        named = f"127.0.0.2:{port}:8080"
        for via in ("native", "ssh"):
            lease = self.expose(named, "--via", via, "--container", "app", "--require-listener")
            self.reaches("app", "two\n", port=8080)
            code, _, err = lease.end()
            self.assertEqual((code, "nothing listens" in err), (0, False), err)
        lease = self.as_nobody("expose", f"127.0.0.2:{port}-{port + 1}:8080-8081", "--container", "app", "--detach")
        self.addCleanup(self.as_nobody, "release", "--all")
        self.reaches("app", "two\n", port=8080)
        self.reaches("app", "three\n", port=8081)
        listed = json.loads(self.as_nobody("list", "--json").stdout)
        self.assertEqual([(one["address"], one["host"]) for one in listed["ports"]],
                         [("127.0.0.2", port), ("127.0.0.2", port + 1)])
        self.as_nobody("release", lease.stdout.strip())
        done = self.tc_hostnet("run", "-p", named, "--network", "web", "--image", IMAGE, "--", "wget", "-qO-",
                               f"http://{ALIAS}:8080/")
        self.assertEqual(done.stdout, "two\n")
        self.nothing_is_left()

    def test_what_listens_elsewhere_is_named_with_the_line_to_type(self):
        port = free_ports(1)
        self.service(port, HELLO, address="127.0.0.2")
        for via in ("native", "ssh"):
            told = self.refused(7, f"only on 127.0.0.2:{port}", port, "--via", via, "--container", "app", "--require-listener")
            line = f"tc-hostnet expose 127.0.0.2:{port} --container app"
            self.assertIn(f"to expose 127.0.0.2:{port}: {line}; or start the service", told)
        doctor = self.tc_hostnet("doctor", port, "--container", "app", check=False).stdout
        self.assertIn(line, doctor)
        self.expose(*line.split()[2:])
        self.reaches("app", HELLO, port=port)
        walk = self.tc_hostnet("doctor", "--container", "app", "--port", port).stdout
        self.assertIn(f"listens on 127.0.0.2:{port}", walk)

    def test_the_ipv6_loopback_by_its_address(self):
        """[::1] alone is dialled, also if there is a service on 127.0.0.1; native leaves it to ssh."""
        service = Service(free_port(), HELLO, address="::1")
        self.addCleanup(service.close)
        self.service(service.port, "not this one\n")
        lease = self.expose(f"[::1]:{service.port}", "--container", "app", "--require-listener")
        self.reaches("app", HELLO, port=service.port)
        self.assertIn("the native path leads to IPv4 only", lease.end()[2])

    def test_a_socket_bound_to_device_lo(self):
        """As systemd-resolved's on 127.0.0.53: a packet that comes in by a bridge does not reach it, a connection from
        this host does."""
        port = free_port()
        service = self.service(port, HELLO, address="127.0.0.53")
        service.server.socket.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo")
        lease = self.expose(f"127.0.0.53:{port}:5353", "--container", "app", "--require-listener")
        self.reaches("app", HELLO, port=5353)
        self.assertIn(f"only on 127.0.0.53%lo:{port}, which this path does not reach; going by ssh instead", lease.end()[2])
        doctor = self.tc_hostnet("doctor", f"127.0.0.53:{port}", "--container", "app", check=False).stdout
        self.assertIn(f"tc-hostnet expose 127.0.0.53:{port} --container app --via ssh", doctor)

    def test_a_range_of_ports(self):
        first = free_ports(40)
        self.service(first, "first\n")
        self.service(first + 39, "last\n")
        for via in ("native", "ssh"):
            lease = self.expose(f"{first}-{first + 39}:9000-9039", "--via", via, "--container", "app")
            self.reaches("app", "first\n", port=9000)
            self.reaches("app", "last\n", port=9039)
            code, _, err = lease.end()
            self.assertEqual(code, 0)
            self.assertEqual(err.count("exposing the port anyway"), 4, err)
            self.assertIn("nothing listens on 34 more of the 40 ports", err)

    def test_an_unknown_name_is_answered_with_those_that_there_are(self):
        self.container("apollo", network="web", command=("true",))
        self.engine.api.wait("apollo")
        for via in ("native", "ssh"):
            with self.subTest(via=via):
                said = self.refused(6, "there is no container 'ap'; running: 'app'", self.port, "--via", via, "--container", "ap")
                self.assertIn("; not running: 'apollo'", said)
                self.assertNotIn("tc-hostnet-", said)
                said = self.refused(6, "there is no network 'wbe'; there are 'web'", self.port, "--via", via, "--network", "wbe")
                self.assertIn("did you mean 'web'?", said)
                self.refused(6, "a network of that name; name the network: --network web", self.port, "--via", via,
                             "--container", "web")
                self.refused(6, "a container of that name; name the container: --container app", self.port, "--via", via,
                             "--network", "app")
                # The next step is one of the engine's own command.
                command = "podman" if isinstance(self.engine, engines.Podman) else "docker"
                self.refused(6, f"see them: {command} network ls", self.port, "--via", via, "--network", "zzzzzz")
                self.refused(6, f"see them: {command} ps -a", self.port, "--via", via, "--container", "zzzzzz")
                self.refused(6, f"start it: {command} start apollo", self.port, "--via", via, "--container", "apollo")

    def test_a_label_that_names_no_lease_serves_no_network(self):
        """A user's container with one of a sidecar's two labels."""
        network = self.engine.api.network("web")["Id"]
        self.container("trick", network="web", labels={"io.github.tchostnet.alias-network": network})
        self.expose_by_ssh(self.port, "--network", "web")
        self.reaches("app", HELLO, port=self.port)

    def test_released_by_another_process(self):
        lease = self.expose_by_ssh(self.port, "--container", "app")
        self.tc_hostnet("release", lease.id)
        ended = lease.read_event()
        self.assertEqual((ended["event"], ended["state"]), ("ended", "released"))
        self.assertEqual(lease.end(None)[0], 0)
        self.nothing_is_left()

    def test_its_time_is_up(self):
        lease = self.expose_by_ssh(self.port, "--container", "app", "--timeout", "2s")
        self.assertEqual(lease.read_event()["state"], "released")
        self.assertEqual(lease.end(None)[0], 0)
        self.nothing_is_left()
