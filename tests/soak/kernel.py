"""Reads the kernel's state and the journal without tc-hostnet: from sysctl files, nft and iptables-legacy-save.

Consecutive readings do not show one moment, and a mixed state would raise false alarms. So rules and settings are read
together while the rules do not change: for iptables under the xtables lock, which every writer takes; for nftables
between two equal readings of the generation, which the kernel increments with every change."""
import contextlib
import dataclasses
import fcntl
import json
import os
import pathlib
import re
import socket
import struct
import subprocess

LOOPBACK_NET = {"prefix": {"addr": "127.0.0.0", "len": 8}}


@dataclasses.dataclass(frozen=True)
class Forward:
    """A port forward from a gateway's port to one of 127.0.0.1; an empty `source` means every source on the bridge."""
    bridge: str
    source: str
    gateway: str
    protocol: str
    listen: int
    host: int


@dataclasses.dataclass
class Rules:
    guarded: set  # the bridges with the whole guard
    forwards: set


def output(*command):
    """The command's output; empty if it fails, as when a table to list does not exist."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                          timeout=20)
    return done.stdout if done.returncode == 0 else ""


class Nftables:
    name = "nftables"

    @staticmethod
    def generation():
        """nf_tables' generation (NFT_MSG_GETGEN, the attribute NFTA_GEN_ID)."""
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12) as netfilter:  # NETLINK_NETFILTER
            netfilter.settimeout(5)
            netfilter.send(struct.pack("=IHHIIBBH", 20, 10 << 8 | 16, 1, 1, 0, 0, 0, 0))
            answer = netfilter.recv(4096)
        length, kind, generation = struct.unpack_from("=HH4s", answer, 20)
        assert (length, kind) == (8, 1), answer
        return struct.unpack("!I", generation)[0]

    def together(self, read):
        """(rules, read()), both of one moment; None if the rules kept changing."""
        for _ in range(5):
            before = self.generation()
            rules = self.rules()
            seen = read()
            if self.generation() == before:
                return rules, seen
        return None

    @staticmethod
    def rules():
        text = output("nft", "-j", "list", "table", "ip", "tc_hostnet")
        sets, hooks, rules = {}, {}, []
        for entry in json.loads(text)["nftables"] if text else []:
            for kind, value in entry.items():
                if kind in ("set", "map"):
                    sets[value["name"]] = value.get("elem", [])
                elif kind == "chain":
                    hooks[value["name"]] = (value.get("type"), value.get("hook"), value.get("prio"))
                elif kind == "rule":
                    rules.append((value["chain"], value["expr"]))
        return Rules(Nftables._guarded(sets, hooks, rules), Nftables._forwards(sets, hooks, rules))

    @staticmethod
    def _guarded(sets, hooks, rules):
        def drops(chain, of, address):
            # A drop on one of these bridges, for this address in 127/8, with no accept before it.
            return any(in_chain == chain and {"drop": None} in words and
                       any(word.get("match", {}).get("right") == f"@{of}" for word in words) and
                       any(word.get("match", {}).get("right") == LOOPBACK_NET and
                           word["match"]["left"]["payload"]["field"] == address for word in words) and
                       '"ct"' not in json.dumps(words)  # regardless of conntrack's state
                       for in_chain, words in rules)

        whole = (hooks.get("guard_raw") == ("filter", "prerouting", -310) and
                 hooks.get("guard_out") == ("filter", "postrouting", -160) and
                 hooks.get("guard_in") == ("filter", "input", -10) and
                 drops("guard_raw", "bridges_raw", "daddr") and drops("guard_raw", "bridges_raw", "saddr") and
                 drops("guard_out", "bridges_out", "saddr") and drops("guard_in", "bridges_in", "daddr"))
        names = [{name for name in sets.get(of, []) if isinstance(name, str)}
                 for of in ("bridges_raw", "bridges_out", "bridges_in")]
        return set.intersection(*names) if whole else set()

    @staticmethod
    def _forwards(sets, hooks, rules):
        forwards = set()
        if hooks.get("doors") != ("nat", "prerouting", -110):
            return forwards
        for name in ("by_source", "by_bridge"):
            leads = f'"@{name}"' in json.dumps([words for chain, words in rules if chain == "doors"])
            for key, value in sets.get(name, []) if leads else []:
                fields = key.get("elem", {}).get("val", key)["concat"]
                bridge, *source, gateway, protocol, listen = fields
                forwards.add(Forward(bridge, source[0] if source else "", gateway, protocol, listen, value["concat"][1]))
        return forwards


class Iptables:
    name = "iptables"
    DOOR = re.compile(r"^-A TCHN-PRE (?:-s (\S+)/32 )?-d (\S+)/32 -i (\S+) -p (\S+) -m \S+ --dport (\d+) .*"
                      r"-j DNAT --to-destination 127\.0\.0\.1:(\d+)$", re.MULTILINE)
    JUMPS = (re.compile(r"^-A PREROUTING -i (\S+) .*-j TCHN-RAW$", re.MULTILINE),
             re.compile(r"^-A POSTROUTING -o (\S+) .*-j TCHN-POST$", re.MULTILINE),
             re.compile(r"^-A INPUT -d 127\.0\.0\.0/8 -i (\S+) .*-j TCHN-IN$", re.MULTILINE))
    DOORSTEP = re.compile(r"^-A PREROUTING -d (\S+)/32 -i (\S+) .*-j TCHN-PRE$", re.MULTILINE)
    DROPS = (re.compile(r"^-A TCHN-RAW -d 127\.0\.0\.0/8 -m comment .*-j DROP$", re.MULTILINE),
             re.compile(r"^-A TCHN-RAW -s 127\.0\.0\.0/8 -m comment .*-j DROP$", re.MULTILINE),
             re.compile(r"^-A TCHN-POST -s 127\.0\.0\.0/8 -m conntrack ! --ctstate DNAT .*-j DROP$", re.MULTILINE),
             re.compile(r"^-A TCHN-IN -m comment .*-j DROP$", re.MULTILINE))

    def together(self, read):
        with xtables_lock():
            return self.rules(), read()

    @classmethod
    def rules(cls):
        text = output("iptables-legacy-save")
        guarded = set()
        if all(drop.search(text) for drop in cls.DROPS):
            guarded = set.intersection(*(set(jump.findall(text)) for jump in cls.JUMPS))
        led_to = {(bridge, gateway) for gateway, bridge in cls.DOORSTEP.findall(text)}
        forwards = {Forward(bridge, source, gateway, protocol, int(listen), int(host))
                 for source, gateway, bridge, protocol, listen, host in cls.DOOR.findall(text)
                 if (bridge, gateway) in led_to}
        return Rules(guarded, forwards)


class xtables_lock:  # pylint: disable=invalid-name
    """Holds the xtables lock: no other process changes legacy ip_tables."""

    def __enter__(self):
        self._file = open("/run/xtables.lock", "rb")
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def __exit__(self, *_):
        self._file.close()


def firewall(name):
    return {"nftables": Nftables, "iptables": Iptables}[name]()


def settings():
    """{interface: ifindex} of those with route_localnet on."""
    on = {}
    for folder in pathlib.Path("/proc/sys/net/ipv4/conf").iterdir():
        if folder.name in ("all", "default"):
            continue
        try:
            before = ifindex(folder.name)
            if (folder / "route_localnet").read_text() != "0\n" and before == ifindex(folder.name):
                on[folder.name] = before
        except OSError:
            continue  # it is gone by now
    return on


def ifindex(name):
    """None if there is no such interface."""
    try:
        return socket.if_nametoindex(name)
    except OSError:
        return None


@dataclasses.dataclass(frozen=True)
class Lease:
    id: str
    ifindex: int
    bridge: str
    forwards: frozenset
    pid: int
    start: int
    releasing: bool
    expires: int  # seconds since 1970; 0 for never

    def holder_lives(self):
        return process_lives(self.pid, self.start)


class Journal:
    """The journal of this network namespace; empty if there is none."""

    def __init__(self, runtime_dir):
        self._folder = pathlib.Path(runtime_dir)

    def text(self):
        for path in self._folder.glob("netns-*/journal.jsonl"):
            try:
                return path.read_text()
            except FileNotFoundError:
                pass
        return ""

    def leases(self):
        return leases_in(self.text())


def leases_in(text):
    """{id: Lease}. The first line is the full snapshot, each further one a change; a line without a line end is ignored."""
    bridges, leases = {}, {}
    for line in text.splitlines(keepends=True):
        if not line.endswith("\n"):
            break
        entry = json.loads(line)
        if "bridges" in entry:
            bridges = {bridge["ifindex"]: bridge["name"] for bridge in entry["bridges"]}
        for gone in entry.get("gone", []):
            leases.pop(gone, None)
        for lease in entry["leases"]:
            leases[lease["id"]] = lease
    return {key: _lease(value, bridges) for key, value in leases.items()}


def _lease(entry, bridges):
    bridge = bridges[entry["ifindex"]]
    forwards = set()
    for port in entry["ports"]:
        numbers, _, protocol = port.partition("/")
        host, _, listen = numbers.partition(":")
        for gateway in entry["gateways"]:
            for source in entry["sources"] or [""]:
                forwards.add(Forward(bridge, source, gateway, protocol or "tcp", int(listen or host), int(host)))
    owner = entry["owner"]
    return Lease(entry["id"], entry["ifindex"], bridge, frozenset(forwards), owner["pid"], owner["start"],
                 entry["releasing"], entry.get("expires", 0))


def process_lives(pid, start):
    """The start time rules out another process with the same pid."""
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return False
    return fields[0] not in "ZX" and int(fields[19]) == start


def holders():
    """The tc-hostnet processes in this pid namespace, as lines."""
    found = []
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if (folder / "comm").read_text().startswith("tc-hostnet") and \
                    (folder / "stat").read_text().rpartition(")")[2].split()[0] not in "ZX":
                words = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                found.append(f"process {folder.name}: {words.strip()}")
        except OSError:
            continue
    return found


def snapshot(runtime_dir):
    """Everything that tc-hostnet may change on a host, as sorted lines, without counters and interface indexes."""
    legacy = re.sub(r" \[\d+:\d+\]$", "", output("iptables-legacy-save"), flags=re.MULTILINE)
    lines = [f"legacy {line}" for line in legacy.splitlines() if not line.startswith("#")]
    lines += [f"nft {line}" for line in output("nft", "-s", "list", "ruleset").splitlines()]
    for path in pathlib.Path("/proc/sys/net/ipv4/conf").glob("*/route_localnet"):
        with contextlib.suppress(OSError):  # its interface is gone by now
            lines.append(f"route_localnet of {path.parent.name}: {path.read_text().strip()}")
    lines += [f"file {os.path.join(folder, name)}" for folder, folders, files in os.walk(runtime_dir)
              for name in folders + files]
    return sorted(lines + holders())
