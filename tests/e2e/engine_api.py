"""The engines' API, asked over their Unix socket by the tests' own process. A command of `docker` takes 0.06 s of a
processor to start and one of `podman` 0.12 s, whatever it is to do, and the tests have thousands of wishes."""
import contextlib
import http.client
import json
import socket
import urllib.parse


class Refused(AssertionError):
    """What the engine says to a request that it does not carry out, or that there is no engine."""


def attempt(call, *arguments):
    """For what need not succeed, such as the removal of what may have gone."""
    with contextlib.suppress(Refused):
        call(*arguments)


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=60)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self.path))


class Api:
    """Docker's, which Podman has as well. Containers and networks are called by name or id."""

    def __init__(self, path):
        self.path = path

    def ask(self, method, path, body=None, version="/v1.40"):
        """The body of its answer."""
        sent, headers = (None, {}) if body is None else (json.dumps(body), {"Content-Type": "application/json"})
        try:
            with contextlib.closing(UnixConnection(self.path)) as connection:
                connection.request(method, version + path, sent, headers)
                answer = connection.getresponse()
                said = answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise Refused(f"{method} {path}: {error!r}") from error
        if answer.status >= 400:
            raise Refused(f"{method} {path}: {answer.status} {said.decode(errors='replace')}")
        return said

    def get(self, path, **options):
        return json.loads(self.ask("GET", path, **options))

    def create(self, name, image, command, *, network=None, labels=None, hosts=(), ports=None, user="", **rest):
        """A container's id. `hosts` are lines for its hosts file as "name:address", `ports` where its own are published,
        as {80: ("127.0.0.1", 18080)}; the rest is in the API's own words for its HostConfig."""
        ports = {f"{inside}/tcp": where for inside, where in (ports or {}).items()}
        host = {"NetworkMode": network or "default", "ExtraHosts": list(hosts),
                "PortBindings": {inside: [{"HostIp": address, "HostPort": str(port)}]
                                 for inside, (address, port) in ports.items()}}
        body = {"Image": image, "Cmd": list(command), "Labels": labels or {}, "User": user,
                "ExposedPorts": {inside: {} for inside in ports}, "HostConfig": host | rest}
        return json.loads(self.ask("POST", f"/containers/create?name={name}", body))["Id"]

    def run(self, name, *arguments, **options):
        identity = self.create(name, *arguments, **options)
        self.start(identity)
        return identity

    def start(self, container):
        self.ask("POST", f"/containers/{container}/start")

    def kill(self, container):
        self.ask("POST", f"/containers/{container}/kill")

    def restart(self, container):
        """At once."""
        self.ask("POST", f"/containers/{container}/restart?t=0")

    def pause(self, container):
        self.ask("POST", f"/containers/{container}/pause")

    def unpause(self, container):
        self.ask("POST", f"/containers/{container}/unpause")

    def wait(self, container):
        """Its exit status, at its end."""
        return json.loads(self.ask("POST", f"/containers/{container}/wait"))["StatusCode"]

    def remove(self, container):
        """At once, running or not, with its volumes."""
        self.ask("DELETE", f"/containers/{container}?force=true&v=true")

    def inspect(self, container):
        return self.get(f"/containers/{container}/json")

    def logs(self, container):
        """What it has said, and between the pieces some bytes that say which stream and how many."""
        return self.ask("GET", f"/containers/{container}/logs?stdout=true&stderr=true").decode(errors="replace")

    def containers(self, label=None):
        """The ids of all, running or not, or of those with this label."""
        query = {"all": "true"} | ({"filters": json.dumps({"label": [label]})} if label else {})
        return [one["Id"] for one in self.get("/containers/json?" + urllib.parse.urlencode(query), **self.listing)]

    listing = {}  # how it is asked for lists

    def images(self):
        return sorted(one["Id"] for one in self.get("/images/json"))

    def make_network(self, name):
        self.ask("POST", "/networks/create", {"Name": name, "CheckDuplicate": True, "Driver": "bridge"})

    def network(self, name):
        return self.get(f"/networks/{name}")

    def bridge(self, network):
        """Its name, unless one was chosen."""
        return "br-" + self.network(network)["Id"][:12]

    def remove_network(self, name):
        self.ask("DELETE", f"/networks/{name}")

    def connect(self, network, container, address=None):
        endpoint = {"IPAMConfig": {"IPv4Address": address}} if address else {}
        self.ask("POST", f"/networks/{network}/connect", {"Container": container, "EndpointConfig": endpoint})

    def disconnect(self, network, container):
        self.ask("POST", f"/networks/{network}/disconnect", {"Container": container})


class PodmanApi(Api):
    """Its own one, by which `podman --remote` asks, where Docker's means something else to it than its command does."""

    LIBPOD = "/v4.0.0/libpod"
    # By Docker's it fails when one of them has gone meanwhile.
    listing = {"version": LIBPOD}

    def remove(self, container):
        # By Docker's, ten seconds are left to it.
        self.ask("DELETE", f"/containers/{container}?force=true&timeout=0&volumes=true", version=self.LIBPOD)

    def make_network(self, name, **more):
        # By Docker's, it is kept apart from the others.
        wanted = {"name": name, "driver": "bridge", "dns_enabled": True}
        self.ask("POST", "/networks/create", wanted | more, version=self.LIBPOD)

    def bridge(self, network):
        return self.get(f"/networks/{network}/json", version=self.LIBPOD)["network_interface"]
