#!/usr/bin/python3
"""The ssh path against a real Docker Engine and a real sshd: reach, alias, ownership, refusals, output."""
import base64
import contextlib
import json
import os
import pty
import subprocess

from engine_api import attempt
from engines import DockerElsewhere, DockerWithSshd
from harness import ALIAS, IMAGE, Lease, eventually, main, output, run
from ssh_cases import HELLO, LEASE_LABEL, Reach, SshCase, UnixService, WhateverTheNetworks, free_port


SIDECAR = "testcontainers/sshd:1.3.0"


class Registry:
    """An image registry on a port of 127.0.0.1, which Docker accesses by HTTP. With a password, it admits USER alone."""

    USER = "somebody"

    def __init__(self, folder, password=None, address=None):
        self.address = address or f"127.0.0.1:{free_port()}"
        folder.mkdir(exist_ok=True)
        settings = {"version": 0.1, "storage": {"filesystem": {"rootdirectory": str(folder)}}, "http": {"addr": self.address}}
        if password:
            hashed = output("perl", "-e", "print crypt($ARGV[0], '$2b$05$' . 'abcdefghijklmnopqrstuu')", password)
            (folder / "htpasswd").write_text(f"{self.USER}:{hashed}\n")
            settings["auth"] = {"htpasswd": {"realm": "tests", "path": str(folder / "htpasswd")}}
        config = folder / "config.yml"
        config.write_text(json.dumps(settings))
        self.process = subprocess.Popen(["docker-registry", "serve", config], stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        if not eventually(lambda: run("curl", "-s", "-m", "1", f"http://{self.address}/v2/", check=False).returncode == 0):
            self.close()
            raise AssertionError("the registry does not answer")

    def close(self):
        self.process.kill()
        self.process.wait(10)


class DockerReach(Reach, WhateverTheNetworks, SshCase):
    engine_type = DockerWithSshd

    def test_the_default_bridge(self):
        self.container("plain")
        lease = self.expose_by_ssh(self.port, "--network", "bridge")
        self.reaches("plain", HELLO, port=self.port)
        self.assertEqual(lease.end()[0], 0)
        self.assertFalse(self.has_alias("plain"))

    def test_an_internal_network(self):
        self.network("inside", "--internal")
        self.container("shut", network="inside")
        self.expose_by_ssh(self.port, "--container", "shut")
        self.reaches("shut", HELLO, port=self.port)

    def test_a_container_on_two_networks(self):
        self.network("second")
        self.engine.api.connect("second", "app")
        self.addCleanup(attempt, self.engine.api.remove, "app")  # before the network goes
        self.expose_by_ssh(self.port, "--container", "app")
        self.reaches("app", HELLO, port=self.port)

    def test_a_container_whose_first_network_does_not_serve(self):
        """A macvlan network, which holds the default route: its containers and the host do not reach each other."""
        run("ip", "link", "add", "parent0", "type", "veth", "peer", "name", "parent1")
        self.addCleanup(run, "ip", "link", "delete", "parent0")
        self.network("apart", "--driver", "macvlan", "--subnet", "10.99.0.0/24", "--opt", "parent=parent0")
        self.container("mixed", network="apart")
        for path in ("native", "ssh"):
            self.refused(3, "driver 'macvlan'", self.port, "--via", path, "--container", "mixed")
        self.refused(3, "driver 'macvlan'", self.port, "--network", "apart")
        self.engine.api.connect("web", "mixed")
        for path in ("native", "ssh", "auto"):
            with self.subTest(path=path):
                lease = self.expose(self.port, "--via", path, "--container", "mixed")
                self.reaches("mixed", HELLO, port=self.port)
                self.assertEqual(lease.end()[0], 0)
        self.engine.api.disconnect("web", "mixed")
        self.network("shut", "--driver", "macvlan", "--subnet", "10.98.0.0/24", "--opt", "parent=parent1")
        self.addCleanup(attempt, self.engine.api.remove, "mixed")  # before the network goes
        self.engine.api.connect("shut", "mixed")
        err = self.refused(3, "network apart: ", self.port, "--via", "ssh", "--container", "mixed")
        self.assertIn("network shut: ", err)
        lease = self.expose(self.port, "--container", "mixed")
        self.assertEqual(lease.ready["via"], "relay")
        self.reaches("mixed", HELLO, port=self.port)
        self.assertEqual(lease.end()[0], 0)

    def test_its_container_leaves_the_network(self):
        super().test_its_container_leaves_the_network()
        # Podman then rewrites the whole file and drops the comment that marks our line.
        self.assertFalse(self.has_alias("brief"))

    def test_a_unix_socket_of_the_host(self):
        path = self.engine.dir / "service.sock"
        service = UnixService(path, HELLO)
        self.addCleanup(service.close)
        # Without --via: the native path leads to ports only, and the output says so.
        self.addCleanup(self.tc_hostnet, "release", "--all")
        done = self.tc_hostnet("expose", f"{path}:8080", "--container", "app", "--detach")
        self.assertIn("the native path leads to ports only", done.stderr)
        self.reaches("app", HELLO, port=8080)

    def test_an_image_that_is_not_here_is_pulled(self):
        registry = Registry(self.engine.dir / "registry")
        self.addCleanup(registry.close)
        image = f"{registry.address}/{SIDECAR}"
        self.engine("tag", SIDECAR, image)
        self.addCleanup(self.engine.attempt, "rmi", image)
        self.engine("push", image)
        self.engine("rmi", image)
        environment = self.env | {"TESTCONTAINERS_HUB_IMAGE_NAME_PREFIX": registry.address}
        begun = ["expose", str(self.port), "--container", "app", "--via", "ssh", "--detach"]
        done = self.tc_hostnet(*begun, env=environment)
        self.addCleanup(self.tc_hostnet, "release", "--all")
        self.assertIn(image, done.stderr)
        self.assertEqual(self.engine.api.inspect(self.sidecar())["Config"]["Image"], image)
        self.reaches("app", HELLO, port=self.port)
        self.tc_hostnet("release", "--all")
        # A terminal shows the progress in one line; a failure names the image and the next step.
        self.engine("rmi", image)
        master, slave = pty.openpty()
        self.addCleanup(os.close, master)
        process = subprocess.Popen([self.program, *begun], env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                   stderr=slave, close_fds=True)
        self.addCleanup(process.wait)
        os.close(slave)
        shown = b""
        with contextlib.suppress(OSError):  # EIO: the other end is closed
            while piece := os.read(master, 4096):
                shown += piece
        self.assertIn(f"\r\x1b[Kpulling {image}".encode(), shown)
        self.assertTrue(shown.rindex(b"\r\x1b[K") > shown.rindex(b"pulling "), shown)
        run_it = "run", "-p", self.port, "--network", "web", "--image"
        for name, says in ((f"{registry.address}/none:1", "check name and tag"), ("127.0.0.1:1/none:1", "does not reach 127.0.0.1:1")):
            done = self.tc_hostnet(*run_it, name, "true", check=False)
            self.assertEqual(done.returncode, 125, done.stderr)
            self.assertRegex(done.stderr, rf"'{name}' cannot be pulled: [^\n]*{says}[^\n]*\n\Z")

    def test_a_registry_with_a_login(self):
        """As docker login left it, in the file or with a helper; the secret is in no output."""
        folder = self.engine.dir / "private"
        open_to_all = Registry(folder)
        image = f"{open_to_all.address}/team/{SIDECAR}"
        self.engine("tag", SIDECAR, image)
        self.addCleanup(self.engine.attempt, "rmi", image)
        self.engine("push", image)
        self.engine("rmi", image)
        open_to_all.close()
        secret = "pa:ss word"
        registry = Registry(folder, secret, open_to_all.address)
        self.addCleanup(registry.close)
        tools = self.engine.dir / "tools"
        tools.mkdir()
        helper = tools / "docker-credential-kept"
        helper.write_text(f"#!/bin/sh\n[ \"$1\" = get ] && [ \"$(cat)\" = {registry.address} ] || exit 1\n"
                          f"""echo '{json.dumps({"ServerURL": registry.address, "Username": registry.USER, "Secret": secret})}'\n""")
        helper.chmod(0o755)
        refusing = tools / "docker-credential-empty"
        refusing.write_text("#!/bin/sh\necho credentials not found in native keychain\nexit 1\n")
        refusing.chmod(0o755)
        auth = base64.b64encode(f"{registry.USER}:{secret}".encode()).decode()
        wrong = base64.b64encode(f"{registry.USER}:other".encode()).decode()
        auths = {"auths": {registry.address: {"auth": auth}}}
        home = self.engine.dir / "login"
        home.mkdir()
        config = home / "config.json"

        def pulled(**environment):
            done = run(self.program, "-v", "run", "-p", self.port, "--network", "web", "--image", image, "true", check=False,
                       env=self.env | {"DOCKER_CONFIG": str(home), "PATH": f"{tools}:{os.environ['PATH']}"} | environment)
            for text in (secret, auth, wrong, base64.urlsafe_b64encode(secret.encode()).decode()):
                self.assertNotIn(text, done.stdout + done.stderr)
            if done.returncode == 0:
                self.engine("rmi", image)
            return done

        for why, content, code, says in (
                ("no login", {}, 125, "docker login"),
                ("a wrong one", {"auths": {registry.address: {"auth": wrong}}}, 125, "docker login"),
                ("that of another registry", {"auths": {"127.0.0.1": {"auth": auth}}}, 125, "docker login"),
                ("the file's", auths, 0, ""),
                ("one for a part of the registry", {"auths": {f"{registry.address}/team": {"auth": auth}}}, 0, ""),
                ("a helper's", {"credHelpers": {registry.address: "kept"}}, 0, ""),
                ("the store's", {"credsStore": "kept"} , 0, ""),
                ("a store without it", auths | {"credsStore": "empty"}, 0, ""),
                ("a store that is missing", auths | {"credsStore": "gone"}, 0, "docker-credential-gone gives no login"),
                ("a helper elsewhere", {"credsStore": "../login/evil"}, 125, "docker login"),
                ("no JSON", "{" + auth, 125, "config.json' is not understood")):
            with self.subTest(why):
                config.write_text(content if isinstance(content, str) else json.dumps(content))
                done = pulled()
                self.assertEqual(done.returncode, code, done.stderr)
                self.assertIn(says, done.stderr)
        config.write_text(json.dumps(auths))
        config.chmod(0o666)
        done = pulled()
        self.assertEqual((done.returncode, "every user can write it" in done.stderr), (125, True), done.stderr)
        config.unlink()
        self.assertEqual(pulled(DOCKER_AUTH_CONFIG=json.dumps(auths)).returncode, 0)
        # A sidecar's image, too.
        environment = self.env | {"TESTCONTAINERS_HUB_IMAGE_NAME_PREFIX": f"{registry.address}/team"}
        self.addCleanup(self.tc_hostnet, "release", "--all")
        begun = ["expose", self.port, "--container", "app", "--via", "ssh", "--detach"]
        self.assertEqual(run(self.program, *begun, env=environment, check=False).returncode, 6)
        self.tc_hostnet(*begun, env=environment | {"DOCKER_AUTH_CONFIG": json.dumps(auths)})
        self.reaches("app", HELLO, port=self.port)

    def test_the_sidecar_lets_nobody_in(self):
        lease = self.expose_by_ssh(self.port, "--container", "app")
        seen = self.engine.api.inspect(self.sidecar())
        self.assertFalse(seen["HostConfig"]["PortBindings"])
        labels = seen["Config"]["Labels"]
        self.assertEqual((labels["org.testcontainers"], labels["org.testcontainers.lang"]), ("true", "c++"))
        # Try a password login, which other users of the published image rely on.
        said = run("ssh", "-F", "none", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
                   "-o", "BatchMode=yes", "-o", "PreferredAuthentications=password,keyboard-interactive",
                   f"root@{lease.ready['gateway']}", "true", check=False)
        self.assertEqual(said.returncode, 255)
        self.assertIn("Permission denied (publickey)", said.stderr)

    def test_status_shows_the_tunnel(self):
        lease = self.expose_by_ssh(self.port, "--container", "app")
        self.reaches("app", HELLO, port=self.port)
        self.assertTrue(eventually(lambda: self.status_of(lease)["tunnel"]["bytes_from_host"] > len(HELLO)))
        tunnel = self.status_of(lease)["tunnel"]
        self.assertEqual((tunnel["state"], tunnel["connections"], tunnel["reconnects"]), ("up", 1, 0))
        self.assertRegex(tunnel["cipher"], "gcm|chacha")
        text = self.tc_hostnet("status").stdout
        self.assertIn(lease.id, text)
        self.assertIn(tunnel["cipher"], text)
        self.assertIn("tunnel", self.tc_hostnet("inspect", lease.id).stdout)

    def test_a_user_after_root(self):
        """A user's commands while root holds a lease by ssh, in the folder that root has made."""
        folder = self.engine.dir / "made-by-root"
        env = self.env | {"TC_HOSTNET_RUNTIME_DIR": str(folder)}
        lease = Lease([self.program, "--json", "expose", str(self.port), "--container", "app", "--via", "ssh"], env)
        self.addCleanup(lease.close)
        self.assertEqual(folder.stat().st_mode & 0o777, 0o700)
        as_user = ("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", self.program)
        for words in (("list",), ("status",), ("release", "--all")):
            with self.subTest(words=words):
                done = run(*as_user, *words, env=env)
                self.assertRegex(done.stderr, rf"only root[^\n]*sudo tc-hostnet {words[0]}")
        self.reaches("app", HELLO, port=self.port)
        self.assertEqual(lease.end()[0], 0)

    def test_dry_run_makes_nothing(self):
        said = self.tc_hostnet("expose", "--via", "ssh", self.port, "--container", "app", "--dry-run").stdout
        self.assertIn("testcontainers/sshd:1.3.0", said)
        self.assertIn(f"127.0.0.1:{self.port}", said)
        self.assertIn("into the hosts file of container app", said)
        self.assertEqual(self.sidecars(), [])


class Swarm(SshCase):
    """Networks of a swarm of two nodes, whose containers root and users reach by ssh alike. The manager is this program's
    engine; the worker has a network namespace of its own."""

    engine_type = DockerWithSshd
    MANAGER, WORKER = "198.51.100.2", "198.51.100.1"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        run("ip", "netns", "add", "worker")
        cls.addClassCleanup(run, "ip", "netns", "del", "worker")
        run("ip", "link", "add", "swarm0", "type", "veth", "peer", "name", "swarm0", "netns", "worker")
        for prefix, address in (((), cls.MANAGER), (("ip", "netns", "exec", "worker"), cls.WORKER)):
            run(*prefix, "ip", "address", "add", f"{address}/30", "dev", "swarm0")
            run(*prefix, "ip", "link", "set", "swarm0", "up")
        cls.worker = DockerElsewhere("worker")
        cls.addClassCleanup(cls.worker.close)
        cls.engine("swarm", "init", "--advertise-addr", cls.MANAGER)
        cls.addClassCleanup(cls.leave)
        token = cls.engine("swarm", "join-token", "--quiet", "worker")
        cls.worker("swarm", "join", "--token", token, "--advertise-addr", cls.WORKER, f"{cls.MANAGER}:2377")
        # Docker makes the bridge and the rules of its routing mesh with the first task, and keeps them.
        cls.end_tasks(*cls.start_tasks("--constraint", "node.role==manager"))

    @classmethod
    def leave(cls):
        cls.engine("swarm", "leave", "--force")
        attempt(cls.engine.api.remove_network, "docker_gwbridge")
        run("ip", "link", "del", "swarm0")

    @classmethod
    def start_tasks(cls, *options, count=1):
        """A service with a published port, which puts it on `ingress`, too; and its containers, those of the manager first."""
        service = cls.engine("service", "create", "--detach", "--no-resolve-image", "--publish", "8099:80", "--replicas",
                             str(count), *options, IMAGE, "sleep", "600").strip()
        found = ("ps", "-q", "--no-trunc", "--filter", f"label=com.docker.swarm.service.id={service}")
        tasks = []

        def all_run():
            tasks[:] = [(engine, task) for engine in (cls.engine, cls.worker) for task in engine(*found).split()]
            return len(tasks) == count
        if not eventually(all_run, 60):
            raise AssertionError(f"the service has {len(tasks)} tasks: {cls.engine('service', 'ps', '--no-trunc', service)}")
        return service, tasks

    @classmethod
    def end_tasks(cls, service, tasks):
        cls.engine("service", "rm", service)
        for engine, container in tasks:
            attempt(engine.api.remove, container)  # at once; Docker itself waits ten seconds for `sleep`

    def tasks(self, *networks, count=1):
        where = () if count > 1 else ("--constraint", "node.role==manager")
        service, tasks = self.start_tasks(*where, *(word for one in networks for word in ("--network", one)), count=count)
        self.addCleanup(self.end_tasks, service, tasks)
        return tasks

    def overlay(self, name, *options):
        self.engine("network", "create", "--driver", "overlay", *options, name)

        def is_gone():  # once the manager knows that its containers have left
            attempt(self.engine.api.remove_network, name)
            return name not in [one["Name"] for one in self.engine.api.get("/networks")]
        self.addCleanup(lambda: self.assertTrue(eventually(is_gone)))

    def on_worker(self, name, network):
        self.addCleanup(attempt, self.worker.api.remove, name)
        self.worker.api.run(name, IMAGE, ["sleep", "600"], network=network)

    def reached_by(self, engine, container, text=HELLO):
        # The name spreads from node to node.
        url = f"http://{ALIAS}:{self.port}/"
        self.assertTrue(eventually(lambda: engine.fetch(container, url, 5) == text), (engine.dir, container))

    def test_a_task_on_ingress_and_an_attachable_network(self):
        self.overlay("open", "--attachable")
        ((_, task),) = self.tasks("open")
        lease = self.expose(self.port, "--container", task)  # as root
        self.reaches(task, HELLO, port=self.port)
        code, _, err = lease.end()
        self.assertEqual(code, 0)
        self.assertIn("going by ssh instead", err)
        lease = self.expose(self.port, "--network", "open")
        self.reaches(task, HELLO, port=self.port)
        self.assertEqual(lease.end()[0], 0)

    def test_containers_and_tasks_on_both_nodes(self):
        self.overlay("open", "--attachable")
        self.container("here", network="open")
        self.on_worker("there", "open")
        tasks = self.tasks("open", count=4)
        self.assertEqual([engine for engine, _ in tasks], [self.engine] * 2 + [self.worker] * 2)
        lease = self.expose(self.port, "--network", "open")
        self.assertEqual(lease.ready["via"], "ssh")
        self.on_worker("later", "open")
        for engine, one in (*tasks, (self.engine, "here"), (self.worker, "there"), (self.worker, "later")):
            self.reached_by(engine, one)
            self.assertFalse(any(ALIAS in line for line in engine.hosts(one)))
        err = self.refused_elsewhere(6, "another node of the swarm", self.port, "--container", "there")
        self.assertIn("name that node's engine with --engine", err)
        self.assertEqual(lease.end()[0], 0)
        self.assertEqual(self.sidecars(), [])
        for engine, one in (tasks[0], tasks[3]):
            self.assertIsNone(engine.fetch(one, f"http://{ALIAS}:{self.port}/", 2))

    def refused_elsewhere(self, code, words, *arguments, env=None):
        done = self.tc_hostnet("expose", *map(str, arguments), check=False, **({"env": env} if env else {}))
        self.assertEqual(done.returncode, code, done.stderr)
        self.assertIn(words, done.stderr)
        return done.stderr

    def test_the_worker_as_the_engine(self):
        """Asked from here, as by ssh:// or a tunnel; and by a command on the worker's own machine."""
        at_worker = self.env | {"DOCKER_HOST": f"unix://{self.worker.socket}"}
        self.addCleanup(self.tc_hostnet, "release", "--all", env=at_worker)
        before = self.worker.inventory()
        self.overlay("open", "--attachable")
        err = self.refused_elsewhere(6, "there is no network 'open'", self.port, "--network", "open", env=at_worker)
        self.assertIn("this engine is a worker of a swarm", err)
        self.assertIn(f"ask a manager, with --engine ssh://{self.MANAGER}", err)
        self.assertEqual(self.worker.inventory(), before)
        self.on_worker("there", "open")
        self.container("here", network="open")
        for target in (("--container", "there"), ("--network", "open")):
            lease = self.tc_hostnet("expose", self.port, *target, "--detach", env=at_worker).stdout.strip()
            self.reached_by(self.worker, "there")
            self.tc_hostnet("release", lease, env=at_worker)
        site = self.worker.dir / "site"
        site.mkdir()
        (site / "index.html").write_text("the worker's")
        service = subprocess.Popen(["ip", "netns", "exec", "worker", "busybox", "httpd", "-f", "-p", f"127.0.0.1:{self.port}",
                                    "-h", site])
        self.addCleanup(service.wait, 10)
        self.addCleanup(service.kill)
        there = Lease(["ip", "netns", "exec", "worker", self.program, "--json", "expose", str(self.port), "--network", "open"],
                      at_worker)
        self.addCleanup(there.close)
        for engine, one in ((self.engine, "here"), (self.worker, "there")):
            self.reached_by(engine, one, "the worker's")
        err = self.refused_elsewhere(8, f"already defined on network open by lease {there.id}", self.port, "--network", "open")
        self.assertIn(f"on the swarm's node {self.WORKER}", err)
        self.assertEqual(self.sidecars(), [])
        self.assertEqual(there.end()[0], 0)
        self.assertEqual(self.worker.api.containers(LEASE_LABEL), [])

    def test_what_no_sidecar_can_join_is_said_before_one_is_made(self):
        self.overlay("closed")
        self.refused(3, "network closed is a swarm's and not attachable", self.port, "--network", "closed")
        self.refused(3, "the swarm's own routing mesh", self.port, "--network", "ingress")
        ((_, task),) = self.tasks("closed")
        err = self.refused(3, "network closed: ", self.port, "--via", "ssh", "--container", task)
        self.assertIn("network ingress: ", err)
        lease = self.expose(self.port, "--container", task)
        self.assertEqual(lease.ready["via"], "relay")
        self.reaches(task, HELLO, port=self.port)
        self.assertEqual(lease.end()[0], 0)


class DockerRefuses(SshCase):
    engine_type = DockerWithSshd

    def test_ports(self):
        app = ("--via", "ssh", "--container", "app")
        self.refused(2, "SSH port is reserved", "22", *app)
        self.refused(2, "SSH port is reserved", "8088:22", *app)
        self.refused(2, "carries TCP only", "5353/udp", *app)
        self.refused(2, "greater than zero", "0", *app)
        self.refused(7, "nothing listens", free_port(), "--require-listener", *app)

    def test_targets(self):
        self.refused(3, "the ssh path serves containers and networks", self.port, "--via", "ssh", "--bridge", "docker0")
        self.refused(6, "there is no container 'nosuch'", self.port, "--via", "ssh", "--container", "nosuch")
        self.refused(6, "nosuch", self.port, "--via", "ssh", "--network", "nosuch")
        self.refused(2, "a sidecar there cannot be reached", self.port, "--via", "ssh", "--network", "host")
        self.container("joined", network="container:app")
        self.refused(2, "shares the network", self.port, "--via", "ssh", "--container", "joined")

    def test_an_alias_of_the_users_own(self):
        self.container("own", network="web", hosts=[f"{ALIAS}:192.0.2.1"])
        hosts = self.engine.hosts("own")
        self.refused(8, "already defined", self.port, "--via", "ssh", "--container", "own")
        self.engine.inside("app", "sh", "-c", f"echo 192.0.2.1 {ALIAS} >>/etc/hosts", check=True)
        self.refused(8, "already defined", self.port, "--via", "ssh", "--container", "app")
        self.assertEqual(self.engine.hosts("own"), hosts)
        self.assertIn(f"192.0.2.1 {ALIAS}", self.engine.hosts("app"))
        self.expose_by_ssh(self.port, "--container", "app", "--no-alias")

    def test_a_second_lease_for_the_same_names(self):
        for target in (("--container", "app"), ("--network", "web")):
            with self.subTest(target=target):
                lease = self.expose_by_ssh(self.port, *target)
                done = self.tc_hostnet("expose", "--via", "ssh", "9999", *target, check=False)
                self.assertEqual(done.returncode, 8)
                self.assertIn("already defined", done.stderr)
                self.assertEqual(len(self.sidecars()), 1)
                self.reaches("app", HELLO, port=self.port)
                self.assertEqual(lease.end()[0], 0)

    def test_a_container_without_a_shell(self):
        """Root edits the file from outside; other users get a hint on the alternative."""
        self.container("bare", network="web")
        self.engine.inside("bare", "rm", "-f", "/bin/sh", "/bin/cat", check=True)
        self.expose_by_ssh(self.port, "--container", "bare").end()
        done = self.as_nobody("expose", "--via", "ssh", str(self.port), "--container", "bare", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("it has no cat", done.stderr)
        self.assertIn("--no-alias", done.stderr)
        self.assertEqual(self.sidecars(), [])
        self.assertEqual(self.as_nobody("list", "--json").stdout, "")


if __name__ == "__main__":
    main()
