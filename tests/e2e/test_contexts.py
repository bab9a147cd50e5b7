#!/usr/bin/python3
"""Engines named by docker contexts, on a Unix socket and on the network, with and without TLS: real daemons, and contexts
made by the docker command itself."""
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from engines import Docker
from harness import main, run
from ssh_cases import HELLO, SshCase, free_port

# Not a loopback address, so the engine there counts as one on another machine (RFC 5737).
ELSEWHERE = "192.0.2.10"


class Certificates:
    """An authority, the engine's certificate and a client's, as docker's own guide makes them."""

    def __init__(self, folder, engine_names="IP:127.0.0.1"):
        self.folder = folder
        folder.mkdir()
        self.run("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN=authority {folder.name}",
                 "-keyout", "ca-key.pem", "-out", "ca.pem")
        self.sign("server", f"subjectAltName={engine_names}\nextendedKeyUsage=serverAuth\n")
        self.sign("", "extendedKeyUsage=clientAuth\n")

    def run(self, *arguments):
        subprocess.run(["openssl", *arguments], cwd=self.folder, check=True, capture_output=True, timeout=60)

    def sign(self, name, extensions):
        prefix = f"{name}-" if name else ""
        (self.folder / "extensions").write_text(extensions)
        self.run("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name or 'client'}", "-keyout", f"{prefix}key.pem",
                 "-out", "request")
        self.run("x509", "-req", "-days", "2", "-in", "request", "-CA", "ca.pem", "-CAkey", "ca-key.pem", "-CAcreateserial",
                 "-extfile", "extensions", "-out", f"{prefix}cert.pem")

    def path(self, name):
        return self.folder / name


class DockerOnTheNetwork(Docker):
    images = ("alpine", "sshd")

    def start(self):
        self.port = free_port()
        super().start()


class PlainDocker(DockerOnTheNetwork):
    @property
    def options(self):
        return ("-H", f"tcp://127.0.0.1:{self.port}")


class TlsDocker(DockerOnTheNetwork):
    """Listens on ELSEWHERE and on 127.0.0.1, and accepts clients with a certificate of its authority."""

    @property
    def options(self):
        self.ours = Certificates(self.dir / "ours", f"IP:127.0.0.1,IP:{ELSEWHERE}")
        self.theirs = Certificates(self.dir / "theirs")
        return ("--tlsverify", "--tlscacert", self.ours.path("ca.pem"), "--tlscert", self.ours.path("server-cert.pem"),
                "--tlskey", self.ours.path("server-key.pem"), "-H", f"tcp://127.0.0.1:{self.port}",
                "-H", f"tcp://{ELSEWHERE}:{self.port}")


class ContextCase(SshCase):
    @classmethod
    def setUpClass(cls):
        run("ip", "address", "add", f"{ELSEWHERE}/32", "dev", "lo")
        cls.addClassCleanup(run, "ip", "address", "del", f"{ELSEWHERE}/32", "dev", "lo")
        super().setUpClass()
        cls.config = Path(tempfile.mkdtemp(prefix="hostnet-e2e-"))
        cls.addClassCleanup(shutil.rmtree, cls.config)
        cls.context("here", f"host=unix://{cls.engine.socket}")

    def setUp(self):
        self.wanted = {"DOCKER_CONTEXT": "here"}
        super().setUp()

    @classmethod
    def environment(cls, wanted):
        names = ("DOCKER_HOST", "CONTAINER_HOST", "DOCKER_CONTEXT", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH")
        bare = {name: value for name, value in os.environ.items() if name not in names}
        return bare | {"DOCKER_CONFIG": str(cls.config)} | {name: str(value) for name, value in wanted.items()}

    @property
    def env(self):
        return self.environment(self.wanted)

    @classmethod
    def context(cls, name, endpoint):
        run("docker", "context", "create", name, "--docker", endpoint, env=cls.environment({}))

    def status(self):
        return json.loads(self.tc_hostnet("status", "--json").stdout)

    def says(self, code, words, *arguments):
        """Exits with `code` and one line with these words."""
        done = self.tc_hostnet(*map(str, arguments or ("expose", self.port, "--network", "web")), check=False)
        self.assertEqual(done.returncode, code, done.stderr)
        self.assertRegex(done.stderr, r"\Atc-hostnet: [^\n]+\n\Z")
        self.assertRegex(done.stderr, words)
        self.assertEqual(self.sidecars(), [])
        return done.stderr

    def published(self):
        """The host address that the sidecar's port is published on, or None."""
        bindings = self.engine.api.inspect(self.sidecar())["HostConfig"]["PortBindings"]
        return bindings["22/tcp"][0]["HostIp"] if bindings else None

    def goes_by_ssh(self, publishes_on):
        """Cases of every engine on the network."""
        before = self.engine.inventory()
        self.says(3, "not known to be on this machine", "expose", self.port, "--network", "web", "--via", "native")
        self.says(3, "not known to be on this machine", "expose", self.port, "--container", "app", "--via", "native")
        lease = self.expose(self.port, "--container", "app")
        self.addCleanup(self.tc_hostnet, "release", "--all")
        self.assertEqual(lease.ready["via"], "ssh")
        self.reaches("app", HELLO, port=self.port)
        self.assertEqual(self.published(), publishes_on)
        code, _, err = lease.end()
        self.assertEqual(code, 0)
        self.assertRegex(err, "native: .* not known to be on this machine.*; going by ssh instead")
        self.assertEqual(self.engine.inventory(), before)
        self.nothing_is_left()

    def watches(self):
        """Events, which use a separate connection."""
        watch = subprocess.Popen([self.program, "--json", "watch"], env=self.env, stdin=subprocess.DEVNULL,
                                 stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.addCleanup(watch.stdout.close)
        self.addCleanup(watch.wait, 20)
        self.addCleanup(watch.terminate)
        self.assertEqual(json.loads(watch.stdout.readline())["event"], "watching")
        self.container("labelled", network="web", labels={"io.github.tchostnet.ports": str(self.port)})
        self.assertEqual(json.loads(watch.stdout.readline())["event"], "exposed")
        self.reaches("labelled", HELLO, port=self.port)
        watch.terminate()
        self.assertEqual(watch.wait(20), 0)


class Plain(ContextCase):
    engine_type = PlainDocker

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.address = f"tcp://127.0.0.1:{cls.engine.port}"
        cls.context("loopback", f"host={cls.address}")

    def test_a_context_of_a_unix_socket_is_as_good_as_the_socket(self):
        lease = self.expose(self.port, "--container", "app")
        self.assertEqual(lease.ready["via"], "native")
        self.reaches("app", HELLO, port=self.port)
        self.assertEqual(self.status()["engine"],
                         {"address": str(self.engine.socket), "from": "context here, by DOCKER_CONTEXT"})
        self.assertIn("context here, by DOCKER_CONTEXT", self.tc_hostnet("status").stdout)
        self.assertIn("(context here, by DOCKER_CONTEXT)", self.doctor())

    def test_the_version_of_the_api(self):
        """The user's; one that the engine does not have is told before it refuses it."""
        for version, code, says in (("1.40", 0, ""),
                                    ("1.0", 2, "DOCKER_API_VERSION is 1.0, but the engine has 1.[0-9]+ at least"),
                                    ("1.99", 2, "DOCKER_API_VERSION is 1.99, but the engine has 1.[0-9]+ at most"),
                                    ("newest", 2, "DOCKER_API_VERSION is 'newest', which is no version")):
            with self.subTest(version):
                done = self.tc_hostnet("expose", self.port, "--network", "web", "--dry-run",
                                       env=self.env | {"DOCKER_API_VERSION": version}, check=False)
                self.assertEqual(done.returncode, code, done.stderr)
                self.assertRegex(done.stderr, says or ".*")

    def test_the_context_in_use_and_what_goes_before_it(self):
        self.wanted = {}
        run("docker", "context", "use", "loopback", env=self.env)
        self.addCleanup(run, "docker", "context", "use", "default", env=self.env)
        config = self.config / "config.json"
        self.assertEqual(self.status()["engine"], {"address": self.address, "from": f"context loopback, by {config}"})
        self.wanted = {"DOCKER_CONTEXT": "here"}
        self.assertEqual(self.status()["engine"]["address"], str(self.engine.socket))
        self.wanted |= {"DOCKER_HOST": "unix:///nowhere.sock"}
        self.assertEqual(self.status()["engine"], {"address": "/nowhere.sock", "from": "DOCKER_HOST"})
        self.wanted = {"DOCKER_CONTEXT": "default"}
        self.assertNotIn("context", (self.status()["engine"] or {"from": "default"})["from"])

    def test_a_loopback_address_is_not_known_to_be_this_machine(self):
        self.wanted = {"DOCKER_CONTEXT": "loopback"}
        self.goes_by_ssh("127.0.0.1")
        found = self.doctor()
        self.assertIn("in plain HTTP", found)
        self.assertIn("only the ssh path leads to its containers", found)

    def test_it_is_watched(self):
        self.wanted = {"DOCKER_HOST": self.address}
        self.watches()

    def test_explicitly(self):
        done = self.tc_hostnet("expose", self.port, "--network", "web", "--engine", self.address, "--via", "ssh", "--detach")
        self.addCleanup(self.tc_hostnet, "release", "--all")
        self.reaches("app", HELLO, port=self.port)
        self.wanted = {"DOCKER_HOST": "unix:///nowhere.sock", "DOCKER_TLS_VERIFY": "1"}
        self.tc_hostnet("release", done.stdout.strip())
        self.nothing_is_left()

    def test_a_context_that_is_not_there(self):
        self.wanted = {"DOCKER_CONTEXT": "nowhere"}
        self.assertIn("docker context ls", self.says(6, "nowhere.*DOCKER_CONTEXT"))

    def test_an_engine_by_ssh(self):
        meta = self.config / "contexts" / "meta" / "by-hand"
        meta.mkdir()
        self.addCleanup(shutil.rmtree, meta)
        (meta / "meta.json").write_text(json.dumps(
            {"Name": "login", "Endpoints": {"docker": {"Host": "ssh://me@engine.invalid"}}}))
        for wanted in ({"DOCKER_CONTEXT": "login"}, {"DOCKER_HOST": "ssh://me@engine.invalid"}):
            with self.subTest(wanted=wanted):
                self.wanted = wanted
                self.assertIn("try it by hand: ssh -l me", self.says(3, "ssh login to .*ssh://me@engine.invalid"))
        self.wanted = {"DOCKER_CONTEXT": "here"}

    def test_one_that_does_not_answer(self):
        self.wanted = {"DOCKER_HOST": f"tcp://127.0.0.1:{free_port()}"}
        self.says(3, "Connection refused")
        self.wanted = {"DOCKER_HOST": "tcp://engine.invalid:2375"}
        self.says(3, "the name .engine.invalid. does not resolve")
        self.wanted = {"DOCKER_CONTEXT": "here"}

    def test_tls_to_a_plain_port(self):
        certificates = Certificates(self.engine.dir / "unused")
        self.wanted = {"DOCKER_HOST": self.address, "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": certificates.folder}
        self.says(3, "does not speak TLS")
        self.wanted = {"DOCKER_CONTEXT": "here"}


class Tls(ContextCase):
    engine_type = TlsDocker

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        ours = cls.engine.ours
        cls.address = f"tcp://{ELSEWHERE}:{cls.engine.port}"
        shown = f"cert={ours.path('cert.pem')},key={ours.path('key.pem')}"
        cls.context("elsewhere", f"host={cls.address},ca={ours.path('ca.pem')},{shown}")
        cls.context("distrusted", f"host={cls.address},ca={cls.engine.theirs.path('ca.pem')},{shown}")
        cls.context("blind", f"host={cls.address},skip-tls-verify=true,{shown}")
        cls.context("anonymous", f"host={cls.address},ca={ours.path('ca.pem')}")
        cls.context("stranger", f"host={cls.address},ca={ours.path('ca.pem')},cert={cls.engine.theirs.path('cert.pem')},"
                                f"key={cls.engine.theirs.path('key.pem')}")

    def with_certificates(self, host, folder=None):
        return {"DOCKER_HOST": f"tcp://{host}:{self.engine.port}", "DOCKER_TLS_VERIFY": "1",
                "DOCKER_CERT_PATH": folder or self.engine.ours.folder}

    def test_an_engine_of_another_machine(self):
        self.wanted = {"DOCKER_CONTEXT": "elsewhere"}
        self.goes_by_ssh("0.0.0.0")
        self.assertIn("by TLS, is not known", self.doctor())

    def test_a_network_by_its_dns(self):
        self.wanted = {"DOCKER_CONTEXT": "elsewhere"}
        self.expose_by_ssh(self.port, "--network", "web")
        self.reaches("app", HELLO, port=self.port)

    def test_the_streams_of_a_new_container(self):
        """Over TLS the end of the input is that of its connection; the output has another."""
        self.wanted = {"DOCKER_CONTEXT": "elsewhere"}
        self.assertEqual(self.run_in_image("sh", "-c", "cat; printf '\\377' >&2; exit 7", stdin=b"in\xff"),
                         (7, b"in\xff", b"\xff"))

    def test_certificates_of_the_environment(self):
        self.wanted = self.with_certificates("127.0.0.1")
        self.goes_by_ssh("127.0.0.1")

    def test_it_is_watched(self):
        self.wanted = {"DOCKER_CONTEXT": "elsewhere"}
        self.watches()

    def test_a_dead_owners_lease_is_cleared_away_without_the_context(self):
        self.wanted = {"DOCKER_CONTEXT": "elsewhere"}
        lease = self.expose_by_ssh(self.port, "--container", "app")
        self.reaches("app", HELLO, port=self.port)
        lease.end(9)
        self.wanted = {"DOCKER_HOST": "unix:///nowhere.sock"}
        self.tc_hostnet("list")
        self.nothing_is_left()
        self.wanted = {"DOCKER_CONTEXT": "here"}

    def test_an_internal_network_is_reached_through_the_engine(self):
        """It publishes nothing there; the session goes by TLS as its other calls do."""
        self.network("inside", "--internal")
        self.container("shut", network="inside")
        self.addCleanup(self.tc_hostnet, "release", "--all", env=self.environment({"DOCKER_CONTEXT": "here"}))
        self.wanted = {"DOCKER_CONTEXT": "elsewhere"}
        lease = self.detach(self.port, "--network", "inside", "--via", "ssh")
        shown = json.loads(self.tc_hostnet("inspect", lease, "--json").stdout)
        self.assertEqual(shown["tunnel"]["dialled_by"], "exec")
        self.reaches("shut", HELLO, port=self.port)
        self.tc_hostnet("release", lease)
        self.nothing_is_left()

    def test_who_is_not_trusted(self):
        self.wanted = {"DOCKER_CONTEXT": "distrusted"}
        self.says(3, "certificate that is not trusted.*context distrusted|context distrusted.*not trusted")
        self.wanted = self.with_certificates("127.0.0.1", self.engine.theirs.folder)
        self.says(3, "certificate that is not trusted")
        self.wanted = self.with_certificates("localhost")
        self.says(3, "certificate for another name")
        self.wanted = {"DOCKER_CONTEXT": "blind"}
        self.assertEqual(self.tc_hostnet("expose", self.port, "--network", "web", "--via", "ssh", "--dry-run").stderr, "")

    def test_who_does_not_trust_us(self):
        self.wanted = {"DOCKER_CONTEXT": "anonymous"}
        self.says(4, "requires a client certificate")
        self.wanted = {"DOCKER_CONTEXT": "stranger"}
        self.says(4, "does not accept our client certificate")
        self.wanted = {"DOCKER_CONTEXT": "here"}

    def test_plain_http_to_a_tls_port(self):
        self.wanted = {"DOCKER_HOST": self.address}
        self.assertIn("DOCKER_TLS_VERIFY=1", self.says(3, "wants TLS"))
        self.wanted = {"DOCKER_CONTEXT": "here"}

    def test_certificates_that_are_not_there(self):
        folder = self.engine.dir / "none"
        folder.mkdir(exist_ok=True)
        self.wanted = self.with_certificates("127.0.0.1", folder)
        self.says(3, "no ca.pem")
        (folder / "ca.pem").write_text("no certificate\n")
        self.says(3, "our own certificates cannot be used")
        self.wanted = {"DOCKER_CONTEXT": "here"}


if __name__ == "__main__":
    main()
