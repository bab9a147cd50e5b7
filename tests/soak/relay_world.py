"""The host of a soak of the relay path: a real Docker Engine with containers on two networks and on none, services on
127.0.0.1, and two owners of leases: root, who enters the containers, and a user of the engine's socket, whose leases go by
hand-off. Built in the caller's namespaces, which must be fresh (tests/support/in_namespaces)."""
import contextlib
import json
import os
import pathlib
import re
import sys
import threading

import kernel
from world import Services, difference, fetch, run

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent / "e2e"))
from engine_api import Refused  # noqa: E402
from engines import Docker, with_flock  # noqa: E402
from harness import IMAGE  # noqa: E402

USER = 65534
INSIDE = "127.0.0.77"  # where the relay listens in a container
LABEL = "io.github.tchostnet.lease"
MARK = re.compile(r"# tc-hostnet ([0-9a-f]{8})$", re.MULTILINE)
LISTENS = "0A"  # the state of a listening socket in /proc/net/tcp


class Container:
    """On a network of the engine, or on "none"."""

    def __init__(self, world, name, network):
        self._world, self.name, self.network = world, name, network
        self.lock = threading.Lock()  # held while it restarts
        # Without flock(1), commands that edit a hosts file may undo each other's work (src/engine/exec_alias.hpp).
        self.id = world.api.create(name, IMAGE, ["sleep", "infinity"], network=network, Binds=with_flock())
        self.hosts_path = self.pid = None
        self.start()

    def start(self):
        self._world.api.start(self.id)
        self.look()

    def look(self):
        found = self._world.api.inspect(self.id)
        self.pid, self.hosts_path = found["State"]["Pid"], found["HostsPath"]

    def restart(self):
        self._world.api.restart(self.id)
        self.look()

    def fetch(self, address, port, patience):
        return fetch(f"/proc/{self.pid}/ns/net", address, port, patience)

    def marks(self):
        """The ids of the leases that gave it the name. Raises OSError while it is away."""
        return MARK.findall(pathlib.Path(self.hosts_path).read_text())

    def listening(self):
        """The count of our listening sockets in its network. Raises OSError while it is away."""
        return _listening(f"/proc/{self.pid}/net/tcp", INSIDE)


def _listening(path, address):
    own = "".join(f"{int(part):02X}" for part in reversed(address.split(".")))
    rows = [line.split() for line in pathlib.Path(path).read_text().splitlines()[1:]]
    return sum(row[1].startswith(f"{own}:") and row[3] == LISTENS for row in rows)


class Network:
    def __init__(self, api, name):
        self.name = name
        api.make_network(name)
        self.gateway = api.network(name)["IPAM"]["Config"][0]["Gateway"]
        self.containers = []

    def listening(self):
        """The count of sockets that listen at its gateway."""
        return _listening("/proc/net/tcp", self.gateway)


class Owner:
    """Of leases. `look` is what a command of this owner looks after."""

    def __init__(self, name, command, env, folder):
        self.look = f"look of {name}"
        self.command, self.env, self._folder = command, env, pathlib.Path(folder)

    def records(self):
        """{id: Record}, without those whose owner follows another lease."""
        found = {}
        with contextlib.suppress(FileNotFoundError):  # no lease, no folder
            names = os.listdir(self._folder / "ssh")
            for name in names:
                with contextlib.suppress(FileNotFoundError):
                    if name.endswith((".json", ".released")):
                        record = Record(json.loads((self._folder / "ssh" / name).read_text()), name.endswith(".released"))
                        if record.state != "following":
                            found[record.id] = record
        return found

    def leases(self):
        """As of a kernel.Journal: those that commands know."""
        return {key: record for key, record in self.records().items() if not record.releasing}

    def files(self):
        return [f"file {path}" for path in self._folder.glob("**/*")]


class Record:
    """`releasing`: another process has released the lease, and the owner may not have ended it yet."""

    def __init__(self, entry, releasing):
        owner = entry["owner"]
        self.id, self.pid, self._start = entry["id"], owner["pid"], owner["start"]
        self.releasing = releasing
        self.state, self.target = entry["facts"]["state"], entry["target"]
        self.ports, self.marked = len(entry["ports"]), entry["alias_in"]

    def holder_lives(self):
        return kernel.process_lives(self.pid, self._start)


class RelayWorld:
    def __init__(self, command, history):
        self._history = history
        self.engine = Docker()
        self.api = self.engine.api
        try:
            self.networks = [Network(self.api, name) for name in ("one", "two")]
            self.containers = []
            for number, network in enumerate(("one", "one", "two", "two", "none")):
                self.containers.append(Container(self, f"app{number}", network))
            for network in self.networks:
                network.containers = [one for one in self.containers if one.network == network.name]
            self._services = Services()
            self.owners = self._owners(command)
            self.before = self.snapshot()
        except BaseException:
            self.engine.close()
            raise

    def _owners(self, command):
        self.engine.let_everybody_in()
        home = self.engine.dir / "user"
        home.mkdir()
        os.chown(home, USER, USER)
        env = os.environ | {"TC_HOSTNET_ENGINE": f"unix://{self.engine.socket}"}
        own = env | {"HOME": str(home), "XDG_RUNTIME_DIR": str(home)}
        own.pop("TC_HOSTNET_RUNTIME_DIR")
        as_user = ["setpriv", "--reuid", str(USER), "--regid", str(USER), "--clear-groups", command]
        return [Owner("root", [command], env, env["TC_HOSTNET_RUNTIME_DIR"]), Owner("a user", as_user, own, home / "tc-hostnet")]

    def last_commands(self, _command):
        return [([*owner.command, "release", "--all", "--images"], owner.env) for owner in self.owners]

    def end(self):
        self._services.close()
        self.engine.close()

    def changes(self):
        return difference(self.before, self.snapshot())

    def snapshot(self):
        """Everything that the relay path may change, as lines."""
        inventory = self.engine.inventory()
        lines = inventory["containers"] + inventory["networks"] + self.api.images() + kernel.holders()
        for owner in self.owners:
            lines += owner.files()
        for container in self.containers:
            # The engine writes a line of its own with the address, which a restart may change.
            hosts = pathlib.Path(container.hosts_path).read_text().splitlines()
            lines += [f"{container.name}: {line}" for line in hosts if "testcontainers" in line]
            lines.append(f"{container.name} has {container.listening()} sockets at {INSIDE}")
            tables = kernel.output("nsenter", f"--net=/proc/{container.pid}/ns/net", "nft", "list", "tables")
            lines += [f"{container.name}: {table}" for table in tables.splitlines()]
        lines += [f"{network.gateway} has {network.listening()} sockets" for network in self.networks]
        return sorted(lines)

    # What users of the engine do ---------------------------------------------------------------------------------------

    def restart(self, who, container):
        with container.lock, self._history.doing(who, f"restart container {container.name}", [container.name]):
            container.restart()

    def crash(self, who, container):
        """Its process dies, and somebody starts it again."""
        with container.lock, self._history.doing(who, f"kill and start container {container.name}", [container.name]):
            with contextlib.suppress(Refused):
                self.api.kill(container.id)
            self.api.wait(container.id)
            container.start()

    def move(self, who, container, network):
        """Disconnects a container from its network and connects it again."""
        with container.lock, self._history.doing(who, f"take container {container.name} from network {network.name} and back",
                                                 [container.name, network.name]):
            self.api.disconnect(network.name, container.id)
            run("sleep", "0.2")
            self.api.connect(network.name, container.id)

    def helpers(self):
        """The ids of the leases whose hand-off containers are at the engine."""
        found = self.api.get("/containers/json?all=true")
        return {one["Labels"][LABEL] for one in found if LABEL in one["Labels"]}
