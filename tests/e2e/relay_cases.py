"""Shared by the tests of the relay path on all engines: a socket in the container's own network namespace."""
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

from harness import ALIAS, IMAGE, Lease, eventually, run
from ssh_cases import HELLO, LEASE_LABEL, NOBODY, UnixService, free_port

INSIDE = "127.0.0.77"
# No word but that the engine is slow, as on a busy machine.
QUIET = r"\A(tc-hostnet: warning: the engine at \S+ has not answered for 3 s; waiting up to \d+ s more\n)?\Z"


NO_IMAGE = {"TESTCONTAINERS_SSHD_CONTAINER_IMAGE": "127.0.0.1:1/no/sshd:1"}


EVERYWHERE = ((), ("--network", "none"))


class Watching(Lease):
    schema = "watch"


class ByRelay:
    """Mixed into a HostCase with an engine; the lease's owner is whoever may enter the engine's containers."""

    # The networks on which a new container's first instruction reaches the ports; () is the default one.
    first_instruction_by_relay = ()

    def of_owner(self, *arguments):
        """The command line, and its environment."""
        return [self.program, *map(str, arguments)], self.env

    def command_of_owner(self, *arguments, check=True):
        argv, env = self.of_owner(*arguments)
        return run(*argv, env=env, check=check)

    def by_relay(self, *arguments):
        argv, env = self.of_owner("--json", "expose", "--via", "relay", *arguments)
        lease = Lease(argv, env)
        self.addCleanup(lease.close)
        self.assertEqual((lease.ready["event"], lease.ready["via"], lease.ready["gateway"]), ("ready", "relay", INSIDE))
        return lease

    def at_gateway(self, *arguments):
        argv, env = self.of_owner("--json", "expose", "--via", "relay", *arguments)
        lease = Lease(argv, env)
        self.addCleanup(lease.close)
        self.assertEqual((lease.ready["event"], lease.ready["via"]), ("ready", "relay"))
        return lease

    def relay_of(self, lease):
        return json.loads(self.command_of_owner("--json", "inspect", lease.id).stdout)["relay"]

    def refused_by_relay(self, code, words, *arguments):
        done = self.command_of_owner("expose", "--via", "relay", *arguments, check=False)
        self.assertEqual((done.returncode, done.stdout), (code, ""), done.stderr)
        self.assertIn(words, done.stderr)
        return done.stderr

    def serve_hello(self):
        port = free_port()
        return port, self.service(port, HELLO)

    def reaches_inside(self, container, port, text=HELLO):
        """By address: without any network but lo, some C libraries look no name up."""
        self.assertEqual(self.engine.fetch(container, f"http://{INSIDE}:{port}/"), text)

    def refuses_inside(self, container, port):
        """Whether a connect is refused, not accepted and reset."""
        done = self.engine.inside(container, "timeout", "5", "wget", "-qO-", f"http://{INSIDE}:{port}/")
        return "Connection refused" in done.stderr

    def rules_inside(self, container):
        pid = str(self.engine.api.inspect(container)["State"]["Pid"])
        return run("nsenter", "--target", pid, "--net", "nft", "--stateless", "list", "ruleset").stdout

    def the_doctor_sees(self, lease, container, port, unseen=("connect", "not")):
        """A user who must enter another user namespace cannot try to connect; nothing else is unknown, unless it is the
        host's firewall."""
        walk = self.command_of_owner("doctor", "--container", container, "--port", port, check=False).stdout
        self.assertIn(f"lease {lease.id} (relay) leads", walk)
        self.assertNotIn("✗", walk)
        if lease.ready["gateway"] == INSIDE:
            self.assertIn(f" at {INSIDE}:", walk)
        self.assertLessEqual(set(re.findall(r"\? (\w+) ", walk)), set() if "✓ connect" in walk else set(unseen))

    networks_by_relay = ("bridge", "internal", "none", "shared")

    def container_on(self, kind):
        """Returns its name."""
        name = f"app-{kind}"
        if kind == "bridge":
            self.container(name, network=self.network("relayed"))
        elif kind == "internal":
            self.container(name, network=self.network("inner", "--internal"))
        elif kind == "shared":
            self.container(name, network=f"container:{self.container('sharing')}")
        elif kind == "macvlan":
            run("ip", "link", "add", "under0", "type", "veth", "peer", "name", "under1")
            self.addCleanup(run, "ip", "link", "del", "under0")
            run("ip", "link", "set", "under0", "up")
            self.container(name, network=self.network("apart", "--driver", "macvlan", "--subnet", "10.97.0.0/24",
                                                      "--opt", "parent=under0"))
        elif kind == "default":
            self.container_by_command(name)
        elif kind == "keep-id":  # its network namespace is not its own user namespace's
            self.container_by_command(name, "--userns", "keep-id", "--network", self.network("kept"))
        elif kind == "mapped":  # into a user namespace, though by root's engine
            self.container_by_command(name, "--uidmap", "0:100000:65536", "--network", self.network("mapped"))
        else:
            self.container(name, network=kind)
        return name

    def test_by_relay_containers_on_any_network_fetch_by_name_and_nothing_is_left(self):
        port, _ = self.serve_hello()
        for kind in self.networks_by_relay:
            with self.subTest(kind=kind):
                app = self.container_on(kind)
                hosts, before = self.engine.hosts(app), self.engine.inventory()
                lease = self.by_relay(port, "--container", app)
                if kind == "none":
                    self.reaches_inside(app, port)
                    self.the_doctor_sees(lease, app, port)
                else:
                    self.reaches(app, HELLO, port=port)
                self.assertEqual(self.engine.inventory(), before)  # no sidecar, no image
                listed = [json.loads(line) for line in self.command_of_owner("list", "--json").stdout.splitlines()]
                (one,) = [one for one in listed if one["id"] == lease.id]
                self.assertEqual((one["via"], one["gateway"]), ("relay", INSIDE))
                self.assertNotEqual(one["relay"]["listens"], [f"{INSIDE}:{port}"])  # the container has it for itself
                code, _, said = lease.end()
                self.assertEqual((code, said), (0, ""))
                self.assertEqual(self.engine.hosts(app), hosts)
                self.assertTrue(self.refuses_inside(app, port))

    def test_by_relay_what_no_other_path_serves_goes_unasked(self):
        port, _ = self.serve_hello()
        taker = self.container_on("none")
        argv, env = self.of_owner("--json", "expose", port, "--container", taker)
        lease = Lease(argv, env)
        self.addCleanup(lease.close)
        self.assertEqual(lease.ready["via"], "relay")
        self.reaches_inside(taker, port)
        code, _, said = lease.end()
        self.assertEqual(code, 0)
        self.assertIn("going by relay instead", said)

    def told_of_relay(self, *arguments, **env):
        """What a lease by relay says on its way, from a request that names no path or several."""
        argv, environment = self.of_owner("--json", "expose", *arguments)
        lease = Lease(argv, environment | env)
        self.addCleanup(lease.close)
        self.assertEqual(lease.ready["via"], "relay")
        code, _, said = lease.end()
        self.assertEqual(code, 0, said)
        return said

    def test_by_relay_in_the_order_that_the_user_gives(self):
        port, _ = self.serve_hello()
        self.container("taker", network=self.network("relayed"))
        ask = (port, "--container", "taker")
        self.assertRegex(self.told_of_relay(*ask, "--via", "relay,ssh"), QUIET)
        self.assertRegex(self.told_of_relay(*ask, TC_HOSTNET_VIA="relay,native"), QUIET)
        with tempfile.NamedTemporaryFile("w", dir=self.engine.dir) as config:
            config.write('[expose]\nvia = ["relay", "ssh"]\n')
            config.flush()
            os.fchmod(config.fileno(), 0o644)
            argv, env = self.of_owner("--config", config.name, "--json", "--dry-run", "expose", *ask)
            self.assertEqual(json.loads(run(*argv, env=env).stdout)["via"], "relay")
        plan = self.command_of_owner("--json", "--dry-run", "expose", port, "--network", "relayed", "--via", "relay,ssh")
        self.assertEqual(json.loads(plan.stdout)["via"], "relay")
        self.assertEqual(json.loads(self.command_of_owner("--json", "--dry-run", "expose", *ask, "--via",
                                                          "ssh,relay").stdout)["via"], "ssh")

    def test_by_relay_where_the_sidecars_image_is_missing(self):
        port = free_port()
        self.service(port, HELLO, address="::1")
        self.container("taker", network=self.network("relayed"))
        for ask in ((f"[::1]:{port}", "--container", "taker"), (port, "--container", "taker", "--via", "ssh,relay")):
            said = self.told_of_relay(*ask, **NO_IMAGE)
            self.assertIn("cannot be pulled", said)
            self.assertIn("going by relay instead", said)
        # One that is asked for alone is not replaced.
        argv, env = self.of_owner("expose", port, "--container", "taker", "--via", "ssh")
        alone = run(*argv, env=env | NO_IMAGE, check=False)
        self.assertEqual(alone.returncode, 6, alone.stderr)

    def test_by_relay_a_lease_shows_what_it_carries(self):
        port, _ = self.serve_hello()
        self.container("taker")
        lease = self.by_relay(f"{port}:8600", "--container", "taker", "--label", "shown")
        self.reaches("taker", HELLO, port=8600)

        def shown():
            relay = json.loads(self.command_of_owner("--json", "inspect", lease.id).stdout)["relay"]
            return relay if relay["connections"] == 1 and relay["connections_open"] == 0 else None
        relay = eventually(shown)
        self.assertEqual((relay["state"], relay["reason"], relay["refused_unserved"]), ("up", "", 0))
        self.assertGreater(relay["bytes_to_host"], 20)
        self.assertGreater(relay["bytes_from_host"], len(HELLO))
        (listed,) = [one for one in map(json.loads, self.command_of_owner("list", "--json").stdout.splitlines())
                     if one["id"] == lease.id]
        self.assertEqual((listed["via"], listed["target"], listed["label"]), ("relay", "container taker", "shown"))
        status = json.loads(self.command_of_owner("--json", "status").stdout)
        self.assertIn(lease.id, [one["id"] for one in status["tunnels"]])
        for words in ("status", "list"):
            self.assertIn(lease.id, self.command_of_owner(words).stdout)
        self.assertIn("0 connections open of 1", self.command_of_owner("inspect", lease.id).stdout)
        released = self.command_of_owner("--json", "release", lease.id)
        self.assertIn(lease.id, released.stdout)
        self.assertEqual(lease.process.wait(20), 0)

    def test_by_relay_the_containers_own_use_of_the_port(self):
        """Both have the port, whoever comes first, and neither is shadowed in silence."""
        port = free_port()
        self.container("taker")
        rules = self.rules_inside("taker")
        lease = self.by_relay(port, "--container", "taker")
        service = self.service(port, HELLO)
        self.assertTrue(eventually(lambda: self.engine.fetch("taker", f"http://{ALIAS}:{port}/") == HELLO))
        # The container's own bind of every address, while the lease serves.
        done = self.engine.inside("taker", "sh", "-c", f"echo own >/tmp/index.html && httpd -h /tmp -p {port}")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.reaches_inside("taker", port)
        self.assertEqual(self.engine.fetch("taker", f"http://127.0.0.1:{port}/index.html"), "own\n")
        # The name is the host's service or nothing.
        service.close()
        self.assertTrue(eventually(lambda: self.refuses_inside("taker", port)))
        # Only the socket's own port can be taken from the lease, and that is told.
        (listens,) = self.relay_of(lease)["listens"]
        self.assertIn(f"{lease.id}", self.rules_inside("taker"))
        self.assertIn(listens, self.command_of_owner("inspect", lease.id).stdout)
        taken = int(listens.rpartition(":")[2])
        self.assertGreater(taken, 60_999)
        self.assertEqual(self.engine.inside("taker", "httpd", "-p", str(taken)).returncode, 0)
        self.service(port, HELLO)

        def blocked():
            relay = self.relay_of(lease)
            return relay["reason"] if relay["state"] == "blocked" else None
        self.assertEqual(eventually(blocked), f"port {taken} is in use in container taker now")
        self.engine.inside("taker", "killall", "httpd")
        self.assertTrue(eventually(lambda: self.engine.fetch("taker", f"http://{ALIAS}:{port}/") == HELLO))
        code, _, said = lease.end()
        self.assertEqual(code, 0)
        self.assertIn(f"port {taken} is in use in container taker now", said)
        self.assertEqual(self.rules_inside("taker"), rules)

    def test_by_relay_a_command_in_a_container_of_its_own(self):
        port, _ = self.serve_hello()
        before = self.engine.inventory()
        fetch = f"wget -qO- http://{INSIDE}:{port}/"
        named = f"wget -qO- http://{ALIAS}:{port}/"
        for network in ((), ("--network", "none")):
            word = named if not network else fetch
            if network not in self.first_instruction_by_relay:
                word = f"until {word} 2>/dev/null; do sleep 0.05; done"
            done = self.command_of_owner("run", "-p", port, *network, "--via", "relay,ssh", "--image", IMAGE, "--", "sh",
                                         "-c", f"{word}; exit 7", check=False)
            self.assertEqual((done.returncode, done.stdout), (7, HELLO), done.stderr)
            self.assertRegex(done.stderr, QUIET)
        argv, env = self.of_owner("run", "-p", port, "--image", IMAGE, "--", "true")
        by_default = run(*argv, env=env | NO_IMAGE, check=False)
        self.assertEqual(by_default.returncode, 0, by_default.stderr)
        self.assertIn("going by relay instead", by_default.stderr)
        missing = self.command_of_owner("run", "-p", port, "--via", "relay", "--image", IMAGE, "--", "nosuch", check=False)
        self.assertEqual(missing.returncode, 127, missing.stderr)
        plan = json.loads(self.command_of_owner("--json", "--dry-run", "run", "-p", port, "--via", "relay", "--image", IMAGE,
                                                "--", "true").stdout)
        self.assertEqual((plan["via"], plan["before_start"]), ("relay", () in self.first_instruction_by_relay))
        plan = json.loads(self.command_of_owner("--json", "--dry-run", "run", "-p", port, "--network", "none", "--image",
                                                IMAGE, "--", "true").stdout)
        self.assertEqual((plan["via"], plan["network"], plan["run"]["command"]), ("relay", "none", ["true"]))
        self.assertEqual(self.engine.inventory(), before)
        self.assertEqual(self.command_of_owner("list").stdout.count("relay"), 0)

    def test_by_relay_watch_serves_containers_by_their_label(self):
        port, _ = self.serve_hello()
        self.container("taker", labels={"io.github.tchostnet.ports": f"{port}:8700", "io.github.tchostnet.via": "relay,ssh"})
        argv, env = self.of_owner("--json", "watch")
        watch = Watching(argv, env)
        self.addCleanup(watch.close)
        self.assertEqual((watch.ready["event"], watch.ready["via"]), ("exposed", "relay"), watch.ready)
        self.reaches("taker", HELLO, port=8700)
        self.assertEqual(watch.end()[0], 0)
        self.assertTrue(self.refuses_inside("taker", 8700))

    def ask_by_datagrams(self, container, address, port, *words):
        """One line for each datagram: its answer, or the error."""
        program = ("import socket, sys\n"
                   "one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
                   "one.settimeout(5)\n"
                   "one.connect((sys.argv[1], int(sys.argv[2])))\n"
                   "for word in sys.argv[3:]:\n"
                   "    try:\n"
                   "        one.send(word.encode())\n"
                   "        print(one.recv(99).decode())\n"
                   "    except OSError as error:\n"
                   "        print(type(error).__name__)\n")
        pid = str(self.engine.api.inspect(container)["State"]["Pid"])
        return run("nsenter", "--target", pid, "--net", sys.executable, "-c", program, address, str(port), *words).stdout.split()

    @contextlib.contextmanager
    def echoing_datagrams(self, port):
        """A service on 127.0.0.1 that answers each datagram, with its source's port at the end; to a tftp client's
        question (RFC 1350) it gives the one line "hello"."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as service:
            service.bind(("127.0.0.1", port))
            service.settimeout(0.1)
            stop = threading.Event()

            def echo():
                while not stop.is_set():
                    with contextlib.suppress(TimeoutError):
                        text, peer = service.recvfrom(99)
                        is_tftp = text.startswith(b"\0")
                        service.sendto(b"\0\3\0\1hello\n" if is_tftp else text + str(peer[1]).encode(), peer)
            echoing = threading.Thread(target=echo)
            echoing.start()
            try:
                yield
            finally:
                stop.set()
                echoing.join()

    def test_by_relay_datagrams(self):
        """Those of each source are answered, none of a neighbour pass, and nobody there is a refusal."""
        port = free_port()
        self.container("taker")

        def ask(*words):
            return self.ask_by_datagrams("taker", INSIDE, port, *words)

        lease = self.by_relay(f"{port}/udp", "--container", "taker")
        self.assertTrue(eventually(lambda: ask("a") == ["ConnectionRefusedError"]))
        with self.echoing_datagrams(port):
            self.assertTrue(eventually(lambda: ask("a")[0].startswith("a")))
            answers = ask("b", "c"), ask("b", "c")
        # Two sources are two sources to the service, too.
        (first, again), (other, _) = answers
        self.assertEqual((first[0], again[0], first[1:]), ("b", "c", again[1:]), answers)
        self.assertNotEqual(first, other)
        self.assertTrue(eventually(lambda: ask("a") == ["ConnectionRefusedError"]))
        # The container's use of the port is a conflict, as with TCP; the other protocol's port is another one.
        self.assertIn("is lease", self.refused_by_relay(8, str(port), f"{port}/udp", "--container", "taker"))
        self.by_relay(port, "--container", "taker").end()
        code, _, said = lease.end()
        self.assertEqual(code, 0)
        self.assertRegex(said, rf"\Atc-hostnet: warning: nothing listens on 127.0.0.1:{port}; exposing the port anyway\n\Z")
        self.assertEqual(ask("a"), ["ConnectionRefusedError"])

    def test_by_relay_only_that_container_reaches_it(self):
        port, _ = self.serve_hello()
        self.network("relayed")
        self.container("taker", network="relayed")
        self.container("neighbour", network="relayed")
        other = free_port()
        self.by_relay(f"{port}:{other}", "--container", "taker")
        self.reaches_inside("taker", other)
        self.assertTrue(self.refuses_inside("neighbour", other))
        self.reaches_nothing("neighbour", port=other, name=self.address_of("taker"))
        with socket.socket() as host:  # the host's own 127.0.0.77 is another one
            self.assertNotEqual(host.connect_ex((INSIDE, other)), 0)
        self.reaches_nothing("taker", port=port, name=INSIDE)

    def test_by_relay_a_port_refuses_while_its_service_does_not_listen(self):
        port = free_port()
        self.container("taker")
        self.by_relay(port, "--container", "taker")
        self.assertTrue(self.refuses_inside("taker", port))
        service = self.service(port, HELLO)
        self.assertTrue(eventually(lambda: self.engine.fetch("taker", f"http://{ALIAS}:{port}/") == HELLO))
        service.close()
        self.assertTrue(eventually(lambda: self.refuses_inside("taker", port)))
        self.service(port, HELLO, address="::1")
        self.assertTrue(eventually(lambda: self.engine.fetch("taker", f"http://{ALIAS}:{port}/") == HELLO))

    def test_by_relay_a_read_only_container_without_a_shell_and_with_an_unprivileged_user(self):
        port, _ = self.serve_hello()
        self.container("taker", image=self.image_without_a_shell(), command=("/sleep", "600"), user="4711",
                       ReadonlyRootfs=True)
        lease = self.by_relay(port, "--container", "taker")
        self.assertEqual(self.engine("exec", "taker", "/wget", "-qO-", f"http://{ALIAS}:{port}/") + "\n", HELLO)
        self.assertEqual(lease.end()[0], 0)
        self.assertNotIn(ALIAS, self.engine("exec", "taker", "/cat", "/etc/hosts"))

    def test_by_relay_a_unix_socket(self):
        path = self.engine.dir / "relayed.sock"
        service = UnixService(path, HELLO)
        self.addCleanup(path.unlink)
        self.addCleanup(service.close)
        path.chmod(0o777)
        self.container("taker")
        self.by_relay(f"{path}:8100", "--container", "taker")
        self.reaches("taker", HELLO, port=8100)

    def test_by_relay_a_port_that_the_container_uses_itself_is_a_conflict(self):
        port, _ = self.serve_hello()
        self.container("taker", command=("httpd", "-f", "-p", "8200"), ports={8300: ("127.0.0.1", free_port())})
        self.assertTrue(eventually(lambda: not self.refuses_inside("taker", 8200)))
        said = self.refused_by_relay(8, "port 8200 is in use in container taker", f"{port}:8200", "--container", "taker")
        self.assertIn("HOST:CONTAINER", said)
        self.refused_by_relay(8, "port 8300 is one that container taker announces", f"{port}:8300", "--container", "taker")
        lease = self.by_relay(f"{port}:8400", "--container", "taker")
        self.refused_by_relay(8, f"lease {lease.id}", f"{port}:8400", "--container", "taker")
        # Another port of the same container shares the name.
        self.by_relay(f"{port}:8500", "--container", "taker")
        self.reaches("taker", HELLO, port=8400)
        self.reaches("taker", HELLO, port=8500)
        self.assertEqual(lease.end()[0], 0)
        self.reaches("taker", HELLO, port=8500)

    def test_by_relay_a_killed_owner_leaves_nothing_behind(self):
        port, _ = self.serve_hello()
        self.container("taker")
        hosts, rules = self.engine.hosts("taker"), self.rules_inside("taker")
        lease = self.by_relay(port, "--container", "taker")
        self.reaches("taker", HELLO, port=port)
        lease.end(signal.SIGKILL)
        self.assertEqual(self.rules_inside("taker"), rules)
        self.assertTrue(self.refuses_inside("taker", port))
        self.assertEqual(self.command_of_owner("list", "--json").stdout, "")
        self.assertEqual(self.engine.hosts("taker"), hosts)
        # Its closed connections do not keep the port.
        self.by_relay(port, "--container", "taker")
        self.reaches("taker", HELLO, port=port)

    def test_by_relay_a_released_port_is_free_at_once(self):
        port, _ = self.serve_hello()
        self.container("taker")
        for _ in range(3):
            lease = self.command_of_owner("expose", port, "--via", "relay", "--container", "taker", "--detach").stdout.split()[0]
            self.assertEqual(self.command_of_owner("release", lease).stdout, f"{lease}\n")
            self.assertTrue(self.refuses_inside("taker", port))

    def test_by_relay_other_leases_do_not_keep_one_from_its_end(self):
        """Whoever watches the folder of the records wakes whenever any of them is saved."""
        port, _ = self.serve_hello()
        self.container("taker")
        lease = self.by_relay(port, "--container", "taker", "--timeout", "2s")
        other = self.by_relay(f"{port}:8700", "--container", "taker", "--label", "busy")
        until = time.monotonic() + 60
        while lease.process.poll() is None and time.monotonic() < until:
            self.engine.fetch("taker", f"http://{INSIDE}:8700/")  # its count is saved
        self.assertEqual(lease.process.wait(10), 0)
        self.assertEqual(other.end()[0], 0)

    def test_by_relay_a_lease_follows_its_container(self):
        port, _ = self.serve_hello()
        self.container("taker")
        lease = self.by_relay(port, "--container", "taker")
        since = time.monotonic()
        self.engine.api.restart("taker")
        lease.follows(self, since, within=30)
        self.reaches("taker", HELLO, port=port)
        # A restart in the middle of what the last one caused is none of the lease's business.
        for _ in range(5):
            self.engine.api.restart("taker")
            time.sleep(0.2)
        self.assertTrue(eventually(lambda: self.engine.fetch("taker", f"http://{ALIAS}:{port}/") == HELLO, timeout=60))
        other = self.command_of_owner("release", lease.id)
        self.assertIn(lease.id, other.stdout)
        lease.process.wait(20)
        self.assertTrue(self.refuses_inside("taker", port))

    def test_by_relay_a_dry_run_says_what_would_be_done_and_does_nothing(self):
        self.container("taker")
        hosts = self.engine.hosts("taker")
        lines = self.command_of_owner("expose", "--via", "relay", "8088:9099", "--container", "taker", "--dry-run").stdout
        self.assertIn(f"listen at {INSIDE}:9099 in the network of container taker", lines)
        self.assertIn("hosts file of container taker", lines)
        self.assertIn("127.0.0.1:8088", lines)
        self.assertEqual(self.engine.hosts("taker"), hosts)
        self.assertEqual(self.command_of_owner("list").stdout.count("relay"), 0)


class ByHandoff(ByRelay):
    """The owner may use the socket of root's engine, and no more: a container at the engine makes the sockets."""

    # Named as the engine names it, with its tag.
    image = re.compile(r"(localhost/)?tc-hostnet/handoff:[0-9a-f]{16}")

    def setUp(self):
        super().setUp()
        self.engine.let_everybody_in()
        self.home = self.engine.dir / "nobody"
        self.home.mkdir(exist_ok=True)
        os.chown(self.home, NOBODY, NOBODY)
        self.images_before = self.images()
        self.addCleanup(self.nothing_is_left_of_handoffs)

    def of_owner(self, *arguments):
        environment = self.env | {"HOME": str(self.home), "XDG_RUNTIME_DIR": str(self.home)}
        environment.pop("TC_HOSTNET_RUNTIME_DIR")
        return ["setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups", self.program,
                *map(str, arguments)], environment

    def images(self):
        return sorted(tag for one in self.engine.api.get("/images/json") for tag in one["RepoTags"] or ["<none>"])

    def our_images(self):
        return [tag for tag in self.images() if self.image.fullmatch(tag)]

    def files(self):
        """Those of the owner's leases."""
        return sorted(path.name for path in self.home.glob("tc-hostnet/**/*"))

    def remove_images(self):
        return self.command_of_owner("release", "--all", "--images")

    def nothing_is_left_of_handoffs(self):
        self.remove_images()
        self.assertEqual(self.engine.api.containers(LEASE_LABEL), [])
        self.assertEqual(self.images(), self.images_before)
        self.assertTrue(eventually(lambda: self.files() == [], timeout=5), self.files())

    def test_by_handoff_one_image_more_which_is_removed_on_demand(self):
        port, _ = self.serve_hello()
        self.container("taker")
        before = self.engine.inventory()
        dry = self.command_of_owner("expose", "--via", "relay", port, "--container", "taker", "--dry-run").stdout
        self.assertIn("container of image tc-hostnet/handoff once", dry)
        self.assertEqual(self.our_images(), [])
        lease = self.by_relay(port, "--container", "taker")
        (image,) = self.our_images()
        self.assertEqual(self.images(), sorted([*self.images_before, image]))
        self.assertEqual(self.engine.inventory(), before)
        described = self.engine.api.get(f"/images/{image}/json")
        self.assertLess(described["Size"], 800_000)
        self.assertEqual(lease.end()[0], 0)
        # Not from under a container, and only where it is asked for.
        self.command_of_owner("release", "--all")
        self.engine("create", "--name", "user", "--network", "none", image)
        self.assertIn("stays: a container uses it", self.remove_images().stderr)
        self.assertEqual(self.our_images(), [image])
        self.engine.api.remove("user")
        said = self.command_of_owner("release", "--all", "--images", "--dry-run").stdout
        self.assertEqual(said, f"remove image {image}, unless a container uses it\n")
        (event,) = map(json.loads, self.command_of_owner("--json", "release", "--all", "--images").stdout.splitlines())
        self.assertEqual((event["event"], event["image"]), ("removed", image))
        self.assertEqual(self.images(), self.images_before)
        done = self.command_of_owner("release", "--images", check=False)
        self.assertEqual(done.returncode, 2)
        self.assertIn("without --all", done.stderr)

    def test_by_handoff_low_ports_and_many(self):
        port, _ = self.serve_hello()
        self.container("taker", network="none", CapDrop=["ALL"], SecurityOpt=["no-new-privileges"])
        ports = [80, 1023, *range(20000, 20060)]
        hosts = self.engine.hosts("taker")
        lease = self.by_relay(*(f"{port}:{inside}" for inside in ports), "--container", "taker", "--no-alias")
        for inside in (80, 1023, 20059):
            self.reaches_inside("taker", inside)
        self.assertEqual(self.engine.hosts("taker"), hosts)
        self.assertEqual(lease.end()[0], 0)

    def test_by_handoff_an_image_of_another_with_that_tag_is_not_run(self):
        port, _ = self.serve_hello()
        self.container("taker")
        self.assertEqual(self.by_relay(port, "--container", "taker").end()[0], 0)
        (tag,) = self.our_images()
        self.remove_images()
        self.engine("tag", IMAGE, tag)
        lease = self.by_relay(port, "--container", "taker")
        self.reaches("taker", HELLO, port=port)
        self.assertNotEqual(self.engine.api.get(f"/images/{tag}/json")["Id"], self.engine.api.get(f"/images/{IMAGE}/json")["Id"])
        self.assertEqual(lease.end()[0], 0)

    def test_by_handoff_several_at_once_load_one_image(self):
        port, _ = self.serve_hello()
        takers = [f"taker-{i}" for i in range(3)]
        for taker in takers:
            self.container(taker)
        begun = [subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
                 for argv, env in (self.of_owner("--json", "expose", port, "--via", "relay", "--container", taker) for taker in takers)]
        for process in begun:
            self.addCleanup(process.wait, 20)
            self.addCleanup(process.kill)
        for process in begun:
            self.assertEqual(json.loads(process.stdout.readline())["event"], "ready")
        for taker in takers:
            self.reaches(taker, HELLO, port=port)
        self.assertEqual(len(self.our_images()), 1)
        for process in begun:
            process.send_signal(signal.SIGTERM)
            self.assertEqual(process.communicate(timeout=20)[1], "")

    def test_by_handoff_a_kill_at_any_moment_leaves_nothing_beyond_the_next_command(self):
        port, _ = self.serve_hello()
        self.container("taker")
        hosts, rules = self.engine.hosts("taker"), self.rules_inside("taker")
        argv, env = self.of_owner("expose", port, "--via", "relay", "--container", "taker")
        for moment in (0.02, 0.05, 0.08, 0.12, 0.16, 0.2, 0.3):
            with self.subTest(moment=moment):
                self.remove_images()
                process = subprocess.Popen(argv, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                time.sleep(moment)
                process.kill()
                process.wait(10)
                listed = self.command_of_owner("list")
                self.assertEqual(listed.stdout.count("relay"), 0, listed.stderr)
                self.assertTrue(eventually(lambda: not self.engine.api.containers(LEASE_LABEL)))
                self.assertEqual(self.engine.hosts("taker"), hosts)
                self.assertEqual(self.rules_inside("taker"), rules)
                self.assertEqual(self.files(), [])
                self.assertLessEqual(len(self.our_images()), 1)
        self.by_relay(port, "--container", "taker")
        self.reaches("taker", HELLO, port=port)

    def test_by_handoff_what_cannot_be_done_is_told_in_one_line(self):
        self.container("taker")
        self.engine.api.kill("taker")
        self.refused_by_relay(6, "container taker is not running", "8088", "--container", "taker")
        self.container("hosted", network="host")
        self.refused_by_relay(2, "uses the host's network", "8088", "--container", "hosted")
        self.container("behind", network="container:hosted")
        self.refused_by_relay(3, "uses this host's network", "8088", "--container", "behind")
        self.container("another")
        argv, env = self.of_owner("expose", "--via", "relay", self.serve_hello()[0], "--container", "another")
        done = run(*argv, env=env | {"TC_HOSTNET_HANDOFF": "/nonexistent"}, check=False)
        self.assertEqual(done.returncode, 3, done.stderr)
        self.assertRegex(done.stderr, r"\A[^\n]*the hand-off's program is missing[^\n]*TC_HOSTNET_HANDOFF\n\Z")
        own = self.home.parent / "own-hosts"
        own.write_text("127.0.0.1 localhost\n")
        self.addCleanup(own.unlink)
        self.container_by_command("mounted", "--volume", f"{own}:/etc/hosts")
        self.refused_by_relay(8, "hosts file of container mounted", "8088", "--container", "mounted")
        self.assertEqual(own.read_text(), "127.0.0.1 localhost\n")
        self.assertEqual(self.our_images(), [])

    def test_by_handoff_a_lease_ends_with_its_container(self):
        port, _ = self.serve_hello()
        self.container("taker")
        lease = self.by_relay(port, "--container", "taker", "--once")
        self.engine.api.kill("taker")
        code, _, said = lease.end(None)
        self.assertEqual(code, 1)
        self.assertIn("its container has stopped", said)
