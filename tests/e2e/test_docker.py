#!/usr/bin/python3
"""Containers of a real Docker Engine reach services on this host's 127.0.0.1, and only the permitted containers do."""
import fcntl
import json
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from engines import Docker, with_flock
from gateway_cases import AtGateway
from harness import ALIAS, FIREWALL, IMAGE, HostCase, changed, eventually, main, output, returns_to, route_localnet, run, snapshot
from relay_cases import ByHandoff, ByRelay
from shells import Shells
from ssh_cases import free_port

HELLO = "hello from 127.0.0.1\n"


class DockerCase(HostCase):
    engine_type = Docker


class Networks(DockerCase):
    """Every kind of network that a container can be on."""

    def setUp(self):
        super().setUp()
        self.service(8088, HELLO)

    def test_a_network_by_name(self):
        self.network("web")
        self.container_by_command("app", "--network", "web")
        before = self.engine.hosts("app")
        self.reaches_nothing("app", name=self.gateway("web"))
        lease = self.expose(8088, "--network", "web")
        self.assertEqual(lease.ready["gateway"], self.gateway("web"))
        self.reaches("app", HELLO)
        self.assertEqual(lease.end()[0], 0)
        self.assertEqual(self.engine.hosts("app"), before)
        self.reaches_nothing("app", name=self.gateway("web"))

    def test_a_network_by_the_beginning_of_its_id(self):
        self.network("web")
        self.container("app", network="web")
        self.expose(8088, "--network", self.engine.api.network("web")["Id"][:12])
        self.reaches("app", HELLO)

    def test_a_container_by_name(self):
        self.network("web")
        self.container("app", network="web")
        before = self.engine.hosts("app")
        lease = self.expose(8088, "--container", "app")
        self.reaches("app", HELLO)
        self.assertEqual(lease.end()[0], 0)
        self.assertEqual(self.engine.hosts("app"), before)
        self.reaches_nothing("app", name=self.gateway("web"))

    def test_the_default_bridge(self):
        self.container("app")
        lease = self.expose(8088, "--network", "bridge")
        self.assertEqual(lease.ready["interface"], "docker0")
        self.reaches("app", HELLO)
        lease.end()
        self.expose(8088, "--container", "app")
        self.reaches("app", HELLO)

    def test_a_bridge_with_a_chosen_name(self):
        self.network("web", "-o", "com.docker.network.bridge.name=br-mine")
        self.container("app", network="web")
        self.assertEqual(self.expose(8088, "--network", "web").ready["interface"], "br-mine")
        self.reaches("app", HELLO)

    def test_a_network_whose_containers_may_not_talk_to_each_other(self):
        self.network("apart", "-o", "com.docker.network.bridge.enable_icc=false")
        self.container("app", network="apart")
        self.container("other", network="apart")
        lease = self.expose(8088, "--container", "app")
        self.reaches("app", HELLO)
        self.reaches_nothing("other", name=self.gateway("apart"))
        self.assertEqual(lease.end()[0], 0)
        self.reaches_nothing("app", name=self.gateway("apart"))

    def test_an_internal_network(self):
        self.network("inner", "--internal")
        self.container("app", network="inner")
        lease = self.expose(8088, "--network", "inner")
        self.reaches("app", HELLO)
        lease.end()
        self.expose(8088, "--container", "app")
        self.reaches("app", HELLO)

    def test_a_network_without_a_gateway_on_this_host(self):
        self.network("bare", "-o", "com.docker.network.bridge.inhibit_ipv4=true")
        self.container("app", network="bare")
        before = snapshot(self.engine)
        for target in (("--network", "bare"), ("--container", "app")):
            with self.subTest(target=target):
                done = self.tc_hostnet("expose", 8088, *target, "--via", "native", check=False)
                self.assertEqual(done.stdout, "")
                self.assertRegex(done.stderr, r"the gateway \S+ of network bare is not an address of its bridge br-\w+")
                self.assertEqual(done.returncode, 3)
        self.leaves_all_as_it_was(before)

    def test_a_container_on_two_networks(self):
        self.network("one")
        self.network("two")
        self.container("app", network="one")
        self.engine.api.connect("two", "app")
        for network in ("one", "two"):
            with self.subTest(network=network):
                lease = self.expose(8088, "--network", network)
                self.reaches("app", HELLO)
                self.reaches("app", HELLO, name=self.gateway(network))
                lease.end()
        self.expose(8088, "--container", "app")
        self.reaches("app", HELLO)

    def test_a_network_with_ipv6(self):
        """The hosts file has an IPv4 line alone, and no resolver asks the DNS for the other family then."""
        self.network("six", "--ipv6", "--subnet", "fd00:77::/64", "--subnet", "10.77.0.0/24")
        self.container("dual", network="six")
        for target in (("--network", "six"), ("--container", "dual")):
            with self.subTest(target=target):
                lease = self.expose(8088, *target)
                self.reaches("dual", HELLO)
                self.assertEqual([line.split()[0] for line in self.engine.hosts("dual") if ALIAS in line],
                                 ["10.77.0.1"])
                lease.end()

    def test_by_dockers_own_name_for_the_host(self):
        self.network("web")
        self.container("app", network="web", hosts=["host.docker.internal:host-gateway"])
        self.expose(8088, "--network", "web")
        self.reaches("app", HELLO, name="host.docker.internal")
        self.reaches("app", HELLO)

    def test_a_container_that_comes_later(self):
        self.network("web")
        self.expose(8088, "--network", "web")
        self.container("late", network="web", hosts=[f"{ALIAS}:host-gateway"])
        self.reaches("late", HELLO)

    def test_a_published_port_goes_on_working(self):
        self.network("web")
        self.container("app", network="web", ports={9090: ("198.18.0.1", 9090)},
                       command=("sh", "-c", "echo published > /tmp/index.html; httpd -f -p 9090 -h /tmp"))
        self.container("other", network="web")
        self.expose(8088, "--network", "web")
        self.reaches("other", "published\n", port=9090, name="app")
        published = ("curl", "-s", "-m", "2", "http://198.18.0.1:9090/index.html")
        self.assertTrue(eventually(lambda: run(*published, check=False).stdout == "published\n"))
        self.reaches("other", HELLO)


class Completion(Shells, DockerCase):
    def test_the_names_of_the_engine(self):
        self.network("shop")
        self.container("shelf", network="shop", labels={"com.docker.compose.project": "till"})
        for offered in (self.by_bash, self.by_fish):
            with self.subTest(offered.__name__):
                # A busy engine may not answer in time, and then there are no names.
                for line, wanted in (("--network sh", "shop"), ("--container she", "shelf"), ("--project ti", "till")):
                    self.assertTrue(eventually(lambda line=line, wanted=wanted: offered(f"expose 8088 {line}") == [wanted]), line)
        self.tab("zsh", "expose 8088 --container=she", "--container=shelf")

    def test_a_name_that_a_shell_would_run(self):
        """A label may be any text."""
        self.container("odd", labels={"com.docker.compose.project": "x;touch${IFS}y"})
        for shell in ("bash", "zsh"):
            with self.subTest(shell):
                self.tab(shell, "expose 8088 --project x", r"--project x\;touch\$\{IFS\}y")


class Ports(DockerCase):
    """Which port leads where, for which containers."""

    def setUp(self):
        super().setUp()
        self.network("web")

    def test_another_number_in_the_container(self):
        self.service(8088, HELLO)
        self.container("app", network="web")
        self.expose("8088:15432", "--network", "web")
        self.reaches("app", HELLO, port=15432)
        self.reaches_nothing("app", port=8088)

    def test_several_ports_in_one_lease(self):
        for port in (8088, 8089, 8090):
            self.service(port, f"{port}\n")
        self.container("app", network="web")
        lease = self.expose(8090, 8088, "8089:80", 8088, "--network", "web")
        self.assertEqual([port["host"] for port in lease.ready["ports"]], [8088, 8089, 8090])
        for host, container in ((8088, 8088), (8089, 80), (8090, 8090)):
            self.reaches("app", f"{host}\n", port=container)

    def test_what_is_not_exposed_stays_closed(self):
        self.service(8088, HELLO)
        self.service(8089, "secret\n")
        self.container("app", network="web", CapAdd=["NET_ADMIN"])
        self.expose(8088, "--network", "web")
        self.reaches_nothing("app", port=8089)
        self.engine.inside("app", "ip", "route", "add", "127.0.0.2/32", "via", self.gateway("web"), check=True)
        self.engine.inside("app", "ip", "address", "del", "127.0.0.1/8", "dev", "lo", check=True)
        self.reaches_nothing("app", port=8089, name="127.0.0.2")
        self.reaches("app", HELLO)

    def test_a_lease_for_one_container_is_not_its_neighbours(self):
        self.service(8088, HELLO)
        self.container("app", network="web")
        self.container("neighbour", network="web")
        self.expose(8088, "--container", "app")
        self.assertFalse(self.has_alias("neighbour"))
        self.reaches_nothing("neighbour", name=self.gateway("web"))
        self.reaches("app", HELLO)
        pins = output("nft", "list", "set", "bridge", "tc_hostnet", "pinned")
        self.assertIn(self.address_of("app"), pins)

    def test_a_lease_for_one_network_is_not_anothers(self):
        self.service(8088, HELLO)
        self.network("elsewhere")
        self.container("app", network="web")
        self.container("stranger", network="elsewhere")
        self.expose(8088, "--network", "web")
        self.assertFalse(self.has_alias("stranger"))
        for gateway in (self.gateway("web"), self.gateway("elsewhere"), "198.18.0.1"):
            self.reaches_nothing("stranger", name=gateway)
        self.reaches("app", HELLO)

    def test_one_container_port_leads_two_containers_to_two_services(self):
        self.service(8088, "first\n")
        self.service(8089, "second\n")
        self.container("one", network="web")
        self.container("two", network="web")
        self.expose("8088:80", "--container", "one")
        self.expose("8089:80", "--container", "two")
        self.reaches("one", "first\n", port=80)
        self.reaches("two", "second\n", port=80)

    def test_a_port_of_another_lease_is_a_conflict(self):
        self.service(8088, "first\n")
        self.service(8089, "second\n")
        self.container("app", network="web")
        self.expose("8088:80", "--network", "web")
        refused = self.tc_hostnet("expose", "8089:80", "--network", "web", check=False)
        self.assertEqual((refused.returncode, refused.stdout), (8, ""))
        self.assertRegex(refused.stderr, r"\Atc-hostnet: port 80 of br-\w+ leads to host port 8088 already.*\n\Z")
        self.reaches("app", "first\n", port=80)

    def test_a_service_on_the_gateway_is_not_covered(self):
        self.service(8088, HELLO)
        self.service(8088, "the gateway's own\n", address=self.gateway("web"))
        self.container("app", network="web")
        refused = self.tc_hostnet("expose", "8088", "--network", "web", check=False)
        self.assertEqual(refused.returncode, 8, refused.stderr)
        self.reaches("app", "the gateway's own\n", name=self.gateway("web"))
        self.expose("8088:18088", "--network", "web")
        self.reaches("app", HELLO, port=18088)


class Firewall(DockerCase):
    """Which of the kernel's two firewalls gets the rules. The engine's own rules are in iptables-nft."""

    def test_the_one_that_is_taken_unasked(self):
        self.service(8088, HELLO)
        self.network("web")
        self.container("app", network="web")
        unsaid = {name: value for name, value in self.env.items() if name != "TC_HOSTNET_FIREWALL"}
        before = snapshot()
        self.assertIn("MASQUERADE", str(before["iptables-nft"]["nat"]["POSTROUTING"]))
        self.assertEqual("nat" in before["iptables-legacy"], FIREWALL.name == "iptables")
        for environment in (unsaid, unsaid | {"TC_HOSTNET_FIREWALL": "auto"}):
            lease = self.tc_hostnet("expose", 8088, "--network", "web", "--detach", env=environment).stdout.strip()
            self.reaches("app", HELLO)
            self.assertNotEqual(FIREWALL.forwards(), [])
            self.assertIn(f"firewall  {FIREWALL.name}", self.tc_hostnet("status", env=environment).stdout)
            during = snapshot()
            other = "iptables-legacy" if FIREWALL.name == "nftables" else "nft"
            self.assertEqual((during[other], during["iptables-nft"]), (before[other], before["iptables-nft"]))
            self.tc_hostnet("release", lease, env=environment)
            # The owner's own file goes with the owner, which learns of the release by itself.
            self.assertTrue(returns_to(before), changed(before))


class Port22(DockerCase):
    def test_it_is_refused_unless_a_path_is_named_that_has_no_sshd(self):
        port = free_port()
        self.service(port, HELLO)
        self.container("app")
        done = self.tc_hostnet("expose", f"{port}:22", "--container", "app", check=False)
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIn("SSH port is reserved", done.stderr)
        self.assertIn("--via native", done.stderr)
        self.expose(f"{port}:22", "--container", "app", "--via", "native")
        self.assertEqual(self.engine.fetch("app", f"http://{ALIAS}:22/"), HELLO)


class BehindAFirewall:
    """Mixed into a ByRelay with a root's engine."""

    def test_by_relay_a_host_that_drops_all_but_its_loopback(self):
        port, _ = self.serve_hello()
        self.container("taker", network=self.network("relayed"))
        table = "\n".join(f"chain {hook} {{ type filter hook {hook} priority 0; policy drop; {way} lo accept; }}"
                          for hook, way in (("input", "iif"), ("output", "oif")))
        run("nft", "-f", "-", stdin=f"table inet strict {{\n{table}\n}}\n")
        self.addCleanup(run, "nft", "delete", "table", "inet", "strict")
        elsewhere = self.service(free_port(), HELLO, address="0.0.0.0")
        self.assertIsNone(self.engine.fetch("taker", f"http://{self.gateway('relayed')}:{elsewhere.port}/", timeout=1))
        self.by_relay(port, "--container", "taker")
        self.reaches("taker", HELLO, port=port)


class Relay(BehindAFirewall, AtGateway, ByRelay, HostCase):
    engine_type = Docker
    first_instruction_by_relay = ((),)
    networks_by_relay = (*ByRelay.networks_by_relay, "macvlan")

    def test_at_gateway_root_is_told_of_a_firewall_that_drops(self):
        port, _ = self.serve_hello()
        self.network("relayed")
        self.container("app", network="relayed")
        rule = ("INPUT", "-p", "tcp", "--dport", "8803", "-j", "DROP")
        run("iptables-legacy", "-A", *rule)
        self.addCleanup(run, "iptables-legacy", "-D", *rule)
        lease = self.at_gateway(f"{port}:8803", "--network", "relayed")
        self.reaches_nothing("app", port=8803)
        walk = self.command_of_owner("doctor", "--container", "app", "--port", 8803, check=False).stdout
        self.assertIn("✗ firewall", walk)
        code, _, said = lease.end()
        self.assertEqual(code, 0)
        self.assertIn(f"drops what containers send to {self.gateway('relayed')}:8803; let it in with: ", said)
        # A new container is served in its own network then.
        fetch = f"until wget -qO- http://{ALIAS}:8803/ 2>/dev/null; do sleep 0.05; done"
        done = self.command_of_owner("run", "-p", f"{port}:8803", "--network", "relayed", "--via", "relay", "--image", IMAGE,
                                     "--", "sh", "-c", fetch)
        self.assertEqual(done.stdout, HELLO)


class RelayByHandoff(BehindAFirewall, AtGateway, ByHandoff, HostCase):
    engine_type = Docker
    gateway_serves_new_containers = False  # a user cannot read whether the firewall lets containers in
    networks_by_relay = (*ByRelay.networks_by_relay, "macvlan")

    def test_at_gateway_a_low_port_is_for_root(self):
        port, _ = self.serve_hello()
        self.network("relayed")
        self.container("app", network="relayed")
        said = self.refused_by_relay(3, "may not listen at port 81 of this host", f"{port}:81", "--network", "relayed")
        self.assertIn(f"such as {port}:8081/tcp; or take the ssh path", said)

    def test_at_gateway_the_name_goes_under_the_lock_of_all_editors(self):
        """A user edits the file by a command in the container, and others, as root, from outside."""
        self.network("relayed")
        self.container("app", network="relayed", Binds=with_flock())
        port, _ = self.serve_hello()
        hosts = Path(self.engine.api.inspect("app")["HostsPath"])
        # Longer than an argument of a program may be, and not all UTF-8.
        before = hosts.read_text() + "# caf\udce9 \\n\\0\n" + 1500 * f"192.0.2.1 {'x' * 90}\n"
        hosts.write_text(before, errors="surrogateescape")
        lease = self.at_gateway(port, "--network", "relayed")
        self.assertIn(lease.id, hosts.read_text(errors="surrogateescape"))
        with hosts.open("a") as another:
            fcntl.flock(another, fcntl.LOCK_EX)
            since = time.monotonic()
            argv, env = self.of_owner("release", lease.id)
            release = subprocess.Popen(argv, env=env, stdout=subprocess.DEVNULL)
            self.addCleanup(release.wait, 30)
            self.assertTrue(eventually(lambda: "exec 9<" in self.engine.inside("app", "ps").stdout or
                                       lease.id not in hosts.read_text(errors="surrogateescape")))
            still_there = lease.id in hosts.read_text(errors="surrogateescape")
            if time.monotonic() - since < 1.5:  # after 2 s it waits no longer
                self.assertTrue(still_there)
            another.write("192.0.2.7 theirs\n")
        self.assertEqual(release.wait(30), 0)
        lease.process.wait(30)
        self.assertEqual(hosts.read_text(errors="surrogateescape"), before + "192.0.2.7 theirs\n")

    def test_at_gateway_a_bridge_that_is_made_anew(self):
        port, _ = self.serve_hello()
        self.network("relayed")
        self.container("app", network="relayed")
        bridge, gateway = self.engine.api.bridge("relayed"), self.gateway("relayed")
        lease = self.at_gateway(port, f"{port}/udp", "--network", "relayed")
        self.reaches("app", HELLO, port=port)
        links = json.loads(output("ip", "-j", "link", "show", "master", bridge))
        (own,) = json.loads(output("ip", "-j", "link", "show", bridge))
        run("ip", "link", "del", bridge)
        self.addCleanup(run, "ip", "link", "del", bridge, check=False)
        # With the old Ethernet address, which the container remembers.
        masters = "".join(f" && ip link set {link['ifname']} master {bridge}" for link in links)
        run("sh", "-c", f"ip link add {bridge} address {own['address']} type bridge && "
                        f"ip address add {gateway}/24 dev {bridge} && ip link set {bridge} up{masters}")
        # In place, or on a busy machine by the follower.
        self.assertTrue(eventually(lambda: self.engine.fetch("app", f"http://{ALIAS}:{port}/", timeout=1) == HELLO))
        with self.echoing_datagrams(port):
            self.assertTrue(eventually(lambda: self.ask_by_datagrams("app", gateway, port, "a")[0].startswith("a")))
        self.assertEqual(self.outcome_on_host(gateway, port), "reset")
        self.assertEqual(lease.end()[0], 0)

    def test_at_gateway_the_name_by_a_line_of_the_containers_own(self):
        port, _ = self.serve_hello()
        self.network("relayed")
        self.container("plain", network="relayed")
        lease = self.at_gateway(port, "--network", "relayed")
        default = self.gateway("bridge")
        self.assertEqual(self.outcome_on_host(default, port), "refused")
        self.container("app", network="relayed", hosts=[f"{ALIAS}:host-gateway"])
        hosts = self.engine.hosts("app")
        self.assertTrue(eventually(lambda: self.engine.fetch("app", f"http://{ALIAS}:{port}/") == HELLO))
        self.reaches("plain", HELLO, port=port)
        self.assertEqual(self.outcome_on_host(default, port), "refused")  # it is for what comes in by that bridge
        self.assertEqual(lease.end()[0], 0)
        self.assertEqual(self.engine.hosts("app"), hosts)


class Alias(DockerCase):
    """The alias in the hosts file of a running container."""

    def setUp(self):
        super().setUp()
        self.service(8088, HELLO)
        self.network("web")

    def test_in_an_image_without_a_shell(self):
        image = self.image_without_a_shell()
        self.container("bare", network="web", image=image, command=("/sleep", "600"))
        self.assertNotEqual(self.engine.attempt("exec", "bare", "sh", "-c", "true").returncode, 0)
        lease = self.expose(8088, "--container", "bare")
        fetched = self.engine("exec", "bare", "/wget", "-qO-", f"http://{ALIAS}:8088/")
        self.assertEqual(fetched + "\n", HELLO)
        lease.end()
        self.assertNotIn(ALIAS, self.engine("exec", "bare", "/cat", "/etc/hosts"))

    def test_in_a_read_only_container(self):
        self.container("frozen", network="web", ReadonlyRootfs=True)
        lease = self.expose(8088, "--container", "frozen")
        self.reaches("frozen", HELLO)
        lease.end()
        self.assertFalse(self.has_alias("frozen"))

    def test_of_a_container_with_an_unprivileged_user(self):
        self.container("nobody", network="web", user="65534:65534", CapDrop=["ALL"])
        self.expose(8088, "--container", "nobody")
        self.reaches("nobody", HELLO)

    def test_that_becomes_a_link_does_not_keep_the_lease(self):
        """A container must not be able to block the release, or later checks of the leases."""
        self.container("sly", network="web", CapAdd=["SYS_ADMIN"])
        lease = self.detach(8088, "--container", "sly")
        self.engine("exec", "sly", "sh", "-ec", "umount /etc/hosts; rm /etc/hosts; ln -s /tmp/elsewhere /etc/hosts")
        made_by_the_engine = Path(self.engine.api.inspect("sly")["HostsPath"])
        self.assertIn(ALIAS, made_by_the_engine.read_text())
        self.tc_hostnet("release", lease)
        self.assertNotIn(ALIAS, made_by_the_engine.read_text())
        self.assertEqual(self.leases(), [])
        self.reaches_nothing("sly", name=self.gateway("web"))

    def test_left_alone_when_asked(self):
        self.container("app", network="web")
        self.expose(8088, "--network", "web", "--no-alias")
        self.assertFalse(self.has_alias("app"))
        self.reaches("app", HELLO, name=self.gateway("web"))

    def test_that_the_user_gave_another_meaning_is_a_conflict(self):
        self.container("theirs", network="web", hosts=[f"{ALIAS}:192.0.2.1"])
        before = self.engine.hosts("theirs")
        refused = self.tc_hostnet("expose", "8088", "--container", "theirs", check=False)
        self.assertEqual((refused.returncode, refused.stdout), (8, ""), refused.stderr)
        self.assertRegex(refused.stderr, r"\Atc-hostnet: .*already defined.*\n\Z")
        self.assertEqual(self.engine.hosts("theirs"), before)
        self.assertEqual(self.leases(), [])

    def test_that_the_user_gave_another_meaning_does_not_hinder_the_others_of_its_network(self):
        self.container("theirs", network="web", hosts=[f"{ALIAS}:192.0.2.1"])
        self.container("app", network="web")
        before = self.engine.hosts("theirs")
        lease = self.expose(8088, "--network", "web")
        self.reaches("app", HELLO)
        self.assertEqual(self.engine.hosts("theirs"), before)
        self.assertIn("already defined", lease.end()[2])
        self.assertEqual(self.engine.hosts("theirs"), before)

    def test_that_the_user_gave_the_same_meaning_is_theirs(self):
        """`host-gateway` is the default bridge's gateway for containers on every network."""
        self.container("theirs", network="web", hosts=[f"{ALIAS}:host-gateway"])
        before = self.engine.hosts("theirs")
        for target in (("--container", "theirs"), ("--network", "web")):
            with self.subTest(target=target):
                lease = self.expose(8088, *target)
                self.reaches("theirs", HELLO)
                self.assertEqual(self.engine.hosts("theirs"), before)
                self.assertEqual(lease.end(), (0, lease_ended(lease), ""))
                self.assertEqual(self.engine.hosts("theirs"), before)

    def test_never_follows_a_link_out_of_the_container(self):
        """The container's root turns its /etc/hosts into a link to a file that also exists on the host."""
        folder = Path(tempfile.mkdtemp(prefix="hostnet-e2e-"))
        self.addCleanup(shutil.rmtree, folder)
        victim = folder / "victim"
        for number, target in enumerate((victim, "/etc/hosts", f"/proc/1/root{victim}", f"../../../../../..{victim}")):
            with self.subTest(link=str(target)):
                victim.write_text("mine\n")
                name = self.container(f"sly{number}", network="web", CapAdd=["SYS_ADMIN"])
                self.engine("exec", name, "sh", "-ec", "umount /etc/hosts; rm /etc/hosts; "
                            f"mkdir -p {folder}; : >{victim}; ln -s {target} /etc/hosts")
                self.assertEqual(self.engine("exec", name, "readlink", "/etc/hosts"), str(target))
                self.expose_or_refuse("--container", name)
                self.expose_or_refuse("--network", "web")
                self.assertEqual(victim.read_text(), "mine\n")
                self.assertEqual(self.leases(), [])
                self.engine.api.remove(name)

    def expose_or_refuse(self, *target):
        """Accepts a success or a clean refusal; the caller checks what was written."""
        done = self.tc_hostnet("expose", "8088", *target, "--detach", check=False)
        if done.returncode == 0:
            self.tc_hostnet("release", done.stdout.strip())
        else:
            self.assertIn(done.returncode, (1, 6, 8), done.stderr)


def lease_ended(lease):
    return f'{{"event":"ended","lease":"{lease.id}","reason":"released","schema":1,"state":"released"}}\n'


class DockerWithoutProxy(Docker):
    options = ("--userland-proxy=false",)


class WithoutProxy(HostCase):
    """Without its proxy, dockerd sets route_localnet on the bridges whose containers publish ports, and needs it."""

    engine_type = DockerWithoutProxy

    def setUp(self):
        super().setUp()
        self.service(8088, HELLO)
        self.network("web")
        self.container("app", network="web", ports={80: ("127.0.0.1", 18080)},
                       command=("sh", "-c", "mkdir /www; echo inside >/www/index.html; exec httpd -f -p 80 -h /www"))

    def test_its_setting_stays_and_so_do_its_ports(self):
        bridge = self.engine.api.bridge("web")
        inside = lambda: run("curl", "-s", "-m", "3", "http://127.0.0.1:18080/", check=False).stdout
        self.assertEqual(route_localnet()[bridge], "1")
        self.assertTrue(eventually(lambda: inside() == "inside\n"))
        # dockerd leaves all local ports of its bridges open; our guard covers only the exposed port.
        lease = self.expose(8088, "--network", "web")
        self.reaches("app", HELLO)
        self.assertEqual(inside(), "inside\n")
        self.assertEqual(lease.end()[0], 0)
        self.assertEqual(route_localnet()[bridge], "1")
        self.assertEqual(inside(), "inside\n")
        self.reaches_nothing("app", name=self.gateway("web"))


if __name__ == "__main__":
    main()
