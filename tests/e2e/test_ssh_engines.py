#!/usr/bin/python3
"""Engines behind ssh://: a laptop, a bastion and this namespace as the server, with real sshds. The containers on the
server reach services on the laptop's 127.0.0.1."""
import json
import os
import pty
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from engines import DockerWithSshd, PodmanWithSshd, RootlessPodmanWithSshd
from harness import ALIAS, IMAGE, HostCase, eventually, main, run
from ssh_cases import HELLO, LEASE_LABEL

PORT = 8088
# Addresses of the server, as the laptop and as the bastion see it, and of the bastion.
SERVER, BEHIND, BASTION = "198.51.100.2", "198.51.100.6", "198.51.100.10"
# Seconds until a lost session is noticed and another one serves.
RECOVERY = 30


class Machine:
    """A network namespace; `prefix` runs a command there."""

    def __init__(self, case, name):
        self.prefix = ["ip", "netns", "exec", name]
        run("ip", "netns", "add", name)
        case.addClassCleanup(run, "ip", "netns", "del", name)
        self(["ip", "link", "set", "lo", "up"])

    def __call__(self, argv, **options):
        return run(*self.prefix, *argv, **options)


def link(case, one, here, other, there):
    """A link between two namespaces; one of None is this one."""
    name = f"w{here.split('.')[-1]}"
    run("ip", "link", "add", name, "type", "veth", "peer", "name", f"{name}p", check=True)
    case.addClassCleanup(run, "ip", "link", "del", name, check=False)
    for end, machine, address in ((name, one, here), (f"{name}p", other, there)):
        if machine:
            run("ip", "link", "set", end, "netns", machine.prefix[3])
        at = machine or run
        for words in (["ip", "address", "add", f"{address}/30", "dev", end], ["ip", "link", "set", end, "up"]):
            at(words) if machine else at(*words)


def listening(machine):
    """The endpoints that have a TCP listener there, in this namespace if it is None."""
    return [line.split()[3] for line in run(*(machine.prefix if machine else ()), "ss", "-Htln").stdout.splitlines()]


def is_listening(machine, endpoint):
    return endpoint in listening(machine)


class Sshd:
    """A real sshd, in this namespace or on a machine."""

    def __init__(self, folder, address, port, key, *options, machine=None):
        config = folder / f"sshd-{address}-{port}"
        config.write_text("\n".join((
            f"ListenAddress {address}:{port}", f"HostKey {key}", f"AuthorizedKeysFile {folder}/authorized", "UsePAM no",
            "PidFile none", "StrictModes no", "PermitRootLogin yes", "MaxStartups 100", *options, "")))
        self.argv = [*(machine.prefix if machine else ()), "/usr/sbin/sshd", "-D", "-e", "-f", str(config)]
        self.log = open(folder / f"log-{address}-{port}", "a")
        self.address, self.port, self.machine = address, port, machine
        self.start()

    def start(self):
        self.process = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        assert eventually(lambda: is_listening(self.machine, f"{self.address}:{self.port}"))

    def sessions(self):
        """Its children, one for each connection."""
        return [int(pid) for pid in run("pgrep", "-P", self.process.pid, check=False).stdout.split()]

    def cut(self):
        for pid in self.sessions():
            for child in run("pgrep", "-P", pid, check=False).stdout.split():
                os.kill(int(child), signal.SIGKILL)
            os.kill(pid, signal.SIGKILL)

    def stop(self):
        self.cut()
        self.process.kill()
        self.process.wait(10)

    def close(self):
        self.stop()
        self.log.close()


class Lab:
    """The machines, keys and servers, once for a class."""

    def __init__(self, case):
        self.folder = Path(tempfile.mkdtemp(prefix="hostnet-ssh-"))
        case.addClassCleanup(shutil.rmtree, self.folder)
        self.folder.chmod(0o755)
        # ssh takes its user's home from the user database.
        self.home = Path("/root")
        run("mount", "-t", "tmpfs", "-o", "mode=700", "tmpfs", self.home)
        case.addClassCleanup(run, "umount", "-l", self.home)
        (self.home / ".ssh").mkdir(0o700)
        self.runtime = Path("/run/laptop")
        self.runtime.mkdir(0o700)
        case.addClassCleanup(shutil.rmtree, self.runtime)
        Path("/run/sshd").mkdir(exist_ok=True)
        self.laptop, self.bastion = Machine(case, "laptop"), Machine(case, "bastion")
        link(case, None, SERVER, self.laptop, "198.51.100.1")
        link(case, None, BEHIND, self.bastion, "198.51.100.5")
        link(case, self.bastion, BASTION, self.laptop, "198.51.100.9")
        for key in ("client", "locked", "server", "bastion", "other", "authority"):
            run("ssh-keygen", "-q", "-t", "ed25519", "-N", "secret" if key == "locked" else "", "-C", key, "-f", self.folder / key)
        run("ssh-keygen", "-q", "-s", self.folder / "authority", "-I", "server", "-h", "-n", "certified", self.folder / "server.pub")
        (self.folder / "authorized").write_text("".join(self.public(key) for key in ("client", "locked")))
        self.server = self.sshd(case, SERVER, 22, "server", f"HostCertificate {self.folder}/server-cert.pub")
        self.sshd(case, BEHIND, 22, "server")
        self.sshd(case, BASTION, 22, "bastion", machine=self.bastion)
        self.sshd(case, SERVER, 2022, "server", "DisableForwarding yes")
        site = self.folder / "site"
        site.mkdir()
        (site / "index.html").write_text(HELLO)
        service = subprocess.Popen([*self.laptop.prefix, "busybox", "httpd", "-f", "-p", f"127.0.0.1:{PORT}", "-h", site])
        case.addClassCleanup(service.wait, 10)
        case.addClassCleanup(service.kill)
        assert eventually(lambda: is_listening(self.laptop, f"127.0.0.1:{PORT}"))

    def sshd(self, case, address, port, key, *options, machine=None):
        one = Sshd(self.folder, address, port, self.folder / key, *options, machine=machine)
        case.addClassCleanup(one.close)
        return one

    def public(self, key):
        return (self.folder / f"{key}.pub").read_text()

    def configure(self, config="", known=None, key="client"):
        """Writes ssh_config and known_hosts of the laptop's user."""
        usual = {SERVER: "server", f"[{SERVER}]:2022": "server", BEHIND: "server", BASTION: "bastion"}
        (self.home / ".ssh/known_hosts").write_text(
            "".join(f"{host} {self.public(one)}" for host, one in (usual if known is None else known).items()))
        identity = f"Host *\n IdentityFile {self.folder / key}\n IdentitiesOnly yes\n" if key else ""
        (self.home / ".ssh/config").write_text(f"{config}\n{identity}")


class Laptop:
    """Mixed into a HostCase with an engine: its commands run on the laptop."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.lab = Lab(cls)
        real = cls.program
        cls.program = cls.lab.folder / "tc-hostnet"
        cls.program.write_text(f"#!/bin/sh\nexec ip netns exec laptop {real} \"$@\"\n")
        cls.program.chmod(0o755)

    def setUp(self):
        self.lab.configure()
        self.host = f"ssh://root@{SERVER}"
        self.variables = {}
        super().setUp()
        self.addCleanup(self.no_ssh_is_left)
        self.network("web")
        self.container("app", network="web")

    @property
    def env(self):
        return os.environ | {"DOCKER_HOST": f"{self.host}{self.engine.socket}", "XDG_RUNTIME_DIR": str(self.lab.runtime),
                             "HOME": "/root"} | self.variables

    def our_ssh(self):
        """The processes of ssh that a command on the laptop started."""
        return run("pgrep", "-f", "ControlPath=/run/laptop/tc-hostnet-ssh", check=False).stdout.split()

    def no_ssh_is_left(self):
        self.assertTrue(eventually(lambda: not self.our_ssh() and not list(self.lab.runtime.iterdir()), 10),
                        (self.our_ssh(), list(self.lab.runtime.iterdir())))

    def sidecars(self):
        return self.engine.api.containers(LEASE_LABEL)

    def serves(self, *target):
        """Exposes, and the container reaches the laptop."""
        self.addCleanup(self.tc_hostnet, "release", "--all")  # a sidecar keeps its network from being removed
        lease = self.expose(PORT, *(target or ("--container", "app")))
        self.assertEqual(lease.ready["via"], "ssh")
        self.reaches("app", HELLO)
        return lease

    def serves_and_ends(self, *target):
        code, _, err = self.serves(*target).end()
        self.assertEqual(code, 0, err)
        self.assertEqual(self.sidecars(), [])

    def fails(self, code, words):
        done = self.tc_hostnet("expose", PORT, "--container", "app", check=False)
        self.assertEqual(done.returncode, code, done.stderr)
        self.assertRegex(done.stderr, words)
        self.assertEqual(len([line for line in done.stderr.splitlines() if line.startswith("tc-hostnet: ")]), 1, done.stderr)
        self.assertEqual(self.sidecars(), [])
        return done.stderr

    def comes_back(self):
        self.assertTrue(eventually(lambda: self.engine.fetch("app", f"http://{ALIAS}:{PORT}/", 5) == HELLO, RECOVERY))


class SshEngine(Laptop):
    """The same for every engine."""

    def test_a_container_and_a_network(self):
        self.serves_and_ends()
        lease = self.serves("--network", "web")
        # It is one login, and no TCP port is open on the laptop but the service's.
        self.assertEqual(len(self.lab.server.sessions()), 1)
        self.assertEqual(listening(self.lab.laptop), [f"127.0.0.1:{PORT}"])
        # Another command finds the engine by the lease's record, whatever its own environment says.
        usual, self.host = self.host, "unix:///nowhere"
        self.tc_hostnet("release", lease.id)
        self.host = usual
        self.assertTrue(eventually(lambda: not self.sidecars(), 10))  # the owner may be the one who removes it
        self.assertTrue(eventually(lambda: lease.process.poll() is not None, 10))

    def test_without_forwarding(self):
        self.host = f"ssh://root@{SERVER}:2022"
        self.serves_and_ends()
        done = self.tc_hostnet("run", "--image", IMAGE, "-p", PORT, "--", "wget", "-qO-", f"http://{ALIAS}:{PORT}/")
        self.assertEqual(done.stdout, HELLO)

    def test_a_command_in_an_image(self):
        done = self.tc_hostnet("run", "--image", IMAGE, "-p", PORT, "--", "wget", "-qO-", f"http://{ALIAS}:{PORT}/")
        self.assertEqual(done.stdout, HELLO)

    def test_a_cut_session_comes_back(self):
        self.serves()
        self.lab.server.cut()
        self.comes_back()

    def test_a_restarted_sshd(self):
        lease = self.serves()
        self.lab.server.stop()
        time.sleep(1)
        self.assertIsNone(lease.process.poll())
        self.lab.server.start()
        self.comes_back()
        lease.end()
        self.assertEqual(self.sidecars(), [])

    def test_a_killed_ssh(self):
        self.serves()
        for pid in self.our_ssh():
            os.kill(int(pid), signal.SIGKILL)
        self.comes_back()

    def test_a_killed_command(self):
        lease = self.serves()
        self.assertNotEqual(self.our_ssh(), [])
        lease.end(signal.SIGKILL)
        self.no_ssh_is_left()
        self.assertTrue(eventually(lambda: not self.lab.server.sessions(), 10))
        self.host = "unix:///nowhere"
        self.tc_hostnet("list")  # finishes what it left, at the engine of its record
        self.host = f"ssh://root@{SERVER}"
        self.assertEqual(self.sidecars(), [])
        self.assertFalse(self.has_alias("app"))


class ByDocker(SshEngine, HostCase):
    engine_type = DockerWithSshd

    def forwards(self):
        """The sockets here that lead to sidecars."""
        return [path.name for path in self.lab.runtime.glob("tc-hostnet-ssh-*/*") if path.name.isdigit()]

    def test_a_sidecar_that_moves(self):
        """A restart gives it another published port; nothing leads to the old one any more. (Podman removes it instead.)"""
        self.serves()
        before = self.forwards()
        self.assertEqual(len(before), 1)
        (sidecar,) = self.sidecars()
        self.engine.api.restart(sidecar)
        self.comes_back()
        self.assertTrue(eventually(lambda: len(self.forwards()) == 1), self.forwards())
        self.assertNotEqual(self.forwards(), before)

    def test_by_a_bastion(self):
        self.lab.configure(f"Host behind\n HostName {BEHIND}\n User root\n ProxyJump root@{BASTION}\n")
        self.host = "ssh://behind"
        self.serves_and_ends()

    def test_a_bastion_that_would_ask(self):
        """The ssh that ssh starts for a jump host gets none of our options: it has neither terminal nor window to ask."""
        self.lab.configure(f"Host behind\n HostName {BEHIND}\n User root\n ProxyJump root@{BASTION}\n",
                           known={BEHIND: "server"})
        self.host = "ssh://behind"
        asked = self.lab.folder / "asked"
        window = self.lab.folder / "window"
        window.write_text(f"#!/bin/sh\ntouch {asked}\n")
        window.chmod(0o755)
        self.variables = {"SSH_ASKPASS": str(window), "SSH_ASKPASS_REQUIRE": "force", "DISPLAY": ":0"}
        said, errors = os.pipe()
        pid, terminal = pty.fork()
        if pid == 0:
            os.dup2(errors, 2)
            os.execve(self.program, ["tc-hostnet", "expose", str(PORT), "--container", "app"], self.env)
        os.close(errors)
        with open(said) as stream:
            told = stream.read()
        _, status = os.waitpid(pid, 0)
        ready, _, _ = select.select([terminal], [], [], 0)
        try:
            seen = os.read(terminal, 4096) if ready else b""
        except OSError:  # nothing was written, and the other end is closed
            seen = b""
        os.close(terminal)
        self.variables = {}
        self.lab.configure()
        self.assertEqual(seen, b"")
        self.assertFalse(asked.exists())
        self.assertEqual(os.waitstatus_to_exitcode(status), 4, told)
        self.assertIn("Host key verification failed", told)

    def test_a_key_in_an_agent(self):
        agent = self.lab.folder / "agent"
        process = subprocess.Popen(["ssh-agent", "-D", "-a", agent], stdout=subprocess.DEVNULL)
        self.addCleanup(process.wait, 10)
        self.addCleanup(process.terminate)
        self.assertTrue(eventually(agent.exists))
        self.lab.configure(key=None)
        self.fails(4, "Permission denied")
        self.variables = {"SSH_AUTH_SOCK": str(agent)}
        run("ssh-add", self.lab.folder / "client", env=os.environ | self.variables)
        self.serves_and_ends()
        self.variables = {}

    def test_a_certified_host(self):
        self.lab.configure(f"Host certified\n HostName {SERVER}\n HostKeyAlias certified\n", {"@cert-authority certified": "authority"})
        self.host = "ssh://root@certified"
        self.serves_and_ends()

    def test_an_alias_for_the_host_key(self):
        self.lab.configure(f"Host box\n HostName {SERVER}\n HostKeyAlias thebox\n", {"thebox": "server"})
        self.host = "ssh://root@box"
        self.serves_and_ends()

    def test_a_changed_host_key_is_refused(self):
        self.lab.configure(known={SERVER: "other"})
        self.assertIn("ssh-keygen -R", self.fails(4, "host key is not the one in known_hosts"))
        self.lab.configure(known={})
        self.assertIn("known_hosts", self.fails(4, "host key is not known"))
        # As the tests' last command does, which finds nothing to release.
        self.lab.configure()

    def test_ssh_config_has_its_say_but_opens_nothing(self):
        self.lab.configure("Host *\n ForkAfterAuthentication yes\n LocalForward 127.0.0.1:7777 127.0.0.1:22\n ControlMaster auto\n"
                           " ControlPath /run/laptop/users-own\n ControlPersist yes\n RemoteCommand false\n RequestTTY yes\n"
                           " LogLevel QUIET\n StdinNull yes\n Tunnel yes\n SessionType none\n PermitLocalCommand yes\n LocalCommand touch /run/laptop/ran\n")
        lease = self.serves()
        self.assertEqual(listening(self.lab.laptop), [f"127.0.0.1:{PORT}"])
        self.assertEqual([path.name for path in self.lab.runtime.iterdir() if "tc-hostnet-ssh" not in path.name], [])
        lease.end()
        self.host = f"ssh://root@{SERVER}:2022"
        self.serves_and_ends()

    def test_errors_are_one_line(self):
        for host, code, words in ((f"ssh://root@{SERVER}:9", 3, "Connection refused"),
                                  ("ssh://root@engine.invalid", 3, "engine.invalid.*not known|Could not resolve"),
                                  (f"ssh://nosuchuser@{SERVER}", 4, "Permission denied"),
                                  ("ssh://-oProxyCommand=x", 2, "names no host"), ("ssh://root:pw@h", 2, "password"),
                                  ("ssh://a;b@h", 2, "its user"), ("ssh://h:0", 2, "port")):
            with self.subTest(host=host):
                self.host = host
                self.fails(code, words)
        self.host = f"ssh://root@{SERVER}/nowhere"
        said = self.fails(3, "login .* works, but no container engine answers at /nowhere/")
        self.assertIn("ssh://HOST", said)
        self.host = f"ssh://root@{SERVER}"

    def test_doctor(self):
        done = self.tc_hostnet("doctor", PORT, "--container", "app", check=False)
        self.assertRegex(done.stdout, "engine: .*ssh://root@198.51.100.2 .*ssh login, is on another machine")
        self.assertRegex(done.stdout, "bridge: .*is on another machine.*\n.*goes by ssh")
        self.assertEqual(done.returncode, 0, done.stdout)
        self.host = f"ssh://root@{SERVER}:9"
        done = self.tc_hostnet("doctor", PORT, "--container", "app", check=False)
        self.assertRegex(done.stdout, "engine: .*ssh login to .*ssh://root@198.51.100.2:9 .*Connection refused")
        self.host = f"ssh://root@{SERVER}"

    def test_other_paths_are_not_tried(self):
        done = self.tc_hostnet("expose", PORT, "--container", "app", "--via", "relay", check=False)
        self.assertEqual(done.returncode, 3)
        self.assertIn("is on another machine", done.stderr)
        done = self.tc_hostnet("expose", PORT, "--container", "app", "--via", "native", check=False)
        self.assertEqual(done.returncode, 3)
        self.assertIn("is on another machine", done.stderr)

    def test_the_usual_socket(self):
        usual = Path("/run/docker.sock")
        usual.symlink_to(self.engine.socket)
        self.addCleanup(usual.unlink)
        self.variables = {"DOCKER_HOST": f"ssh://root@{SERVER}"}
        self.serves_and_ends()
        self.variables = {}

    def test_a_context(self):
        docker = Path("/root/.docker")
        meta = docker / "contexts/meta/one"
        meta.mkdir(parents=True)
        self.addCleanup(shutil.rmtree, docker)
        (meta / "meta.json").write_text(json.dumps(
            {"Name": "server", "Endpoints": {"docker": {"Host": f"ssh://root@{SERVER}{self.engine.socket}"}}}))
        self.variables = {"DOCKER_HOST": "", "DOCKER_CONTEXT": "server"}
        self.serves_and_ends()
        self.variables = {}

    def test_detached(self):
        lease = self.detach(PORT, "--network", "web")
        self.reaches("app", HELLO)
        self.tc_hostnet("release", lease)
        self.assertEqual(self.sidecars(), [])

    def test_a_login_beside_the_engine(self):
        """As in a container with the engine's socket: it forwards, but its 127.0.0.1 is not the engine's."""
        self.host = f"ssh://root@{BASTION}"
        self.serves_and_ends()

    def test_a_dead_folder_is_removed(self):
        dead = self.lab.runtime / "tc-hostnet-ssh-dead"
        dead.mkdir(0o700)
        with socket.socket(socket.AF_UNIX) as control:
            control.bind(str(dead / "control"))
        self.serves_and_ends()
        self.assertFalse(dead.exists())

    def test_watch(self):
        watch = subprocess.Popen([self.program, "watch"], env=self.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(watch.wait, 20)
        self.addCleanup(watch.terminate)
        self.container("labelled", labels={"io.github.tchostnet.ports": str(PORT)})
        self.assertTrue(eventually(lambda: self.engine.fetch("labelled", f"http://{ALIAS}:{PORT}/", 5) == HELLO))
        self.lab.server.cut()
        self.container("later", labels={"io.github.tchostnet.ports": str(PORT)}, network="web")
        self.assertTrue(eventually(lambda: self.engine.fetch("later", f"http://{ALIAS}:{PORT}/", 5) == HELLO))

    def test_a_dead_line(self):
        """No packet comes back: ssh itself notices."""
        self.serves()
        run("ip", "link", "set", "w2", "down")
        self.addCleanup(run, "ip", "link", "set", "w2", "up")
        self.assertTrue(eventually(lambda: not self.our_ssh() or self.lost(), 20))
        run("ip", "link", "set", "w2", "up")
        self.comes_back()

    def lost(self):
        return any(one.get("tunnel", {}).get("state") == "reconnecting" for one in self.leases())

    def test_a_passphrase_on_the_terminal(self):
        self.lab.configure(key="locked")
        self.assertIn("no passphrase", self.fails(4, "Permission denied"))
        pid, terminal = pty.fork()
        if pid == 0:
            os.execve(self.program, ["tc-hostnet", "expose", str(PORT), "--container", "app"], self.env)
        seen = b""

        def sees(words):
            nonlocal seen
            if select.select([terminal], [], [], 0.1)[0]:
                seen += os.read(terminal, 4096)
            return words in seen
        try:
            self.assertTrue(eventually(lambda: sees(b"passphrase for key")), seen)
            os.write(terminal, b"secret\n")
            self.assertTrue(eventually(lambda: sees(b"host.testcontainers.internal:8088")), seen)
            self.reaches("app", HELLO)
            os.write(terminal, b"\x03")  # for the command: ssh stays until the lease is released
            self.assertTrue(eventually(lambda: not self.sidecars(), 20))
        finally:
            _, status = os.waitpid(pid, 0)
            os.close(terminal)
            self.lab.configure()
        self.assertEqual(os.waitstatus_to_exitcode(status), 0)


class ByPodman(SshEngine, HostCase):
    engine_type = PodmanWithSshd

    def test_the_variable_of_podman(self):
        self.variables = {"DOCKER_HOST": "", "CONTAINER_HOST": f"ssh://root@{SERVER}{self.engine.socket}"}
        self.serves_and_ends()
        self.variables = {}


class ByRootlessPodman(Laptop, HostCase):
    """The engine of a user on the server, who logs in there."""

    engine_type = RootlessPodmanWithSshd

    def test_the_users_own_engine(self):
        self.variables = {"DOCKER_HOST": f"ssh://alice@{SERVER}/run/user/20001/podman.sock"}
        self.serves_and_ends()
        self.serves_and_ends("--network", "web")
        # Without a path it is root's socket, which is not there, and the message names the user's.
        self.variables = {"DOCKER_HOST": "", "CONTAINER_HOST": f"ssh://alice@{SERVER}"}
        self.assertIn("/run/user/UID/podman/podman.sock", self.fails(3, "login .* works, but no container engine answers"))
        self.variables = {"DOCKER_HOST": f"ssh://alice@{SERVER}/run/user/20001/podman.sock"}


if __name__ == "__main__":
    main()
