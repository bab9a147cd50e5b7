"""The engines that the end-to-end tests start, each in the namespaces of its test program."""
import contextlib
import os
import re
import shutil
import signal
import tempfile
from pathlib import Path

from engine_api import Api, PodmanApi, attempt
from harness import IMAGE, SUPPORT, output, run


def with_flock():
    """The mounts that give a container of the test image flock(1), which most images have."""
    flock = shutil.which("flock")
    return [f"{path}:{path}:ro" for path in (flock, *re.findall(r"(/\S+) \(0x", output("ldd", flock)))]


class Engine:
    """An engine in this program's own namespaces. `command` is its command line."""

    images = ("alpine",)
    default_network = "bridge"
    product = "docker"
    api_type = Api

    def __init__(self, starter):
        self.starter = SUPPORT / starter
        self.dir = Path(tempfile.mkdtemp(prefix="hostnet-e2e-"))
        self.api = self.api_type(self.socket)
        try:
            self.start()
            run(SUPPORT / "images", self.dir, *self.images)
        except BaseException:
            self.close()
            raise

    options = ()  # for the engine

    @property
    def socket(self):
        return self.dir / f"{self.product}.sock"

    @property
    def env(self):
        """Its environment for command line calls."""
        return dict(os.environ)

    def start(self):
        run(self.starter, self.dir, *self.options)

    def stop(self):
        run(self.starter, "--stop", self.dir)

    def close(self):
        self.stop()
        shutil.rmtree(self.dir)

    def let_everybody_in(self):
        """Every user of this machine may use its socket."""
        for path in (self.dir, self.socket):
            path.chmod(path.stat().st_mode | (0o001 if path.is_dir() else 0o006))

    @property
    def pid(self):
        """Of the process that answers requests."""
        return int((self.dir / f"{self.product}.pid").read_text())

    @contextlib.contextmanager
    def hung(self):
        """It accepts connections and answers nothing."""
        os.kill(self.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.pid, signal.SIGCONT)

    @contextlib.contextmanager
    def with_log_driver(self, driver):
        """Its containers end."""
        usual = self.options
        self.stop()
        self.options = self.options_for_log_driver(driver)
        try:
            self.start()
            yield
        finally:
            self.stop()
            self.options = usual
            self.start()

    def options_for_log_driver(self, driver):
        return *self.options, "--log-driver", driver

    def __call__(self, *arguments, **options):
        return output(*self.command, *arguments, env=self.env, **options)

    def attempt(self, *arguments, **options):
        return run(*self.command, *arguments, env=self.env, check=False, **options)

    def inside(self, container, *argv, check=False):
        """Runs a program in all namespaces of a running container; `exec` needs three more processes."""
        process = self.api.inspect(container)["State"]["Pid"]
        return run("nsenter", "--target", process, "--all", *argv, check=check)

    def hosts(self, container):
        return self.inside(container, "cat", "/etc/hosts", check=True).stdout.splitlines()

    def fetch(self, container, url, timeout=10):
        """What the container's own wget gets within that time, or None."""
        # wget -T of Debian's busybox-static crashes with SIGSEGV.
        try:
            done = self.inside(container, "timeout", timeout, "wget", "-qO-", url)
        except AssertionError:  # it is not there
            return None
        return done.stdout if done.returncode == 0 else None

    def inventory(self):
        return {"containers": sorted(" ".join([*(name.lstrip("/") for name in one["Names"]), one["Image"]])
                                     for one in self.api.get("/containers/json?all=true")),
                "networks": sorted(f"{one['Name']} {one['Driver']}" for one in self.api.get("/networks"))}

    def clear(self, before):
        """Removes what a failed test left beyond its first `inventory`, so that the next tests can run."""
        for kind, remove in (("containers", self.api.remove), ("networks", self.api.remove_network)):
            for line in set(self.inventory()[kind]) - set(before[kind]):
                attempt(remove, line.split()[0])


class Docker(Engine):
    def __init__(self):
        super().__init__("own-dockerd")

    @property
    def command(self):
        return ["docker", "-H", f"unix://{self.socket}"]


class Podman(Engine):
    default_network = product = "podman"
    api_type = PodmanApi

    def __init__(self):
        super().__init__("own-podman")
        # netavark makes its chains of either family for the first container with a published port, and leaves them.
        self.api.make_network("first", ipv6_enabled=True)
        self.run_once(network="first", ports={80: ("", 18080)})
        self.api.remove_network("first")

    def options_for_log_driver(self, driver):
        return *(self.options or ("netavark",)), driver

    def run_once(self, **options):
        self.api.run("once", IMAGE, ["true"], **options)
        self.api.wait("once")
        self.api.remove("once")

    command = ["podman"]

    @property
    def env(self):
        return os.environ | {"CONTAINERS_CONF": str(self.dir / "containers.conf"),
                             "CONTAINERS_STORAGE_CONF": str(self.dir / "storage.conf")}


class RootlessPodmanWithSshd(Engine):
    """Rootless Podman."""

    images = ("alpine", "sshd")
    default_network = product = "podman"
    api_type = PodmanApi
    user = "alice"

    def __init__(self):
        super().__init__("own-rootless-podman")

    @property
    def command(self):
        return [self.dir / "bin/podman"]


class DockerWithSshd(Docker):
    images = ("alpine", "sshd")


class DockerElsewhere(DockerWithSshd):
    """Another machine's: in a network namespace of that name, which must exist."""

    def __init__(self, namespace):
        self.namespace = namespace
        super().__init__()

    def start(self):
        # Not `ip netns exec`, whose /sys has no control groups. /run/docker is Docker's, whatever --exec-root says.
        run("nsenter", f"--net=/run/netns/{self.namespace}", "unshare", "-m", "--propagation", "private", "sh", "-c",
            'mount -t tmpfs tmpfs /run/docker && exec "$@"', "sh", self.starter, self.dir, *self.options)


class RootlessDockerWithSshd(DockerWithSshd):
    """Rootless Docker, in RootlessKit's namespaces."""

    user = "carol"

    def __init__(self):
        Engine.__init__(self, "own-rootless-docker")


class PodmanWithCni(Podman):
    """Podman with networks of the CNI plugins, as before Podman 4.0."""

    options = ("cni",)

    def __init__(self):
        super().__init__()
        # The plugins create the default bridge with its first container and keep it. They also keep some rules of
        # every network and port, and a bridge's route_localnet, and reuse them for later networks of that name.
        self.run_once(ports={80: ("127.0.0.1", 18082)})
        for network in ("first", "second"):
            self.api.make_network(network, options={"isolate": "true"})  # the default of its Docker API
            self.run_once(network=network)
        for network in ("first", "second"):
            self.api.remove_network(network)

    def close(self):
        super().close()
        # The default bridge has the addresses of netavark's, which another engine here may make.
        run("ip", "link", "delete", "cni-podman0", check=False)


class PodmanWithSshd(Podman):
    images = ("alpine", "sshd")


class PodmanWithCniAndSshd(PodmanWithCni):
    images = ("alpine", "sshd")
