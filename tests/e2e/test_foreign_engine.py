#!/usr/bin/python3
"""Engines that the native path must not trust on this machine: another user's, and one behind a tunnel, whose bridges have
namesakes here."""
import json
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

from engines import DockerWithSshd
from harness import ALIAS, FIREWALL, HostCase, main, output, route_localnet, run

OTHER = 31001  # a uid
SECRET = "root ALL=(ALL) ALL\n"
CONTAINER, NETWORK = "c" * 64, "d" * 64


def as_user(uid):
    return ["setpriv", "--reuid", uid, "--regid", uid, "--clear-groups", "--inh-caps=-all"] if uid else []


class Namespace:
    """A network namespace with a process, on a bridge of this namespace or of the namespace `at`."""

    def __init__(self, case, name, bridge, address, at=None, setup=""):
        self.name = name
        here = ["ip", "netns", "exec", at] if at else []
        run("ip", "netns", "add", name)
        case.addCleanup(run, "ip", "netns", "del", name)
        run(*here, "ip", "link", "add", f"v-{name}", "type", "veth", "peer", "name", "eth0", "netns", name)
        case.addCleanup(run, *here, "ip", "link", "del", f"v-{name}", check=False)
        run(*here, "ip", "link", "set", f"v-{name}", "master", bridge, "up")
        run("ip", "-n", name, "address", "add", f"{address}/24", "dev", "eth0")
        run("ip", "-n", name, "link", "set", "eth0", "up")
        self.process = subprocess.Popen(
            ["ip", "netns", "exec", name, "unshare", "-m", "sh", "-ec", f"{setup}\necho ready; exec sleep 300"],
            stdout=subprocess.PIPE, text=True)
        case.addCleanup(self.end)
        assert self.process.stdout.readline() == "ready\n"

    def end(self):
        self.process.kill()
        self.process.wait(10)
        self.process.stdout.close()


class AnotherUsersEngine(HostCase):
    """The engine names a process whose /etc/hosts is root's file, and claims that file as its own: a client that trusts it
    writes a line into root's file."""

    def setUp(self):
        super().setUp()
        self.folder = Path(tempfile.mkdtemp(prefix="hostnet-e2e-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.folder.chmod(0o755)
        self.secret = self.folder / "sudoers"
        self.secret.write_text(SECRET)
        self.secret.chmod(0o440)
        run("ip", "link", "add", "br0", "type", "bridge")
        self.addCleanup(run, "ip", "link", "del", "br0")
        run("ip", "address", "add", "198.18.0.1/24", "dev", "br0")
        run("ip", "link", "set", "br0", "up")
        self.inside = Namespace(self, "victim", "br0", "198.18.0.9",
                                setup=f"mount --make-rprivate /; mount --bind {self.secret} /etc/hosts")

    def answers(self):
        network = {"Id": NETWORK, "Name": "net", "Driver": "bridge", "IPAM": {"Config": [{"Gateway": "198.18.0.1"}]},
                   "Options": {"com.docker.network.bridge.name": "br0"},
                   "Containers": {CONTAINER: {"IPv4Address": "198.18.0.9/24"}}}
        container = {"Id": CONTAINER, "Name": "/victim", "HostsPath": str(self.secret),
                     "State": {"Pid": self.inside.process.pid, "Running": True, "Status": "running"},
                     "HostConfig": {"NetworkMode": "net"},
                     "NetworkSettings": {"Networks": {"net": {"NetworkID": NETWORK, "IPAddress": "198.18.0.9",
                                                              "Gateway": "198.18.0.1"}}}}
        return {"/_ping": "OK", "/containers/victim": container, f"/containers/{CONTAINER}": container,
                "/networks/": network, "/info": {}}

    def engine_of(self, uid, folder="engine", mode=0o755, owner=None):
        """Starts it and returns its socket, in a folder with that mode and owner."""
        where = self.folder / folder
        where.mkdir()
        os.chown(where, uid, uid)
        socket_path = where / "docker.sock"
        program = self.folder / "lying_engine.py"
        shutil.copy(Path(__file__).parent / "lying_engine.py", program)
        program.chmod(0o644)
        process = subprocess.Popen([*map(str, as_user(uid)), "/usr/bin/python3", "-B", program, socket_path,
                                    json.dumps(self.answers())], stdout=subprocess.PIPE, text=True)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait, 10)
        self.addCleanup(process.kill)
        self.assertEqual(process.stdout.readline(), "up\n")
        if owner is not None:
            os.chown(where, owner, owner)
            os.chown(socket_path, owner, owner)
        where.chmod(mode)
        return socket_path

    def is_refused(self, engine, says):
        for target in (("--container", "victim"), ("--network", "net")):
            done = self.tc_hostnet("expose", "8088", *target, "--via", "native", "--engine", engine, check=False)
            self.assertEqual((done.returncode, done.stdout), (3, ""), done.stderr)
            self.assertRegex(done.stderr, r"\Atc-hostnet: [^\n]+\n\Z")
            self.assertIn(says, done.stderr)
            self.assertIn("--via ssh", done.stderr)
            # Without --via it takes the ssh path, for which this engine has no sidecar.
            done = self.tc_hostnet("expose", "8088", *target, "--engine", engine, check=False)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn("going by ssh instead", done.stderr)
        self.assertEqual(self.secret.read_text(), SECRET)
        self.assertEqual((route_localnet()["br0"], FIREWALL.forwards()), ("0", []))

    def test_roots_own_is_believed(self):
        """Control test: the other engines are refused only because of their owner."""
        for target in (("--container", "victim"), ("--network", "net")):
            lease = self.tc_hostnet("expose", "8088", *target, "--via", "native", "--detach", "--engine",
                                    self.engine_of(0, "engine-" + target[1]))
            self.assertIn(ALIAS, self.secret.read_text())
            self.tc_hostnet("release", lease.stdout.split()[0])
        # A socket that a group may dial still belongs to root.
        engine = self.engine_of(0, "for-a-group")
        os.chown(engine, 0, 4711)
        engine.chmod(0o660)
        self.tc_hostnet("expose", "8088", "--container", "victim", "--via", "native", "--detach", "--engine", engine)

    def test_its_socket_is_another_users(self):
        engine = self.engine_of(0)
        os.chown(engine, OTHER, OTHER)
        self.is_refused(engine, f"belongs to uid {OTHER}")

    def test_its_folder_is_another_users(self):
        engine = self.engine_of(0)
        os.chown(engine.parent, OTHER, OTHER)
        self.is_refused(engine, f"belongs to uid {OTHER}")

    def test_its_folder_may_be_changed_by_a_group(self):
        engine = self.engine_of(0, mode=0o775)
        self.is_refused(engine, "may be changed by the group")

    def test_a_link_of_another_users_leads_to_it(self):
        engine = self.engine_of(0)
        link = self.folder / "link.sock"
        link.symlink_to(engine)
        os.chown(link, OTHER, OTHER, follow_symlinks=False)
        self.is_refused(link, f"belongs to uid {OTHER}")

    def test_another_user_listens_there(self):
        """The listener counts, whatever owner the file system shows."""
        self.is_refused(self.engine_of(OTHER, owner=0), f"a process of uid {OTHER} listens there")

    def test_all_of_it_is_another_users(self):
        engine = self.engine_of(OTHER)
        self.is_refused(engine, f"belongs to uid {OTHER}")
        done = self.tc_hostnet("doctor", "--container", "victim", "--port", "8088", "--engine", engine, check=False)
        self.assertIn(f"belongs to uid {OTHER}", done.stdout)

    def test_the_namesake_of_a_container_elsewhere(self):
        """Root's engine that names a process which is not on that bridge."""
        self.inside.process.pid = os.getpid()
        engine = self.engine_of(0)
        done = self.tc_hostnet("expose", "8088", "--container", "victim", "--via", "native", "--engine", engine, check=False)
        self.assertEqual(done.returncode, 3, done.stderr)
        self.assertIn("is not on bridge br0", done.stderr)


class Tunnel:
    """A forwarded engine socket, as by `ssh -L` or socat: another socket, owned by root."""

    def __init__(self, case, path, target):
        self.target = str(target)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen(16)
        case.addCleanup(self.listener.close)
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.carry, args=(near,), daemon=True).start()

    def carry(self, near):
        with near, socket.socket(socket.AF_UNIX) as far:
            far.connect(self.target)
            back = threading.Thread(target=self.pump, args=(far, near), daemon=True)
            back.start()
            self.pump(near, far)
            back.join()

    @staticmethod
    def pump(one, other):
        try:
            while data := one.recv(65536):
                other.sendall(data)
            other.shutdown(socket.SHUT_WR)
        except OSError:
            pass


LISTEN = """
import socket, sys
frames = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
frames.bind(("eth0", 0))
print("ready", flush=True)
while True:
    if frames.recvfrom(65536)[1][2] == 0:  # PACKET_HOST: to us
        print("a packet", flush=True)
"""


class TunnelToAnEngine(HostCase):
    """The engine is in this network namespace, tc-hostnet in another, which has its own docker0 with the same address and a
    container with the address of the engine's container."""

    engine_type = DockerWithSshd

    def setUp(self):
        super().setUp()
        self.container("app")
        self.state = tempfile.mkdtemp(prefix="hostnet-e2e-")
        self.addCleanup(shutil.rmtree, self.state)
        run("ip", "netns", "add", "far")
        self.addCleanup(run, "ip", "netns", "del", "far")
        run("ip", "-n", "far", "link", "set", "lo", "up")
        run("ip", "-n", "far", "link", "add", "docker0", "type", "bridge")
        run("ip", "-n", "far", "address", "add", "198.18.0.1/24", "dev", "docker0")
        run("ip", "-n", "far", "link", "set", "docker0", "up")
        self.unrelated = Namespace(self, "unrelated", "docker0", self.address_of("app"), at="far")
        self.packets = subprocess.Popen(["ip", "netns", "exec", "unrelated", "/usr/bin/python3", "-c", LISTEN],
                                        stdout=subprocess.PIPE, text=True)
        self.addCleanup(self.packets.stdout.close)
        self.addCleanup(self.packets.wait, 10)
        self.addCleanup(self.packets.kill)
        self.assertEqual(self.packets.stdout.readline(), "ready\n")

    def from_afar(self, *arguments):
        state = self.env | {"TC_HOSTNET_RUNTIME_DIR": self.state}
        return run("ip", "netns", "exec", "far", self.program, *arguments, env=state, check=False, timeout=120)

    def is_refused(self, engine):
        before = self.rules()
        for target in (("--container", "app"), ("--network", "bridge")):
            done = self.from_afar("expose", "8088", *target, "--via", "native", "--engine", engine)
            self.assertEqual((done.returncode, done.stdout), (3, ""), done.stderr)
            self.assertRegex(done.stderr, r"\Atc-hostnet: [^\n]+ docker0 [^\n]+\n\Z")
            self.assertIn("--via ssh", done.stderr)
        self.assertEqual(self.rules(), before)

    def rules(self):
        return [output("ip", "netns", "exec", "far", *command) for command in (
            ("nft", "list", "ruleset"), ("iptables-legacy-save",),
            ("cat", "/proc/sys/net/ipv4/conf/docker0/route_localnet"))]

    def test_the_namesake_here_is_left_alone(self):
        tunnel = self.engine.dir / "tunnel.sock"
        Tunnel(self, tunnel, self.engine.socket)
        self.addCleanup(os.unlink, tunnel)
        self.rules()  # listing a legacy table creates it
        self.is_refused(tunnel)
        self.is_refused(self.engine.socket)  # its process is in another network namespace
        # Without --via, on the ssh path: the local host with the sidecar's address is not dialled and gets no packet. What
        # the tunnel carries leads to the sidecar.
        self.addCleanup(run, "ip", "-n", "unrelated", "address", "flush", "dev", "eth0")
        run("ip", "-n", "unrelated", "address", "add", "198.18.0.3/24", "dev", "eth0")
        done = self.from_afar("expose", "8088", "--network", "bridge", "--engine", tunnel, "--detach")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("going by ssh instead", done.stderr)
        shown = json.loads(self.from_afar("inspect", done.stdout.strip(), "--json").stdout)
        self.assertEqual(shown["tunnel"]["dialled_by"], "exec")
        self.assertEqual(self.from_afar("release", "--all").returncode, 0)
        dial = "import socket; socket.create_connection(('198.18.0.3', 22), 1)"
        run("ip", "netns", "exec", "far", "/usr/bin/python3", "-c", dial, check=False)
        time.sleep(0.5)
        self.packets.kill()
        # The one packet is from the dial above, and shows that others would have been seen.
        self.assertEqual(self.packets.stdout.read().count("a packet"), 1)

    def test_where_the_engine_is_its_networks_are_served(self):
        """By the engine's own socket: also the empty network, where no container shows the bridge."""
        self.network("empty")
        for target in (("--container", "app"), ("--network", "bridge"), ("--network", "empty")):
            self.tc_hostnet("release", self.detach("8088", *target, "--via", "native"))

    def test_a_tunnel_that_ends_where_it_begins_shows_it_by_the_containers(self):
        tunnel = self.engine.dir / "here.sock"
        Tunnel(self, tunnel, self.engine.socket)
        self.addCleanup(os.unlink, tunnel)
        self.tc_hostnet("release", self.detach("8088", "--container", "app", "--via", "native", "--engine", tunnel))
        self.tc_hostnet("release", self.detach("8088", "--network", "bridge", "--via", "native", "--engine", tunnel))
        self.network("empty")
        done = self.tc_hostnet("expose", "8088", "--network", "empty", "--via", "native", "--engine", tunnel, check=False)
        self.assertEqual(done.returncode, 3, done.stderr)
        self.assertIn("no container runs on the network", done.stderr)


if __name__ == "__main__":
    main()
