"""Test bed for callers of the helper: a bridge with one container, a service of alice's on 127.0.0.1, and queries to bus
and kernel. Runs inside tests/support/in_namespaces and with_system_bus."""
import json
import re
import subprocess
import time
import unittest
from pathlib import Path

import dbus

ROOT = Path(__file__).resolve().parents[2]
NAME = "io.github.tchostnet.HostNet1"
PATH = "/io/github/tchostnet/HostNet1"
BRIDGE, GATEWAY, PORT = "br-test", "198.18.0.1", 8088
TEXT = "a page of alice's"
TABLES = ("raw", "mangle", "nat", "filter")
SERVE = """
import http.server
class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(%r.encode())
    def log_message(self, *_):
        pass
    def handle(self):
        try: super().handle()
        except ConnectionError: pass  # cut, as it should be
http.server.ThreadingHTTPServer(("127.0.0.1", %d), Page).serve_forever()
""" % (TEXT, PORT)


def run(*command, check=True, timeout=20, **options):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=timeout,
                          stdin=subprocess.DEVNULL, **options)
    if check and done.returncode != 0:
        raise AssertionError(f"{command}: exit status {done.returncode}: {done.stdout}{done.stderr}")
    return done


def as_user(user, *command):
    """Runs a command as another user, without root's runtime folder in its environment."""
    uid = run("id", "-u", user).stdout.strip()
    return ["setpriv", "--reuid", uid, "--regid", uid, "--init-groups",
            "env", "-u", "TC_HOSTNET_RUNTIME_DIR", *map(str, command)]


def eventually(condition, timeout=10):
    until = time.monotonic() + timeout
    while not (result := condition()) and time.monotonic() < until:
        time.sleep(0.02)
    return result


def system_bus():
    """A private connection; dbus.SystemBus() is shared, and is lost when the first daemon ends."""
    return dbus.SystemBus(private=True)


def helper_pid(bus):
    """The process that owns the helper's name, or None."""
    try:
        return int(bus.get_name_owner(NAME) and bus.call_blocking(
            "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "GetConnectionUnixProcessID",
            "s", (NAME,)))
    except dbus.DBusException:
        return None


def leases(bus):
    """{object path: properties} of all leases."""
    for tries_left in range(4, -1, -1):
        manager = dbus.Interface(bus.get_object(NAME, PATH, introspect=False), "org.freedesktop.DBus.ObjectManager")
        try:
            found = manager.GetManagedObjects()
            return {str(path): interfaces[f"{NAME}.Lease"] for path, interfaces in found.items()}
        except dbus.DBusException as error:
            # An idle helper may end between the two steps. The next try starts another.
            if not tries_left or error.get_dbus_name() != "org.freedesktop.DBus.Error.ServiceUnknown":
                raise


def kernel_state():
    """Everything that a lease changes: our rules and route_localnet."""
    rules = [line for table in TABLES for line in run("iptables-legacy-save", "-t", table).stdout.splitlines()
             if "TCHN" in line]
    listing = json.loads(run("ip", "-j", "link", "show", "type", "bridge").stdout)
    settings = {link["ifname"]: Path(f"/proc/sys/net/ipv4/conf/{link['ifname']}/route_localnet").read_text().strip()
                for link in listing}
    return {"rules": [re.sub(r"\[\d+:\d+\]", "", line) for line in rules], "route_localnet": settings}


class Bed(unittest.TestCase):
    """Builds the test bed once; each test must restore rules and settings."""

    @classmethod
    def setUpClass(cls):
        run("ip", "link", "add", BRIDGE, "type", "bridge")
        cls.addClassCleanup(run, "ip", "link", "del", BRIDGE)
        run("ip", "address", "add", f"{GATEWAY}/24", "dev", BRIDGE)
        run("ip", "link", "set", BRIDGE, "up")
        run("ip", "netns", "add", "container")
        cls.addClassCleanup(run, "ip", "netns", "del", "container")
        run("ip", "link", "add", "v0", "type", "veth", "peer", "name", "eth0", "netns", "container")
        cls.addClassCleanup(run, "ip", "link", "del", "v0")  # the kernel would do so a moment after the namespace
        run("ip", "link", "set", "v0", "master", BRIDGE, "up")
        run("ip", "-n", "container", "address", "add", "198.18.0.2/24", "dev", "eth0")
        run("ip", "-n", "container", "link", "set", "eth0", "up")
        service = subprocess.Popen(as_user("alice", "/usr/bin/python3", "-c", SERVE))
        cls.addClassCleanup(service.wait)
        cls.addClassCleanup(service.kill)
        if not eventually(lambda: f":{PORT} " in run("ss", "-Hltn").stdout):
            raise AssertionError("alice's service does not start")
        cls.bus = system_bus()
        cls.addClassCleanup(cls.bus.close)

    def setUp(self):
        run("busctl", "call", NAME, PATH, "org.freedesktop.DBus.Peer", "Ping")  # starts the helper; makes its tables
        self.assertEqual(leases(self.bus), {})
        self.before = kernel_state()
        self.assertIsNone(self.fetch())
        self.addCleanup(self.check_restored)

    def check_restored(self):
        self.assertTrue(eventually(lambda: leases(self.bus) == {}), leases(self.bus))
        self.assertEqual(kernel_state(), self.before)
        self.assertIsNone(self.fetch())

    def fetch(self):
        """What the container receives from the gateway's port, or None."""
        done = run(*self.fetch_command(), check=False)
        return done.stdout if done.returncode == 0 else None

    @staticmethod
    def fetch_command():
        return ["ip", "netns", "exec", "container", "curl", "-s", "--max-time", "3", f"http://{GATEWAY}:{PORT}/"]
