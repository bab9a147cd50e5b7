"""Shared by the tests of the relay path at the gateway of a network: mixed into a ByRelay (relay_cases.py)."""
import json
import re
import signal
import socket
import subprocess
import time
from pathlib import Path

from harness import ALIAS, IMAGE, eventually, run
from relay_cases import QUIET
from ssh_cases import HELLO, free_port


class AtEnginesGateway:
    """Mixed into a ByRelay whose engine is rootless: its networks' gateways are in a network namespace of its own."""

    def in_engines_namespace(self, container, *argv):
        """Runs it where the container's bridge is."""
        pid = self.engine.api.inspect(container)["State"]["Pid"]
        parent = re.search(r"PPid:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1]
        own = re.findall(r" (\S*/rootless-netns\S*) .* - nsfs ", Path(f"/proc/{parent}/mountinfo").read_text())
        path = f"/proc/{parent}/root{own[0]}" if own else f"/proc/{parent}/ns/net"
        return run("nsenter", f"--net={path}", *argv, check=False)

    def test_at_gateway_a_network_of_a_rootless_engine(self):
        port, _ = self.serve_hello()
        self.network("relayed")
        self.refused_by_relay(3, "none runs on network relayed", port, "--network", "relayed")
        self.container("first", network="relayed")
        hosts, before, gateway = self.engine.hosts("first"), self.engine.inventory(), self.gateway("relayed")
        lease = self.at_gateway(f"{port}:{port}", f"{port}:81", f"{port}/udp", "--network", "relayed")
        self.assertEqual(lease.ready["gateway"], gateway)
        self.reaches("first", HELLO, port=port)
        self.reaches("first", HELLO, port=81)  # whose user namespace it is, has the low ports
        self.container("late", network="relayed")
        self.assertTrue(eventually(lambda: self.has_alias("late")))
        self.reaches("late", HELLO, port=port)
        self.assertEqual(len(self.engine.inventory()), len(before))
        with self.echoing_datagrams(port):
            self.assertTrue(eventually(lambda: self.ask_by_datagrams("late", gateway, port, "a")[0].startswith("a")))
        knock = "import socket,sys; s=socket.create_connection((sys.argv[1],int(sys.argv[2])),5); s.sendall(b'x'); s.recv(1)"
        done = self.in_engines_namespace("first", "/usr/bin/python3", "-c", knock, gateway, str(port))
        self.assertIn("ConnectionResetError", done.stderr)
        self.assertEqual(eventually(lambda: self.relay_of(lease)["refused_strangers"] or None), 1)
        self.refused_by_relay(8, f"lease {lease.id}'s", port, "--network", "relayed")
        self.the_doctor_sees(lease, "first", port, unseen=("connect", "not", "firewall"))
        lease.end(signal.SIGKILL)
        self.assertIsNone(self.engine.fetch("first", f"http://{gateway}:{port}/"))
        self.assertEqual(self.command_of_owner("list", "--json").stdout, "")
        self.assertEqual(self.engine.hosts("first"), hosts)


class AtGateway:
    """Mixed into a ByRelay whose engine is root's, with its bridges here: networks, and containers that have not started."""

    def outcome_on_host(self, address, port, source=None):
        """Of a request from this host itself: "refused", "reset", "silent", or what was answered."""
        with socket.socket() as client:
            client.settimeout(5 if source is None else 1)
            try:
                if source:
                    client.bind((source, 0))
                client.connect((address, port))
                client.sendall(b"GET / HTTP/1.0\r\n\r\n")
                return client.recv(65536).decode()
            except ConnectionRefusedError:
                return "refused"
            except (ConnectionResetError, BrokenPipeError):
                return "reset"
            except TimeoutError:
                return "silent"

    def test_at_gateway_a_network_is_served_and_nothing_is_left(self):
        port, service = self.serve_hello()
        self.network("relayed")
        self.network("elsewhere")
        self.container("app", network="relayed")
        self.container("stranger", network="elsewhere")
        hosts, before = self.engine.hosts("app"), self.engine.inventory()
        gateway = self.gateway("relayed")
        lease = self.at_gateway(port, "--network", "relayed")
        self.assertEqual(lease.ready["gateway"], gateway)
        self.reaches("app", HELLO, port=port)
        self.container("late", network="relayed")
        self.assertTrue(eventually(lambda: self.has_alias("late")))
        self.reaches("late", HELLO, port=port)
        self.assertEqual(len(self.engine.inventory()), len(before))  # no sidecar, no image

        # Not from another network, and not from this host, whatever its address: to one that is not of the bridge the
        # kernel sends its answer by the bridge, where it is lost.
        self.assertIn("refused", self.engine.inside("stranger", "timeout", "5", "wget", "-qO-", f"http://{gateway}:{port}/").stderr)
        for source, outcome in ((None, "reset"), (gateway, "reset"), (self.gateway("elsewhere"), "silent"),
                                ("127.0.0.1", "silent")):
            with self.subTest(source=source):
                self.assertEqual(self.outcome_on_host(gateway, port, source), outcome)
        self.assertEqual(self.outcome_on_host("127.0.0.1", port).split()[1], "200")  # the service is there

        self.assertTrue(eventually(lambda: self.relay_of(lease)["refused_strangers"] == 2))
        relay = self.relay_of(lease)
        self.assertEqual((relay["state"], relay["reason"]), ("up", ""), relay)
        self.assertGreaterEqual(relay["connections"], 2)
        (listed,) = [one for one in map(json.loads, self.command_of_owner("list", "--json").stdout.splitlines())
                     if one["id"] == lease.id]
        self.assertEqual((listed["via"], listed["target"], listed["network"], listed["gateway"], listed["sources"]),
                         ("relay", "network relayed", "relayed", gateway, []))
        self.assertIn("every container on the network", self.command_of_owner("inspect", lease.id).stdout)
        self.the_doctor_sees(lease, "app", port, unseen=("connect", "not", "firewall"))

        # Leaves the network, loses the name.
        self.engine.api.connect("elsewhere", "late")
        self.engine("network", "disconnect", "relayed", "late")
        self.assertTrue(eventually(lambda: not self.has_alias("late")))
        service.close()
        self.assertTrue(eventually(lambda: "refused" in self.engine.inside("app", "wget", "-qO-",
                                                                           f"http://{gateway}:{port}/").stderr))
        code, _, said = lease.end()
        self.assertEqual((code, said), (0, ""))
        self.assertEqual(self.engine.hosts("app"), hosts)
        self.assertEqual(self.outcome_on_host(gateway, port), "refused")

    def test_at_gateway_datagrams(self):
        """Of a network; and of a container that has not started."""
        port = free_port()
        self.network("relayed")
        self.container("app", network="relayed")
        gateway = self.gateway("relayed")
        lease = self.at_gateway(f"{port}/udp", "--network", "relayed")

        def ask(*words):
            return self.ask_by_datagrams("app", gateway, port, *words)

        def ask_here():
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as host:
                host.settimeout(0.3)
                host.connect((gateway, port))
                host.send(b"a")
                return host.recv(99)
        self.assertTrue(self.has_alias("app"))
        self.assertTrue(eventually(lambda: ask("a") == ["ConnectionRefusedError"]))
        with self.echoing_datagrams(port):
            self.assertTrue(eventually(lambda: ask("a")[0].startswith("a")))
            (first, again), (other, _) = ask("b", "c"), ask("b", "c")
            self.assertEqual((first[0], again[0], first[1:]), ("b", "c", again[1:]))
            self.assertNotEqual(first, other)
            with self.assertRaises(TimeoutError):
                ask_here()
            self.assertEqual(eventually(lambda: self.relay_of(lease)["refused_strangers"] or None), 1)
            self.assertIn(f"lease {lease.id}'s", self.refused_by_relay(8, str(port), f"{port}/udp", "--network", "relayed"))
            self.the_doctor_sees(lease, "app", f"{port}/udp", unseen=("connect", "not", "firewall"))
        self.assertTrue(eventually(lambda: ask("a") == ["ConnectionRefusedError"]))
        self.at_gateway(port, "--network", "relayed").end()  # the other protocol's port is another one
        self.assertEqual(lease.end()[0], 0)
        self.assertEqual(ask("a"), ["ConnectionRefusedError"])
        with self.assertRaises(ConnectionRefusedError):
            ask_here()

        word = f"tftp -g -r any -l - {ALIAS} {port}"
        if not self.first_instruction_by_relay:
            word = f"until {word} 2>/dev/null; do sleep 0.05; done"
        with self.echoing_datagrams(port):
            done = self.command_of_owner("run", "-p", f"{port}/udp", "--via", "relay", "--network", "relayed", "--image", IMAGE,
                                         "--", "sh", "-c", word)
        self.assertEqual(done.stdout, "hello\n")

    def test_at_gateway_what_has_the_port_is_told(self):
        port, _ = self.serve_hello()
        self.network("relayed")
        self.container("app", network="relayed")
        gateway = self.gateway("relayed")
        other = self.service(free_port(), "other\n", address="0.0.0.0")
        said = self.refused_by_relay(8, f"a service of uid 0 listens on 0.0.0.0:{other.port}", f"{port}:{other.port}",
                                     "--network", "relayed")
        self.assertIn("HOST:CONTAINER", said)
        lease = self.at_gateway(f"{port}:8800", "--network", "relayed")
        self.refused_by_relay(8, f"port 8800 of network relayed is lease {lease.id}'s", f"{port}:8800", "--network", "relayed")
        with socket.socket() as late:  # without SO_REUSEADDR, as the port listens
            with self.assertRaises(OSError):
                late.bind(("0.0.0.0", 8800))
        self.at_gateway(f"{port}:8801", "--network", "relayed")  # shares the name
        self.reaches("app", HELLO, port=8800)
        self.reaches("app", HELLO, port=8801)
        self.refused_by_relay(3, "serves containers and networks of an engine, not bridge", port, "--bridge",
                              self.engine.api.bridge("relayed"))
        # Taken while the service does not listen.
        absent = free_port()
        lease = self.at_gateway(f"{absent}:8802", "--network", "relayed")
        with socket.socket() as taker:
            taker.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            taker.bind((gateway, 8802))
            taker.listen()
            self.service(absent, HELLO)

            def blocked():
                relay = self.relay_of(lease)
                return relay["reason"] if relay["state"] == "blocked" else None
            self.assertEqual(eventually(blocked), f"a service of uid 0 listens on {gateway}:8802 now")
        self.assertTrue(eventually(lambda: self.engine.fetch("app", f"http://{ALIAS}:8802/") == HELLO))
        code, _, said = lease.end()
        self.assertEqual(code, 0)
        self.assertIn("leads there", said)

    def test_at_gateway_a_lease_follows_a_network_that_is_made_anew(self):
        port, _ = self.serve_hello()
        self.network("relayed")
        self.container("app", network="relayed")
        lease = self.at_gateway(port, "--network", "relayed")
        self.engine.api.remove("app")
        self.engine.api.remove_network("relayed")
        self.network("relayed", "--subnet", "10.96.0.0/24", "--gateway", "10.96.0.1")
        since = time.monotonic()
        self.engine.api.run("app", IMAGE, ("sleep", "600"), network="relayed")
        lease.follows(self, since, within=30)
        self.assertTrue(eventually(lambda: self.has_alias("app")))
        self.reaches("app", HELLO, port=port)
        self.reaches("app", HELLO, port=port, name="10.96.0.1")
        self.assertIn(lease.id, self.command_of_owner("release", lease.id).stdout)
        self.assertEqual(lease.process.wait(20), 0)
        self.assertFalse(self.has_alias("app"))

    def test_at_gateway_a_killed_owner_leaves_nothing_behind(self):
        port, _ = self.serve_hello()
        self.network("relayed")
        self.container("app", network="relayed")
        hosts, gateway = self.engine.hosts("app"), self.gateway("relayed")
        lease = self.at_gateway(port, "--network", "relayed")
        self.reaches("app", HELLO, port=port)
        lease.end(signal.SIGKILL)
        self.assertEqual(self.outcome_on_host(gateway, port), "refused")
        self.assertEqual(self.command_of_owner("list", "--json").stdout, "")
        self.assertEqual(self.engine.hosts("app"), hosts)
        self.at_gateway(port, "--network", "relayed")
        self.reaches("app", HELLO, port=port)

    def test_at_gateway_a_dry_run_says_what_would_be_done_and_does_nothing(self):
        self.network("relayed")
        self.container("app", network="relayed")
        hosts, gateway = self.engine.hosts("app"), self.gateway("relayed")
        ask = ("--dry-run", "expose", "--via", "relay", "8088:9099", "--network", "relayed")
        lines = self.command_of_owner(*ask).stdout
        self.assertIn(f"listen at {gateway}:9099 for what comes in by bridge {self.engine.api.bridge('relayed')}", lines)
        plan = json.loads(self.command_of_owner("--json", *ask).stdout)
        self.assertEqual((plan["address"], len(plan["alias_in"])), (gateway, 1))
        self.assertEqual(self.engine.hosts("app"), hosts)

    def test_at_gateway_a_new_container_is_served_from_its_first_instruction_and_no_other(self):
        port, _ = self.serve_hello()
        self.network("relayed")
        self.container("neighbour", network="relayed")
        gateway = self.gateway("relayed")
        fetch = f"timeout 5 wget -qO- http://{ALIAS}:{port}/"
        if not self.first_instruction_by_relay:
            fetch = f"until {fetch} 2>/dev/null; do sleep 0.05; done"
        argv, env = self.of_owner("run", "-p", port, "--via", "relay", "--network", "relayed", "--image", IMAGE, "--", "sh",
                                  "-c", f"{fetch}; read line; {fetch}; grep {ALIAS} /etc/hosts")
        process = subprocess.Popen(argv, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   text=True)
        self.addCleanup(process.wait, 20)
        self.addCleanup(process.kill)
        self.assertEqual(process.stdout.readline(), HELLO)
        by_address = f"http://{gateway}:{port}/"
        if self.gateway_serves_new_containers:
            said = self.engine.inside("neighbour", "timeout", "5", "wget", "-qO-", by_address).stderr
            self.assertIn("reset", said)  # it was accepted
            self.assertEqual(self.outcome_on_host(gateway, port), "reset")
        self.assertIsNone(self.engine.fetch("neighbour", by_address))
        out, err = process.communicate("\n", timeout=60)
        self.assertEqual((process.returncode, out.splitlines()[0] + "\n"), (0, HELLO), err)
        self.assertRegex(err, QUIET)
        self.assertEqual(self.outcome_on_host(gateway, port), "refused")

    gateway_serves_new_containers = True
