"""Killed programs that use the library's container API, and many threads of one such program."""
import time

from container_bed import Driver
from harness import ALIAS, eventually, returns_to, snapshot


class Crashes:
    """What a killed program leaves behind."""

    def killed(self, driver):
        driver.process.kill()
        driver.process.wait(10)
        begin = time.monotonic()
        def has_returned():
            self.mend()
            return returns_to(self.before, self.engine, timeout=1)
        self.assertTrue(eventually(has_returned, timeout=45), f"left after 45 s: {driver.said()}")
        return time.monotonic() - begin

    def mend(self):
        """The repair that only a person makes, with the command that the message names."""

    def setUp(self):
        super().setUp()
        self.before = snapshot(self.engine)

    def test_killed_with_containers(self):
        port = str(self.hello())
        for path in ("native", "ssh"):
            with self.subTest(path=path):
                driver = Driver(self.env)
                self.addCleanup(driver.close)
                for name in ("a", "b"):
                    driver("start", **{"as": name, "cmd": ["sleep", "600"], "host_ports": [port], "path": path,
                                       "network": "fresh"})
                self.assertNotEqual(snapshot(self.engine), self.before)
                self.killed(driver)

    def test_killed_while_starting(self):
        port = str(self.hello())
        for path in ("native", "ssh"):
            for delay in (0.02, 0.1, 0.2, 0.3, 0.5):
                with self.subTest(path=path, delay=delay):
                    driver = Driver(self.env)
                    self.addCleanup(driver.close)
                    driver.send("start", **{"as": "a", "cmd": ["sleep", "600"], "host_ports": [port], "path": path,
                                            "network": "fresh"})
                    time.sleep(delay)
                    self.killed(driver)
                    # Nothing appears later either.
                    time.sleep(0.5)
                    self.leaves_all_as_it_was(self.before)

    def test_the_next_program_clears_away_where_there_is_no_reaper(self):
        port = str(self.hello())
        driver = Driver(self.env | {"TC_HOSTNET_REAPER": "/nosuch"})
        self.addCleanup(driver.close)
        driver("start", **{"as": "a", "cmd": ["sleep", "600"], "host_ports": [port], "network": "fresh"})
        self.assertIn("no reaper: if this process is killed", driver.said())
        driver.process.kill()
        driver.process.wait(10)
        time.sleep(1)
        self.assertNotEqual(self.engine.inventory(), {key: self.before[key] for key in ("containers", "networks")})
        self.driver("drop", of=self.start(host_ports=[port]))
        self.assertTrue(returns_to(self.before, self.engine))

    def test_a_network_stays_for_another_process(self):
        # The maker ends first; the other removes the network.
        maker = Driver(self.env)
        self.addCleanup(maker.close)
        maker("start", **{"as": "a", "cmd": ["sleep", "600"], "network": "common"})
        name = self.start(network="common")
        maker("drop", of="a")
        self.assertIn("common", " ".join(self.engine.inventory()["networks"]))
        self.assertNotRegex(maker.said(), r"(?m)^error: ")  # a detail may hold the engine's word
        self.driver("drop", of=name)
        self.assertNotIn("common", " ".join(self.engine.inventory()["networks"]))

    def test_the_reaper_leaves_others_alone(self):
        kept = self.start(network="kept")
        driver = Driver(self.env)
        self.addCleanup(driver.close)
        driver("start", **{"as": "a", "cmd": ["sleep", "600"], "network": "fresh"})
        driver.process.kill()
        driver.process.wait(10)
        count = lambda: len(self.engine.api.containers())
        self.assertTrue(eventually(lambda: count() == 1, timeout=45))
        self.assertEqual(self.exec(kept, "echo", "here")["out"], "here\n")


class Many:
    """Many containers at once, from threads of one program."""

    def start_many(self, count, path):
        """Starts `count` containers with two host ports each; each fetches from both."""
        ports = [[str(self.hello(f"{i} first\n")), str(self.hello(f"{i} second\n"))] for i in range(count)]
        fetch = f"for p in $PORTS; do wget -qO- http://{ALIAS}:$p/; done; echo done; exec sleep 600"
        done = self.driver("start_many", patience=600, count=count, ports_of=ports,
                           each={"cmd": ["sh", "-c", fetch], "network": "crowd", "wait_for": [["stdout", "done"]],
                                 "path": path, "timeout_ms": 500_000})
        self.assertEqual(done["failures"], [])
        for i in range(count):
            self.assertEqual(self.driver("logs", of=str(i))["out"], f"{i} first\n{i} second\ndone\n")
        # Each container still reaches only its own ports.
        def wget(port):
            return self.exec("3", "timeout", 5, "wget", "-qO-", f"http://{ALIAS}:{port}/")
        self.assertEqual(wget(ports[3][0])["out"], "3 first\n")
        self.assertNotEqual(wget(ports[2][0])["code"], 0)
        self.driver("drop_all")

    def test_twenty_with_two_host_ports_each(self):
        self.start_many(20, "native")

    def test_five_by_ssh(self):
        self.start_many(5, "ssh")
