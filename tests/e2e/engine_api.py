"""The engines' API over their Unix socket, called in the tests' own process. Starting a `docker` command costs 0.06 s of
processor time and a `podman` command 0.12 s, and the tests make thousands of calls."""
import contextlib
import http.client
import json
import socket
import urllib.parse


class Refused(AssertionError):
    """The engine's refusal of a request, or the absence of the engine."""


def attempt(call, *arguments):
    """Calls a function that may fail, such as removing what may be gone."""
    with contextlib.suppress(Refused):
        call(*arguments)


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self.path))


class Api:
    """Docker's API, which Podman also serves. Containers and networks are given by name or id."""

    def __init__(self, path):
        self.path = path

    def ask(self, method, path, body=None, version="/v1.40", timeout=60):
        """Returns the body of the answer."""
        sent, headers = (None, {}) if body is None else (json.dumps(body), {"Content-Type": "application/json"})
        try:
            with contextlib.closing(UnixConnection(self.path, timeout)) as connection:
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
        """Returns a container's id. `hosts` are hosts file entries as "name:address", `ports` the published ports as
        {80: ("127.0.0.1", 18080)}; the rest are HostConfig fields of the API."""
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
        """Restarts without a grace period."""
        self.ask("POST", f"/containers/{container}/restart?t=0")

    def pause(self, container):
        self.ask("POST", f"/containers/{container}/pause")

    def unpause(self, container):
        self.ask("POST", f"/containers/{container}/unpause")

    def wait(self, container):
        """Waits for its end and returns its exit status."""
        return json.loads(self.ask("POST", f"/containers/{container}/wait"))["StatusCode"]

    def remove(self, container):
        """Removes it immediately, running or not, with its volumes."""
        self.ask("DELETE", f"/containers/{container}?force=true&v=true")

    def inspect(self, container):
        return self.get(f"/containers/{container}/json")

    def logs(self, container):
        """Its output, with the multiplexing headers (stream and length) between the pieces."""
        return self.ask("GET", f"/containers/{container}/logs?stdout=true&stderr=true").decode(errors="replace")

    def containers(self, label=None):
        """The ids of all containers, running or not, or of those with this label."""
        query = {"all": "true"} | ({"filters": json.dumps({"label": [label]})} if label else {})
        return [one["Id"] for one in self.get("/containers/json?" + urllib.parse.urlencode(query), **self.listing)]

    listing = {}  # extra arguments of list requests

    def images(self):
        return sorted(one["Id"] for one in self.get("/images/json"))

    def make_network(self, name):
        self.ask("POST", "/networks/create", {"Name": name, "CheckDuplicate": True, "Driver": "bridge"})

    def network(self, name):
        return self.get(f"/networks/{name}")

    def bridge(self, network):
        """The default name of its bridge."""
        return "br-" + self.network(network)["Id"][:12]

    def remove_network(self, name):
        self.ask("DELETE", f"/networks/{name}")

    def connect(self, network, container, address=None):
        endpoint = {"IPAMConfig": {"IPv4Address": address}} if address else {}
        self.ask("POST", f"/networks/{network}/connect", {"Container": container, "EndpointConfig": endpoint})

    def disconnect(self, network, container):
        self.ask("POST", f"/networks/{network}/disconnect", {"Container": container})


class PodmanApi(Api):
    """Podman's own API, as used by `podman --remote`, for calls where the Docker API behaves unlike Podman's command."""

    LIBPOD = "/v4.0.0/libpod"
    # Docker's API fails if a container disappears during the listing.
    listing = {"version": LIBPOD}

    def remove(self, container):
        # Docker's API would wait ten seconds.
        self.ask("DELETE", f"/containers/{container}?force=true&timeout=0&volumes=true", version=self.LIBPOD)

    def make_network(self, name, **more):
        # Docker's API would isolate it from other networks.
        wanted = {"name": name, "driver": "bridge", "dns_enabled": True}
        self.ask("POST", "/networks/create", wanted | more, version=self.LIBPOD)

    def bridge(self, network):
        return self.get(f"/networks/{network}/json", version=self.LIBPOD)["network_interface"]
