"""A lease granted by expose-own ends when another user listens on its port; a lease granted by more than that stays."""
import json
import os
import signal
import subprocess
import time
import unittest

from harness import ERROR, GATEWAY, PYTHON, Helped, as_user, eventually, fetch, run, user_environment

LISTEN = """
import socket, sys
kind, family, address, port, options = sys.argv[1:]
server = socket.socket(getattr(socket, family), socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
if kind == "tcp":  # without it, bind() fails on a port whose connections were just cut
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
for option in filter(None, options.split(",")):
    level, name = (socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) if option in ("dual", "v6only") else (socket.SOL_SOCKET, getattr(socket, option))
    server.setsockopt(level, name, option != "dual")
server.bind((address, int(port)))
if kind == "tcp":
    server.listen(64)
print("up", flush=True)
while True:
    if kind == "tcp":
        server.accept()[0].close()
    else:
        server.recv(100)
"""


class ChangesHands(Helped):
    def setUp(self):
        super().setUp()
        self.root = self.caller("root")
        self.root.listen()
        self.alice = self.caller("alice")

    def listener(self, user, kind, family, address, port, *options):
        process = subprocess.Popen([*as_user(user), PYTHON, "-c", LISTEN, kind, family, address, str(port), ",".join(options)],
                                   stdout=subprocess.PIPE, text=True)

        def stop():
            process.kill()
            process.wait(10)
            process.stdout.close()
        self.addCleanup(lambda: process.poll() is None and stop())
        self.assertEqual(process.stdout.readline(), "up\n")
        return stop

    def reasons(self):
        return {arguments[0]: arguments[1] for _, _, member, arguments in self.root.signals() if member == "LeaseReleased"}

    def ends(self, path):
        found = {}
        start = time.monotonic()
        self.assertTrue(eventually(lambda: found.update(self.reasons()) or path in found, 5), f"{path} stands")
        self.assertEqual(found, {path: "listener-changed"})
        return time.monotonic() - start

    def test_anothers_service_takes_the_port(self):
        """Root's lease, which has no listener check, shows what the containers reach."""
        service = self.service("alice", 8088)
        path = self.alice.expose(self.bridge, 8088)
        of_root = self.root.expose(self.bridge, ("tcp", 9088, 8088))
        service.stop()
        time.sleep(1.2)
        self.assertEqual(self.reasons(), {}, "nobody listens: the service may come back")
        own_again = self.service("alice", 8088)
        time.sleep(0.6)
        self.assertEqual(self.reasons(), {})
        own_again.stop()
        self.service("bob", 8088)
        print(f"\nended {self.ends(path):.2f} s after another user had taken the port")
        self.assertIsNone(fetch(8088, seconds=0.5))
        self.assertEqual(fetch(9088), "bob")
        time.sleep(1)
        self.assertEqual(list(self.root.leases()), [of_root])

    def test_what_an_administrator_allowed_stays(self):
        self.service("bob", 8088)
        crowd = self.caller("crowd0")
        path = crowd.expose(self.bridge, 8088)  # a rule allows that user everything, so this was granted by expose-foreign
        time.sleep(1.2)
        self.assertEqual(self.reasons(), {})
        self.assertEqual(list(self.root.leases()), [path])
        self.assertEqual(fetch(8088), "bob")

    def test_any_of_its_ports(self):
        self.service("alice", 8088)
        service = self.service("alice", 8089)
        path = self.alice.expose(self.bridge, 8088, 8089)
        service.stop()
        self.service("bob", 8089)
        self.ends(path)
        self.assertIsNone(fetch(8088, seconds=0.5))

    def test_every_kind_of_listener(self):
        for kind, family, address, *options in (("tcp", "AF_INET", "127.0.0.1"), ("tcp", "AF_INET", "0.0.0.0"),
                                                ("tcp", "AF_INET6", "::", "dual"), ("tcp", "AF_INET6", "::ffff:127.0.0.1", "dual"),
                                                ("udp", "AF_INET", "127.0.0.1"), ("udp", "AF_INET", "0.0.0.0"),
                                                ("udp", "AF_INET6", "::", "dual")):
            with self.subTest(kind=kind, address=address):
                stop = self.listener("alice", kind, "AF_INET", "127.0.0.1", 8088)
                path = self.alice.expose(self.bridge, (kind, 8088, 8088))
                stop()
                stop = self.listener("bob", kind, family, address, 8088, *options)
                self.ends(path)
                stop()

    def test_listeners_that_are_not_reached_by_it(self):
        """Listeners on ::1, on :: for IPv6 only, on another host address, and on the same port of the other protocol."""
        self.listener("alice", "tcp", "AF_INET", "127.0.0.1", 8088)
        path = self.alice.expose(self.bridge, 8088)
        self.listener("bob", "tcp", "AF_INET6", "::1", 8088)
        self.listener("bob", "tcp", "AF_INET", "127.0.0.2", 8088)
        self.listener("bob", "tcp", "AF_INET", GATEWAY, 8088)
        self.listener("bob", "udp", "AF_INET", "127.0.0.1", 8088)
        time.sleep(1.2)
        self.assertEqual(self.reasons(), {})
        self.assertEqual(list(self.root.leases()), [path])

    def test_at_another_address_of_the_loopback(self):
        """Whose port it is, and who takes it over, is decided by the listeners at that very address."""
        self.service("bob", 8088)
        service = self.service("alice", 8088, address="127.0.0.2")
        path = self.alice.expose(self.bridge, ("tcp", 9088, 8088), addresses=["127.0.0.2"])
        self.assertEqual(fetch(9088), "alice")
        self.assertEqual(self.root.get(path=path, name="Addresses"), ["127.0.0.2"])
        self.assertEqual(self.root.get(path=path, name="Ports"), [["tcp", 9088, 8088]])
        foreign = self.refused("org.freedesktop.DBus.Error.InteractiveAuthorizationRequired", self.alice.expose, self.bridge,
                               ("tcp", 9089, 8088), ("tcp", 9090, 8088), addresses=["127.0.0.2", ""])
        self.assertIn("expose-foreign", foreign)
        self.refused(ERROR + "PortInUse", self.root.expose, self.bridge, ("tcp", 9088, 8088))
        missing = self.refused(ERROR + "PortNotListening", self.root.expose, self.bridge, ("tcp", 9091, 8088),
                               addresses=["127.0.0.3"], require_listener=True)
        self.assertIn("nothing listens on 127.0.0.3:8088, only on 127.0.0.1:8088 and 127.0.0.2:8088", missing)
        service.stop()
        time.sleep(0.6)
        self.assertEqual(self.reasons(), {}, "bob's service is at another address")
        self.service("bob", 8088, address="127.0.0.2")
        self.ends(path)
        self.assertIsNone(fetch(9088, seconds=0.5))

    def test_the_command_names_the_address(self):
        self.service("bob", 8088)
        self.service("alice", 8088, address="127.0.0.2")
        process = subprocess.Popen([*as_user("alice"), os.environ["TC_HOSTNET"], "expose", "127.0.0.2:8088:9088", "--bridge",
                                    "br-test", "--via", "helper"], env=user_environment(), stdout=subprocess.PIPE, text=True)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait, 10)
        self.addCleanup(process.terminate)
        lease = process.stdout.readline().strip()
        self.assertEqual(fetch(9088), "alice")
        listed = run(*as_user("alice"), os.environ["TC_HOSTNET"], "list", "--json", env=user_environment()).stdout
        (port,) = json.loads(listed)["ports"]
        self.assertEqual((json.loads(listed)["id"], port["address"], port["host"], port["container"]),
                         (lease, "127.0.0.2", 8088, 9088))

    def test_beside_ones_own(self):
        """UDP sockets of two users may share one port: the kernel chooses which of them receives a packet."""
        self.listener("alice", "udp", "AF_INET", "127.0.0.1", 8088, "SO_REUSEADDR")
        path = self.alice.expose(self.bridge, ("udp", 8088, 8088))
        self.listener("bob", "udp", "AF_INET", "127.0.0.1", 8088, "SO_REUSEADDR")
        self.ends(path)

    def test_a_lease_that_outlived_its_helper(self):
        service = self.service("alice", 8088)
        path = self.alice.expose(self.bridge, 8088)
        of_root = self.root.expose(self.bridge, ("tcp", 9088, 8088), lifetime="persistent")
        self.stop_helper(signal.SIGKILL)
        self.assertEqual(set(self.root.leases()), {path, of_root})
        service.stop()
        self.service("bob", 8088)
        self.ends(path)
        self.assertEqual(list(self.root.leases()), [of_root])
        self.root.release(path=of_root)

    def test_the_command_is_told(self):
        import os
        service = self.service("alice", 8088)
        process = subprocess.Popen([*as_user("alice"), os.environ["TC_HOSTNET"], "expose", "8088", "--bridge", "br-test", "--via",
                                    "helper"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                   env={k: v for k, v in os.environ.items() if k not in ("TC_HOSTNET_RUNTIME_DIR", "XDG_RUNTIME_DIR")})
        self.addCleanup(lambda: (process.kill(), process.communicate()))
        self.assertTrue(process.stdout.readline())
        service.stop()
        self.service("bob", 8088)
        _, said = process.communicate(timeout=20)
        self.assertIn("listener-changed", said)

    def test_one_listing_serves_all_leases(self):
        """The cost of a check does not grow with the leases: one kernel dump lists all listeners."""
        from harness import helper_pid
        callers = [self.caller(f"crowd{number}") for number in range(4)]
        for number, caller in enumerate(callers):
            self.service(f"crowd{number}", 8100 + number)
            for port in range(8):
                caller.expose(self.bridge, ("tcp", 9000 + number * 10 + port, 8100 + number))
        traced = run("timeout", "-s", "INT", "3", "strace", "-f", "-c", "-e", "trace=socket", "-p", str(helper_pid()), check=False)
        counts = [line.split() for line in traced.stderr.splitlines() if line.endswith(" socket")]
        sockets = int(counts[0][3]) if counts else 0
        # 32 leases, four checks a second and one read of the counters.
        self.assertGreater(sockets, 3)
        self.assertLess(sockets, 100)


if __name__ == "__main__":
    unittest.main()
