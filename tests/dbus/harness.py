"""Shared by the tests of the helper: a bridge with a container's namespace, users on the bus, and their services.

Run inside tests/support/in_namespaces and with_system_bus. Every test starts and ends without a lease, with the
firewall, the settings and the runtime directory unchanged.
"""
import contextlib
import json
import os
import re
import select
import signal
import subprocess
import sys
import time
import unittest
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent / "support"))
import json_schema  # noqa: E402

PYTHON = "/usr/bin/python3"  # Debian's, which has gi
HERE = Path(__file__).resolve().parent
NAME = "io.github.tchostnet.HostNet1"
ERROR = NAME + ".Error."
ACCESS_DENIED = "org.freedesktop.DBus.Error.AccessDenied"
MUST_ASK = "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired"
INVALID_ARGS = "org.freedesktop.DBus.Error.InvalidArgs"
GATEWAY = "198.18.0.1"
CONTAINER = "198.18.0.2"
UIDS = {"root": 0, "alice": 20001, "bob": 20002, "mallory": 20003} | {f"crowd{i}": 20100 + i for i in range(32)}


def run(*command, check=True, **options):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=60, **options)
    if check and done.returncode != 0:
        raise AssertionError(f"{command}: exit status {done.returncode}: {done.stdout}{done.stderr}")
    json_schema.check_output(command, done.stdout, done.stderr)
    return done


def eventually(check, seconds=10.0):
    """The first true value of check(), or the last one when time is up."""
    end = time.monotonic() + seconds
    while not (value := check()) and time.monotonic() < end:
        time.sleep(0.01)
    return value


def sanitized(pid):
    """Whether the program is built with a sanitizer, which keeps freed memory and adds several bytes of shadow per byte."""
    return re.search(rb"__[at]san_init", Path(f"/proc/{pid}/exe").read_bytes()) is not None


def as_user(user):
    return ["setpriv", "--reuid", user, "--regid", str(UIDS[user]), "--init-groups"] if user != "root" else []


def user_environment():
    return {key: value for key, value in os.environ.items() if key not in ("TC_HOSTNET_RUNTIME_DIR", "XDG_RUNTIME_DIR")}


class BusError(Exception):
    def __init__(self, name, message):
        super().__init__(f"{name}: {message}")
        self.name, self.message = name, message


class Caller:
    """caller.py as a user; methods of the same names."""

    def __init__(self, user):
        self.process = subprocess.Popen([*as_user(user), PYTHON, "-B", HERE / "caller.py"], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True, env=user_environment())
        self.pid = self.process.pid

    def begin(self, do, **arguments):
        self.process.stdin.write(json.dumps({"do": do} | arguments) + "\n")
        self.process.stdin.flush()

    def answered(self, seconds):
        return bool(select.select([self.process.stdout], [], [], seconds)[0])

    def result(self, seconds=30):
        if not self.answered(seconds):
            raise AssertionError("no answer in time")
        answer = json.loads(self.process.stdout.readline())
        if "error" in answer:
            raise BusError(answer["error"], answer["message"])
        return answer["result"]

    def __getattr__(self, do):
        def order(**arguments):
            self.begin(do, **arguments)
            return self.result()
        return order

    def expose(self, ifindex, *ports, flag=False, **options):
        self.begin_expose(ifindex, *ports, flag=flag, **options)
        return self.result()

    def begin_expose(self, ifindex, *ports, flag=False, **options):
        """ports: numbers, or (protocol, listen, host). options: the Python type gives the D-Bus type."""
        self.begin("expose", ifindex=ifindex, flag=flag,
                   ports=[port if isinstance(port, tuple) else ("tcp", port, port) for port in ports],
                   options={key.replace("_", "-"): typed(key, value) for key, value in options.items()})

    def quit(self):
        self.process.stdin.close()
        self.process.wait(20)
        self.process.stdout.close()

    def kill(self):
        self.process.kill()
        self.process.wait(20)
        self.process.stdin.close()
        self.process.stdout.close()


def typed(key, value):
    if key == "timeout":
        return "t", value
    if isinstance(value, bool):
        return "b", value
    return ("as", value) if isinstance(value, list) else ("s", value)


def ifindex_of(interface, netns=None):
    inside = ["-n", netns] if netns else []
    return json.loads(run("ip", *inside, "-j", "link", "show", interface).stdout)[0]["ifindex"]


def add_bridge(name, address=GATEWAY, link=None):
    run("ip", "link", "add", name, *(["index", link] if link else []), "type", "bridge")
    run("ip", "address", "add", f"{address}/24", "dev", name)
    run("ip", "link", "set", name, "up")
    return ifindex_of(name)


def add_container(netns, bridge, address, gateway):
    run("ip", "netns", "add", netns)
    run("ip", "link", "add", f"v-{netns}", "type", "veth", "peer", "name", "eth0", "netns", netns)
    run("ip", "link", "set", f"v-{netns}", "master", bridge, "up")
    for command in (["address", "add", f"{address}/24", "dev", "eth0"], ["link", "set", "eth0", "up"],
                    ["link", "set", "lo", "up"], ["route", "add", "default", "via", gateway]):
        run("ip", "-n", netns, *command)


class Service:
    """Listens on the port of an address of the loopback and sends its user's name to each client."""

    PROGRAM = """
import socket, sys
server = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
server.bind((sys.argv[3], int(sys.argv[1])))
server.listen(64)
print("up", flush=True)
while True:
    peer, _ = server.accept()
    peer.sendall(sys.argv[2].encode())
    peer.close()
"""

    def __init__(self, user, port, address="127.0.0.1"):
        low = ["--ambient-caps", "+net_bind_service", "--inh-caps", "+net_bind_service"] if port < 1024 else []
        command = as_user(user)
        self.process = subprocess.Popen([*command, *low, PYTHON, "-c", self.PROGRAM, str(port), user, address],
                                        stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "up\n"

    def stop(self):
        self.process.kill()
        self.process.wait(10)
        self.process.stdout.close()


def fetch(port, netns="container", gateway=GATEWAY, seconds=2):
    """What the service says, or None."""
    done = run("ip", "netns", "exec", netns, PYTHON, "-c", """
import socket, sys
try:
    with socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=float(sys.argv[3])) as peer:
        print(peer.recv(100).decode(), end="")
except OSError:
    sys.exit(1)
""", gateway, port, seconds, check=False)
    return done.stdout if done.returncode == 0 and done.stdout else None


def firewall():
    """Legacy rules, the chains with rules, and nf_tables, all without counters. An empty legacy table counts as absent."""
    lines = run("iptables-legacy-save").stdout.splitlines()
    nft = run("nft", "-s", "list", "ruleset").stdout.splitlines()
    return [line for line in lines if line.startswith("-A") or "TCHN" in line] + nft


def settings():
    out = {}
    for link in json.loads(run("ip", "-j", "-d", "link", "show").stdout):
        path = Path(f"/proc/sys/net/ipv4/conf/{link['ifname']}/route_localnet")
        with contextlib.suppress(OSError):  # the interface is gone by now
            out[link["ifname"]] = path.read_text().strip()
    return out


def helper_pid():
    done = run("busctl", "call", "org.freedesktop.DBus", "/", "org.freedesktop.DBus", "GetConnectionUnixProcessID", "s",
               NAME, check=False)
    return int(done.stdout.split()[1]) if done.returncode == 0 else None


def helper_log():
    return Path(os.environ["HELPER_LOG"]).read_text()


class Helped(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.bridge = add_bridge("br-test")
        add_container("container", "br-test", CONTAINER, GATEWAY)
        add_container("neighbour", "br-test", "198.18.0.3", GATEWAY)

    @classmethod
    def tearDownClass(cls):
        for netns in ("container", "neighbour"):
            run("ip", "netns", "del", netns)
            run("ip", "link", "del", f"v-{netns}", check=False)
        run("ip", "link", "del", "br-test", check=False)

    def setUp(self):
        self.before = (firewall(), settings())
        self.addCleanup(self.check_clean)

    def check_clean(self):
        def clean():
            return (firewall(), settings()) == self.before
        if not eventually(clean, 5):
            self.assertEqual((firewall(), settings()), self.before)

    def caller(self, user):
        caller = Caller(user)
        self.addCleanup(lambda: caller.process.poll() is None and caller.kill())
        return caller

    def service(self, user, port, **options):
        service = Service(user, port, **options)
        self.addCleanup(lambda: service.process.poll() is None and service.stop())
        return service

    def refused(self, name, call, *arguments, **options):
        """The message of the error that the call must end with."""
        with self.assertRaises(BusError) as caught:
            call(*arguments, **options)
        self.assertEqual(caught.exception.name, name, caught.exception.message)
        return caught.exception.message

    def stop_helper(self, number=signal.SIGTERM):
        pid = helper_pid()
        if pid is None:
            return
        os.kill(pid, number)
        self.assertTrue(eventually(lambda: helper_pid() is None))
