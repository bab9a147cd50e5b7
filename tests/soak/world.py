"""The host of a soak, without an engine: bridges, "containers" on them (one network namespace and one process each),
services on 127.0.0.1, and strangers that disturb them. Built in the caller's network namespace, which must be fresh
(tests/support/in_namespaces)."""
import contextlib
import ctypes
import os
import random
import socket
import socketserver
import subprocess
import threading
import time

import kernel

CLONE_NEWNET = 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)
SERVICES = range(18100, 18105)
TABLES = ("raw", "mangle", "nat", "filter")


def run(*command, check=True, text=None):
    done = subprocess.run(command, input=text, stdin=None if text is not None else subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=30)
    if check and done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} gave {done.returncode}: {done.stdout}")
    return done.stdout


class Service(socketserver.BaseRequestHandler):
    """Sends its port number and closes."""

    def handle(self):
        with contextlib.suppress(ConnectionError):  # of one whom the relay refuses
            self.request.sendall(f"service {self.server.server_address[1]}\n".encode())


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True
    request_queue_size = 256


class Services:
    """One on each port of SERVICES."""

    def __init__(self):
        self._servers = [Server(("127.0.0.1", port), Service) for port in SERVICES]
        for server in self._servers:
            threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True).start()

    def close(self):
        for server in self._servers:
            server.shutdown()
            server.server_close()


class Container:
    def __init__(self, bridge, number):
        self.bridge, self.name = bridge, f"{bridge.name}-{number}"
        self.address = bridge.gateway.rpartition(".")[0] + f".{number + 2}"
        self.path = f"/run/netns/{self.name}"
        self.port = f"p-{self.name}"
        self.process = None

    def start(self):
        run("ip", "netns", "add", self.name)
        run("ip", "link", "add", self.port, "type", "veth", "peer", "name", "eth0", "netns", self.name)
        run("ip", "-n", self.name, "-batch", "-", text=f"link set lo up\nlink set eth0 up\n"
            f"address add {self.address}/24 dev eth0\nroute add default via {self.bridge.gateway}\n")
        run("ip", "link", "set", self.port, "master", self.bridge.name, "up")
        self.process = subprocess.Popen(["nsenter", f"--net={self.path}", "sleep", "infinity"], stdin=subprocess.DEVNULL)

    def stop(self):
        self.process.kill()
        self.process.wait()
        run("ip", "link", "delete", self.port)
        run("ip", "netns", "delete", self.name)

    def fetch(self, address, port, patience):
        return fetch(self.path, address, port, patience)


def fetch(path, address, port, patience):
    """The answer of the service that is dialled in this network namespace."""
    with _socket_in(path) as connection:
        connection.settimeout(patience)
        connection.connect((address, port))
        return b"".join(iter(lambda: connection.recv(4096), b"")).decode().strip()


def _socket_in(path):
    # A socket stays in the namespace that created it, even if its thread moves.
    with open("/proc/thread-self/ns/net", "rb") as home, open(path, "rb") as there:
        _enter(there)
        try:
            return socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        finally:
            _enter(home)


def _enter(namespace):
    if LIBC.setns(namespace.fileno(), CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


class Bridge:
    def __init__(self, number, containers):
        self.name, self.gateway = f"soak{number}", f"198.18.{number}.1"
        self.containers = [Container(self, each) for each in range(containers)]
        self.lock = threading.Lock()  # held while re-creating it or its containers

    def start(self):
        run("ip", "-batch", "-", text=f"link add {self.name} type bridge\n"
            f"address add {self.gateway}/24 dev {self.name}\nlink set {self.name} up\n")

    def recreate(self):
        run("ip", "link", "delete", self.name)
        self.start()
        for container in self.containers:
            run("ip", "link", "set", container.port, "master", self.name)


class World:
    def __init__(self, firewall, history):
        self._history, self.firewall = history, firewall
        self.runtime_dir = os.environ["TC_HOSTNET_RUNTIME_DIR"]
        self.bridges = [Bridge(number, 2) for number in range(3)]
        self.containers = [container for bridge in self.bridges for container in bridge.containers]
        self._strangers = threading.Lock()
        self._last_flush = 0.0
        self._services = Services()
        for table in TABLES if firewall == "iptables" else ():
            run("iptables-legacy", "-t", table, "-n", "-L")  # create it now: an empty table counts as none
        for bridge in self.bridges:
            bridge.start()
            for container in bridge.containers:
                container.start()
        self.before = kernel.snapshot(self.runtime_dir)

    @staticmethod
    def last_commands(command):
        """(argv, environment) of what removes all that is left."""
        return [([command, "release", "--all"], None)]

    def end(self):
        for container in self.containers:
            container.stop()
        for bridge in self.bridges:
            run("ip", "link", "delete", bridge.name)
        self._services.close()

    def changes(self):
        """The lines added and removed since the beginning."""
        return difference(self.before, kernel.snapshot(self.runtime_dir))

    def restart(self, who, container):
        with container.bridge.lock, self._history.doing(who, f"restart container {container.name}", [container.name]):
            container.stop()
            container.start()

    def recreate(self, who, bridge):
        with bridge.lock, self._history.doing(who, f"delete and make bridge {bridge.name}", [bridge.name]):
            bridge.recreate()

    # Strangers -------------------------------------------------------------------------------------------------------

    SPACING = 4.0  # seconds between flushes: the repair of one must be visible before the next

    def flush(self, who, choice):
        """Removes tc-hostnet's rules, or all rules; does nothing within SPACING of the last flush."""
        with self._strangers:
            if time.monotonic() - self._last_flush < self.SPACING:
                return False
            ways = FLUSHES[self.firewall]
            way = ways[int(choice * len(ways))]
            with self._history.doing(who, f"a stranger: {way}", ["firewall"]):
                # Fails if there is no rule of tc-hostnet.
                run("sh", "-c", way, check=False)
            self._last_flush = time.monotonic()
            return True

    def own_table(self, who):
        """Adds and removes a stranger's rules, which do not affect tc-hostnet."""
        with self._strangers, self._history.doing(who, "a stranger's own rules come and go"):
            if self.firewall == "iptables":
                run("iptables-legacy", "-w", "-t", "nat", "-A", "PREROUTING", "-p", "tcp", "--dport", "7", "-j", "ACCEPT")
                run("iptables-legacy", "-w", "-t", "nat", "-D", "PREROUTING", "-p", "tcp", "--dport", "7", "-j", "ACCEPT")
            run("nft", "-f", "-", text="table ip stranger { chain c { type nat hook prerouting priority dstnat;\n"
                "tcp dport 7 counter accept; }; }\n")
            run("nft", "delete", "table", "ip", "stranger")

    def save_and_restore(self, who):
        """A reload of the legacy firewall that keeps the current rules.
        
        Under the lock: the restore would undo any change made after the save."""
        with self._strangers, kernel.xtables_lock(), own_lock_file() as environment, \
                self._history.doing(who, "a stranger saves all rules and restores them"):
            subprocess.run("iptables-legacy-save | iptables-legacy-restore", shell=True, check=True, timeout=30,
                           env=environment)


def difference(before, after):
    """The lines removed and added."""
    return [f"- {line}" for line in before if line not in after] + [f"+ {line}" for line in after if line not in before]


@contextlib.contextmanager
def own_lock_file():
    """For a program whose parent holds the lock."""
    path = f"/run/netns/lock-{random.SystemRandom().randrange(1 << 30)}"
    try:
        yield os.environ | {"XTABLES_LOCKFILE": path}
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


FLUSHES = {
    "nftables": ("nft flush ruleset", "nft flush chain ip tc_hostnet guard_raw", "nft flush set ip tc_hostnet bridges_raw",
                 "nft flush map ip tc_hostnet by_bridge", "nft delete table ip tc_hostnet"),
    "iptables": ("iptables-legacy -w -t nat -F PREROUTING", "iptables-legacy -w -t raw -F PREROUTING",
                 "iptables-legacy -w -t raw -F TCHN-RAW", "iptables-legacy -w -t filter -F",
                 "for table in raw mangle filter nat; do iptables-legacy -w -t $table -F; done"),
}
