#!/usr/bin/python3
"""engine::Client and the alias against a real Docker and a real rootful Podman.

Run under tests/support/in_namespaces with ENGINE_DUMP naming the tool built from engine_dump.cpp.
"""
import json
import os
import shutil
import subprocess
import tempfile
import unittest

from engine_api import Api, PodmanApi

IMAGE = "alpine:3.19"
SUPPORT = os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "support")
DUMP = os.environ["ENGINE_DUMP"]
ALIAS = "host.testcontainers.internal"


def run(*argv, **kwargs):
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=120, **kwargs)
    if done.returncode != 0:
        raise AssertionError(f"{argv}: exit status {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout.strip()


class EngineTests:
    """Cases of both engines. A subclass starts one and names its command."""

    @classmethod
    def setUpClass(cls):
        cls.dir = tempfile.mkdtemp(prefix="hostnet-e2e-")
        cls.addClassCleanup(shutil.rmtree, cls.dir, ignore_errors=True)
        cls.addClassCleanup(run, os.path.join(SUPPORT, cls.starter), "--stop", cls.dir)
        run(os.path.join(SUPPORT, cls.starter), cls.dir)
        run(os.path.join(SUPPORT, "images"), cls.dir)
        cls.socket = os.path.join(cls.dir, cls.product + ".sock")
        cls.set_up_command()
        cls.api = cls.api_type(cls.socket)
        cls.api.make_network("web")
        cls.engine("network", "create", "--internal", "inner")
        cls.start("api", network="web", hosts=["x.example:1.2.3.4"])

    @classmethod
    def engine(cls, *arguments):
        return run(*cls.command, *arguments, env=cls.env)

    @classmethod
    def start(cls, name, **options):
        return cls.api.run(name, IMAGE, ["sleep", "600"], **options)

    def temporary(self, name, **options):
        self.addCleanup(self.api.remove, name)
        return self.start(name, **options)

    def dump(self, *arguments):
        return json.loads(run(DUMP, self.socket, *arguments))

    def refused(self, *arguments):
        done = subprocess.run([DUMP, self.socket, *arguments], stdout=subprocess.PIPE, text=True, timeout=60)
        self.assertEqual(done.returncode, 1, done.stdout)
        return json.loads(done.stdout)

    def hosts(self, container):
        with open(f"/proc/{self.dump('container', container)['pid']}/root/etc/hosts") as seen:
            return seen.read().splitlines()

    def remove(self, record, lease):
        self.dump("alias-remove", *(str(record[key]) for key in ("container", "pid", "pid_start", "hosts_path", "device",
                                                                 "inode")), lease)

    def interface_address(self, interface):
        shown = json.loads(run("ip", "-j", "-4", "address", "show", "dev", interface))
        return shown[0]["addr_info"][0]["local"]

    # The engine's answers.

    def test_ping_and_version(self):
        self.dump("ping")
        version = self.dump("version")
        self.assertEqual(version["is_podman"], self.product == "podman")
        self.assertEqual(version["version"], self.engine("version", "--format", "{{.Server.Version}}"))
        self.assertRegex(version["api_version"], r"^1\.\d+$")

    def test_bridge_and_gateway_are_those_of_the_interface(self):
        for name in ("web", self.default_network):
            with self.subTest(network=name):
                # Podman's default bridge exists only while a container is on it.
                self.temporary("guest-" + name, network=name)
                network = self.dump("network", name)
                self.assertEqual(network["driver"], "bridge")
                self.assertEqual(network["gateway"], self.interface_address(network["bridge"]))
                self.assertEqual(self.dump("network", network["id"])["bridge"], network["bridge"])

    def test_networks(self):
        networks = self.dump("networks")
        self.assertLessEqual({"web", "inner", "bridge"}, set(networks))
        self.assertTrue(networks["inner"]["internal"])
        self.assertFalse(networks["web"]["internal"])
        for name in ("web", "inner"):
            alone = self.dump("network", name)
            for key in ("id", "driver", "internal", "bridge", "gateway"):
                self.assertEqual(networks[name][key], alone[key], key)

    def test_container(self):
        seen = self.dump("container", "api")
        inspected = json.loads(self.engine("inspect", "api"))[0]
        self.assertEqual(seen["id"], inspected["Id"])
        self.assertEqual(seen["name"], "api")
        self.assertTrue(seen["running"])
        self.assertEqual(seen["pid"], inspected["State"]["Pid"])
        self.assertEqual(seen["hosts_path"], inspected["HostsPath"])
        self.assertEqual(seen["extra_hosts"], ["x.example:1.2.3.4"])
        self.assertEqual(list(seen["endpoints"]), ["web"])
        self.assertEqual(seen["endpoints"]["web"]["address"],
                         inspected["NetworkSettings"]["Networks"]["web"]["IPAddress"])
        network = self.dump("network", "web")
        self.assertEqual(seen["endpoints"]["web"]["gateway"], network["gateway"])
        self.assertIn(seen["id"], network["containers"])
        self.assertEqual(self.dump("container", seen["id"][:12])["id"], seen["id"])

    def test_a_container_that_does_not_run(self):
        self.addCleanup(self.api.remove, "idle")
        identity = self.api.create("idle", IMAGE, ["sleep", "1"], network="web")
        seen = self.dump("container", "idle")
        self.assertFalse(seen["running"])
        self.assertEqual(seen["pid"], 0)
        self.assertNotIn(identity, self.dump("network", "web")["containers"])
        self.assertEqual(self.refused("alias-write", "idle", "10.0.0.1", "L1")["error"], "conflict")

    def test_network_modes(self):
        for name, mode in (("in-host", "host"), ("in-none", "none"), ("in-other", "container:api")):
            self.temporary(name, network=mode)
            seen = self.dump("container", name)["network_mode"]
            self.assertEqual(seen.split(":")[0], mode.split(":")[0])
        self.assertEqual(seen, "container:" + self.dump("container", "api")["id"])

    def test_unknown_names_are_not_found_and_lead_nowhere_else(self):
        for kind in ("container", "network"):
            for name in ("nobody", "no/body", "../networks", "..", ".", "a b", "x?all=1", "x#y", "%2e%2e", "$(id)",
                         "api/json?", "é", "web/../web"):
                with self.subTest(kind=kind, name=name):
                    self.assertEqual(self.refused(kind, name)["error"], "not_found")
            self.assertEqual(self.refused(kind, "")["error"], "invalid_argument")
        self.assertIn("nobody", self.refused("container", "nobody")["message"])

    # The alias.

    def test_alias_comes_and_goes_in_the_running_container(self):
        before = self.hosts("api")
        record = self.dump("alias-write", "api", "10.1.2.3", "L1")
        self.assertEqual(record["result"], "written")
        resolved = self.engine("exec", "api", "sh", "-c", f"ping -c1 -W1 {ALIAS} || true")
        self.assertIn(f"{ALIAS} (10.1.2.3)", resolved)
        other = self.dump("alias-write", "api", "10.1.2.3", "L2")
        self.assertEqual(self.dump("alias-write", "api", "10.1.2.3", "L1")["result"], "written")
        self.assertEqual(len(self.hosts("api")), len(before) + 2)
        self.remove(record, "L1")
        self.assertEqual([line for line in self.hosts("api") if ALIAS in line][0].split("#")[1], " tc-hostnet L2")
        self.remove(other, "L2")
        self.assertEqual(self.hosts("api"), before)
        self.remove(record, "L1")
        self.assertEqual(self.hosts("api"), before)

    def test_alias_in_a_read_only_container(self):
        self.temporary("frozen", network="web", ReadonlyRootfs=True)
        before = self.hosts("frozen")
        record = self.dump("alias-write", "frozen", "10.1.2.3", "L1")
        self.assertTrue(any(ALIAS in line for line in self.hosts("frozen")))
        self.remove(record, "L1")
        self.assertEqual(self.hosts("frozen"), before)

    def test_alias_of_the_user(self):
        self.temporary("theirs", network="web", hosts=[f"{ALIAS}:10.9.9.9"])
        before = self.hosts("theirs")
        self.assertEqual(self.dump("alias-write", "theirs", "10.9.9.9", "L1")["result"], "already_there")
        refused = self.refused("alias-write", "theirs", "10.1.2.3", "L1")
        self.assertEqual(refused["error"], "conflict")
        self.assertIn("already defined", refused["message"])
        self.assertEqual(self.hosts("theirs"), before)

    def test_a_hosts_file_mounted_by_the_user_is_left_alone(self):
        mine = os.path.join(self.dir, "my-hosts")
        with open(mine, "w") as out:
            out.write("127.0.0.1 localhost\n")
        self.temporary("mounted", network="web", Binds=[f"{mine}:/etc/hosts"])
        self.assertEqual(self.refused("alias-write", "mounted", "10.1.2.3", "L1")["error"], "conflict")
        with open(mine) as left:
            self.assertNotIn(ALIAS, left.read())

    def test_alias_after_the_container_has_stopped(self):
        self.temporary("brief", network="web")
        record = self.dump("alias-write", "brief", "10.1.2.3", "L1")
        self.api.kill("brief")
        self.api.wait("brief")
        self.remove(record, "L1")
        if os.path.exists(record["hosts_path"]):
            with open(record["hosts_path"]) as left:
                self.assertNotIn(ALIAS, left.read())
        self.api.start("brief")
        self.assertFalse([line for line in self.hosts("brief") if ALIAS in line])

    def test_alias_in_an_image_without_a_shell(self):
        root = os.path.join(self.dir, "scratch")
        os.makedirs(os.path.join(root, "bin"))
        shutil.copy("/bin/busybox", os.path.join(root, "bin", "sleep"))
        subprocess.run(f"tar -C {root} -c . | {' '.join(self.command)} import - scratch:1", shell=True, check=True,
                       env=self.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(self.api.remove, "bare")
        self.api.run("bare", "scratch:1", ["/bin/sleep", "600"], network="web")
        record = self.dump("alias-write", "bare", "10.1.2.3", "L1")
        with open(f"/proc/{record['pid']}/root/etc/hosts") as hosts:
            self.assertIn(f"10.1.2.3\t{ALIAS} # tc-hostnet L1\n", hosts.readlines())


class Docker(EngineTests, unittest.TestCase):
    starter, product, default_network = "own-dockerd", "docker", "bridge"
    api_type = Api

    @classmethod
    def set_up_command(cls):
        cls.command, cls.env = ["docker", "-H", "unix://" + cls.socket], dict(os.environ)

    def test_host_gateway_is_what_add_host_resolves_to(self):
        self.temporary("gatewayed", network="web", hosts=["h.example:host-gateway"])
        told = [line.split()[0] for line in self.hosts("gatewayed") if "h.example" in line]
        self.assertEqual([self.dump("host-gateway")], told)

    def test_a_chosen_interface_name(self):
        self.engine("network", "create", "-o", "com.docker.network.bridge.name=brchosen", "chosen")
        self.addCleanup(self.engine, "network", "rm", "chosen")
        network = self.dump("network", "chosen")
        self.assertEqual(network["bridge"], "brchosen")
        self.assertEqual(network["gateway"], self.interface_address("brchosen"))

    def test_an_ambiguous_id_is_the_engines_to_refuse(self):
        ids = [self.dump("container", "api")["id"]]
        while not (twins := [i for i in ids for j in ids if i != j and i[0] == j[0]]):
            self.assertLess(len(ids), 20)
            name = f"twin{len(ids)}"
            self.addCleanup(self.api.remove, name)
            ids.append(self.api.create(name, IMAGE, ["sleep", "1"]))
        self.assertIn("multiple", self.refused("container", twins[0][0])["message"].lower())

    def test_a_restarting_container_does_not_run(self):
        self.addCleanup(self.api.remove, "flapping")
        self.api.run("flapping", IMAGE, ["false"], RestartPolicy={"Name": "always"})
        for _ in range(200):
            seen = self.dump("container", "flapping")
            self.assertEqual(seen["running"], seen["pid"] > 0)


class Podman(EngineTests, unittest.TestCase):
    starter, product, default_network = "own-podman", "podman", "podman"
    api_type = PodmanApi

    @classmethod
    def set_up_command(cls):
        cls.command = ["podman"]
        cls.env = dict(os.environ, CONTAINERS_CONF=os.path.join(cls.dir, "containers.conf"),
                       CONTAINERS_STORAGE_CONF=os.path.join(cls.dir, "storage.conf"))

    def test_host_gateway_is_the_default_networks(self):
        self.temporary("defaulted", network="podman")
        self.assertEqual(self.dump("host-gateway"), self.interface_address(self.dump("network", "podman")["bridge"]))


if __name__ == "__main__":
    unittest.main()
