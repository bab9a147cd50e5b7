"""Shared by the end-to-end tests: the command, engines, real services on 127.0.0.1, and a comparison of everything that
tc-hostnet may change on a host, before and after each test.

Every test program runs under tests/support/in_namespaces with TC_HOSTNET naming the built command, and starts its own
engine once for all its tests."""
import atexit
import contextlib
import http.server
import json
import os
import re
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path

from engine_api import attempt

SUPPORT = Path(__file__).resolve().parent.parent / "support"
sys.path.append(str(SUPPORT))
import json_schema  # noqa: E402
ALIAS = "host.testcontainers.internal"
IMAGE = "alpine:3.19"
RUNTIME_DIR = Path(os.environ["TC_HOSTNET_RUNTIME_DIR"])
# Netavark 1.4 leaves empty chains: some after the first container, some when two leave a network at once.
LEFT_BY_NETAVARK = "NETAVARK"
# It sometimes keeps the isolation rules after a network's last containers; without the bridge they have no effect.
KEPT_BY_NETAVARK = "NETAVARK_ISOLATION"
# CNI's plugin dnsname accepts its DNS on a network's bridge, and may forget that rule when it removes the network.
KEPT_BY_CNI = re.compile(r"-i cni-podman\d+ .*--dport 53 -j ACCEPT")
TABLES = ("raw", "mangle", "nat", "filter")


def run(*argv, timeout=60, env=None, stdin=None, check=True):
    """Runs to the end; the failure of a command that must succeed carries its output."""
    done = subprocess.run([str(word) for word in argv], capture_output=True, text=True, errors="replace", env=env,
                          input=stdin, stdin=None if stdin is not None else subprocess.DEVNULL, timeout=timeout)
    if check and done.returncode != 0:
        raise AssertionError(f"{argv}: exit status {done.returncode}: {done.stdout}{done.stderr}")
    json_schema.check_output(argv, done.stdout, done.stderr)
    return done


def output(*argv, **options):
    return run(*argv, **options).stdout.strip()


def eventually(condition, timeout=30):
    """Whether `condition()` becomes true within that many seconds."""
    until = time.monotonic() + timeout
    while not (result := condition()):
        if time.monotonic() > until:
            return result
        time.sleep(0.02)
    return result


class Service:
    """An HTTP service that really listens, on one address and port, and answers every GET with one text."""

    def __init__(self, port, text, address="127.0.0.1"):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                body = text.encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
            daemon_threads = True

        self.port = port
        self.server = Server((address, port), Handler)
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def rules_of(*command, **options):
    """The output of iptables-save as {table: {chain: [policy, rule…]}}: without counters and without the order of the
    chains, which has no meaning."""
    tables = {}
    for line in output(*command, timeout=30, **options).splitlines():
        if KEPT_BY_NETAVARK in line or KEPT_BY_CNI.search(line):
            continue
        if line.startswith("*"):
            chains = tables[line[1:]] = {}
        elif line.startswith(":"):
            name, policy, _ = line[1:].split(" ", 2)
            chains[name] = [policy]
        elif line.startswith("-A "):
            chains[line.split(" ", 2)[1]].append(line)
    for chains in tables.values():
        for name in [name for name in chains if name.startswith(LEFT_BY_NETAVARK) and len(chains[name]) == 1]:
            del chains[name]
    return tables


def nft_ruleset(*command, **options):
    """The chains, sets and tables of `nft list ruleset`, sorted."""
    listed = output(*command or ("nft", "list", "ruleset"), **options)
    listed = re.sub(r"counter packets \d+ bytes \d+", "counter", listed)
    listed = re.sub(rf"\t+.*jump {KEPT_BY_NETAVARK}_1\n", "", listed)
    listed = re.sub(r'\t+.*iifname "cni-podman\d+" udp dport 53 counter accept\n', "", listed)
    blocks, table = [], ""
    for block in re.split(r"\n+(?=\t\w|table )|\n}", listed):
        table = block.split(" {")[0] if block.startswith("table ") else table
        blocks.append((table, block.rstrip("\n}\t ")))
    left = re.compile(rf"\tchain ({LEFT_BY_NETAVARK}[\w-]+ {{$|{KEPT_BY_NETAVARK})")
    return sorted(block for block in blocks if block[1] and not left.match(block[1]))


def route_localnet():
    settings = {}
    for path in Path("/proc/sys/net/ipv4/conf").glob("*/route_localnet"):
        with contextlib.suppress(OSError):  # its interface is gone by now
            settings[path.parent.name] = path.read_text().strip()
    return settings


def state_folder():
    """Everything in the folder, even while entries disappear."""
    return sorted(os.path.join(folder, name) for folder, folders, files in os.walk(RUNTIME_DIR) for name in folders + files)


def snapshot(engine=None):
    """Everything on this host that the command may change, and what it must not."""
    seen = {"iptables-legacy": rules_of("iptables-legacy-save"), "iptables-nft": rules_of("iptables-nft-save"),
            "nft": nft_ruleset(), "route_localnet": route_localnet(), "hosts": Path("/etc/hosts").read_text(),
            "state": state_folder()}
    return seen | (engine.inventory() if engine else {})


def returns_to(before, engine=None, timeout=20):
    """Whether `snapshot(engine)` equals `before` within that many seconds."""
    def has_returned():
        try:
            return snapshot(engine) == before
        except AssertionError:  # the engine was asked about an object that is just going
            return False
    return eventually(has_returned, timeout)


def changed(before, engine=None):
    """What differs from `before`, for a failure's message: {part: (before, now)}."""
    now = snapshot(engine)
    return {part: (before[part], now[part]) for part in before if before[part] != now[part]}


def our_nft_tables(*command, **options):
    return [block for block in nft_ruleset(*command, **options) if block[0].endswith(" tc_hostnet")]


class LegacyTables:
    """$TC_HOSTNET_FIREWALL=iptables: the rules of leases as seen from outside, and interference with them. Its tables exist
    from the start, as on a host that uses iptables-legacy."""

    name = "iptables"
    # Each removes all rules of leases, except the bindings, which are in nftables with either firewall.
    # A monitor may restore rules between the two halves of the second one; these keep the chains, hence the loop.
    mischiefs = tuple("; ".join(line.format(table) for table in TABLES)
                      for line in ("iptables-legacy -w -t {} -F",
                                   "until iptables-legacy -w -t {0} -F && iptables-legacy -w -t {0} -X 2>&1; do sleep 0.05; done"))
    # This removes the rules that drop strangers' packets to 127.0.0.1.
    raw_mischief = "iptables-legacy -w -t raw -F"

    def prepare(self):
        """Listing a legacy table creates it permanently, so create all tables before the first comparison."""
        for table in TABLES:
            run("iptables-legacy", "-t", table, "-S")

    def rules(self):
        """All rules of leases, including bindings."""
        return rules_of("iptables-legacy-save"), our_nft_tables()

    def forwards(self):
        """The rules that rewrite a destination."""
        return [rule for rule in rules_of("iptables-legacy-save")["nat"].get("TCHN-PRE", []) if "DNAT" in rule]

    def words_of_a_forward(self, container, host):
        return f"--dport {container} ", f"--to-destination 127.0.0.1:{host}"

    def takes(self, script):
        run("iptables-legacy-restore", "--test", "--noflush", stdin=script)

    def rules_of_script(self, script):
        """The result of `rules` after the script ran in an empty namespace."""
        return rules_of("unshare", "-n", "sh", "-ec", "iptables-legacy-restore --noflush; iptables-legacy-save",
                        stdin=script), []


class OwnNftTable:
    """$TC_HOSTNET_FIREWALL=nftables. No legacy table is ever listed, and the engines use iptables-nft regardless of the
    machine's default: a stock Debian 12."""

    name = "nftables"
    mischiefs = "nft flush table ip tc_hostnet", "nft delete table ip tc_hostnet"
    raw_mischief = "nft flush chain ip tc_hostnet guard_raw"

    def __init__(self):
        folder = Path(tempfile.mkdtemp(prefix="hostnet-bin-"))
        atexit.register(shutil.rmtree, folder)
        for family in ("iptables", "ip6tables"):
            for suffix in ("", "-save", "-restore"):
                (folder / f"{family}{suffix}").symlink_to(shutil.which(f"{family}-nft{suffix}"))
        os.environ["PATH"] = f"{folder}:{os.environ['PATH']}"

    def prepare(self):
        """Does nothing: a legacy table that appears is a difference."""

    def rules(self):
        return our_nft_tables()

    def forwards(self):
        listed = run("nft", "list", "table", "ip", "tc_hostnet", check=False).stdout
        return re.findall(r"\S.* : 127\.0\.0\.1 \. \d+", listed)

    def words_of_a_forward(self, container, host):
        return f" . {container} comment ", f" : 127.0.0.1 . {host} "

    def takes(self, script):
        run("nft", "--check", "-f", "-", stdin=script)

    def rules_of_script(self, script):
        return our_nft_tables("unshare", "-n", "sh", "-ec", "nft -f -; nft list ruleset", stdin=script)


FIREWALL = {kind.name: kind for kind in (LegacyTables, OwnNftTable)}[os.environ["TC_HOSTNET_FIREWALL"]]()


class Lease:
    """A `tc-hostnet expose` in the foreground."""

    schema = "expose"

    def __init__(self, argv, env):
        self.process = subprocess.Popen(argv, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True)
        try:
            self.ready = self.read_event()
        except BaseException:
            self.close()
            raise

    def read_event(self, timeout=60):
        """The next line of --json."""
        until = time.monotonic() + timeout
        line = b""
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            # Byte by byte: a buffer would take the next line, too, where select() does not see it.
            while not line.endswith(b"\n"):
                if not selector.select(max(0, until - time.monotonic())):
                    raise AssertionError(f"tc-hostnet printed nothing for {timeout} s")
                byte = os.read(self.process.stdout.fileno(), 1)
                if not byte:
                    break
                line += byte
        if not line:
            raise AssertionError(f"tc-hostnet ended, exit status {self.process.wait(10)}: {json_schema.as_text(self.process.stderr.read())}")
        return json_schema.check_line(self.schema, line)

    @property
    def id(self):
        return self.ready["lease"]

    def follows(self, case, since, within=10):
        """Reads up to the event `followed`; it comes within that many seconds of `since` (time.monotonic())."""
        while (event := self.read_event())["event"] == "waiting":
            pass
        case.assertEqual((event["event"], event["lease"]), ("followed", self.id))
        case.assertLess(time.monotonic() - since, within)

    def end(self, number=signal.SIGTERM, timeout=60):
        """Sends the signal; returns (exit status, stdout, stderr as text) since `ready`."""
        if number is not None:
            self.process.send_signal(number)
        out, err = self.process.communicate(timeout=timeout)
        json_schema.check_output(self.process.args, out, err)
        return self.process.returncode, out, json_schema.as_text(err)

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)
        self.process.stdout.close()
        self.process.stderr.close()


in_use = []


def engine_of(kind):
    """The one engine of this program, replaced only for a class that needs another kind: starting an engine and making its
    images takes as long as many tests."""
    if in_use and type(in_use[0]) is not kind:
        end_engine()
    if not in_use:
        in_use.append(kind())
        unittest.addModuleCleanup(end_engine)
    return in_use[0]


def end_engine():
    """Does nothing if it has ended."""
    if in_use:
        in_use.pop().close()


class HostCase(unittest.TestCase):
    """A test that must leave the host unchanged. A subclass that needs an engine names it."""

    engine_type = None
    engine = None
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        FIREWALL.prepare()
        # A copy that every user may execute, regardless of where the checkout is.
        folder = Path(tempfile.mkdtemp(prefix="hostnet-bin-"))
        cls.addClassCleanup(shutil.rmtree, folder)
        folder.chmod(0o755)
        cls.program = folder / "tc-hostnet"
        shutil.copy(os.environ["TC_HOSTNET"], cls.program)
        if cls.engine_type:
            cls.engine = engine_of(cls.engine_type)

    def setUp(self):
        # The first clean-up added is the last to run.
        self.addCleanup(self.leaves_all_as_it_was, snapshot(self.engine))
        self.addCleanup(self.tc_hostnet, "release", "--all")

    def leaves_all_as_it_was(self, before):
        # The kernel removes the interfaces of an ended network namespace late.
        if returns_to(before, self.engine):
            return
        after = snapshot(self.engine)
        if self.engine:
            self.engine.clear(before)
        self.assertEqual(after, before, "something was left behind")

    @property
    def env(self):
        return os.environ | ({"DOCKER_HOST": f"unix://{self.engine.socket}"} if self.engine else {})

    def tc_hostnet(self, *arguments, check=True, **options):
        if "--detach" in arguments:
            # Before its target goes, else the lease waits for that to come back.
            self.addCleanup(self.tc_hostnet, "release", "--all", check=False, env=options.get("env", self.env))
        return run(self.program, *arguments, env=options.pop("env", self.env), check=check, **options)

    def expose(self, *arguments):
        lease = Lease([self.program, "--json", "expose", *map(str, arguments)], self.env)
        self.addCleanup(lease.close)
        self.assertEqual(lease.ready["event"], "ready")
        return lease

    def detach(self, *arguments):
        """Returns the lease's id."""
        return self.tc_hostnet("expose", *arguments, "--detach").stdout.strip()

    def leases(self):
        return [json.loads(line) for line in self.tc_hostnet("list", "--json").stdout.splitlines()]

    def service(self, port, text, address="127.0.0.1"):
        service = Service(port, text, address)
        self.addCleanup(service.close)
        return service

    def doctor(self, *words):
        """What it says once the engine has told its version: on a busy machine that may take longer than it waits."""
        def said():
            out = self.tc_hostnet("doctor", *words, check=False).stdout
            return None if "it answers, but" in out else out
        return eventually(said)

    def network(self, name, *options):
        """The options (rarely used) are those of the engine's own command."""
        if options:
            self.engine("network", "create", *options, name)
        else:
            self.engine.api.make_network(name)
        self.addCleanup(attempt, self.engine.api.remove_network, name)
        return name

    def gateway(self, network):
        return self.engine.api.network(network)["IPAM"]["Config"][0]["Gateway"]

    def container(self, name, image=IMAGE, command=("sleep", "600"), **options):
        """The options are those of Api.create()."""
        self.addCleanup(attempt, self.engine.api.remove, name)
        self.engine.api.run(name, image, command, **options)
        return name

    def container_by_command(self, name, *options):
        """Starts it as users do."""
        self.addCleanup(attempt, self.engine.api.remove, name)
        self.engine("run", "-d", "--name", name, *options, IMAGE, "sleep", "600")

    def image_without_a_shell(self):
        """An image of static programs only: each is a copy of busybox under the name of an applet."""
        root = Path(tempfile.mkdtemp(prefix="hostnet-e2e-"))
        self.addCleanup(shutil.rmtree, root)
        root.chmod(0o755)
        for program in ("sleep", "wget", "cat"):
            shutil.copy("/bin/busybox", root / program)
        run("sh", "-c", f"tar -C {root} -c . | {' '.join(map(str, self.engine.command))} import - static:1",
            env=self.engine.env)
        self.addCleanup(self.engine.attempt, "rmi", "static:1")
        return "static:1"

    def reaches(self, container, text, port=8088, name=ALIAS):
        self.assertEqual(self.engine.fetch(container, f"http://{name}:{port}/"), text)

    def reaches_nothing(self, container, port=8088, name=ALIAS):
        self.assertIsNone(self.engine.fetch(container, f"http://{name}:{port}/", timeout=2))

    def address_of(self, container):
        networks = self.engine.api.inspect(container)["NetworkSettings"]["Networks"]
        return "".join(one["IPAddress"] for one in networks.values())

    def has_alias(self, container):
        return any(ALIAS in line for line in self.engine.hosts(container))


def main():
    unittest.main(verbosity=2)
