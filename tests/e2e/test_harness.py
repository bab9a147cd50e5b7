"""The snapshots that all other tests compare must not fail while interfaces and containers come and go."""
import re
import subprocess
import time
import unittest
from pathlib import Path

from harness import FIREWALL, main, returns_to, route_localnet, run, snapshot


class Looks(unittest.TestCase):
    def interfaces_come_and_go(self):
        churn = subprocess.Popen(["sh", "-c", "while ip link add come type veth peer name go; do ip link del come; done"])
        self.addCleanup(run, "ip", "link", "del", "come", check=False)
        self.addCleanup(churn.wait, 10)
        self.addCleanup(churn.kill)
        return churn

    def test_at_interfaces_that_go_meanwhile(self):
        churn = self.interfaces_come_and_go()
        until, seen = time.monotonic() + 2, set()
        while time.monotonic() < until:
            seen.update(route_localnet())
        self.assertIsNone(churn.poll())
        self.assertEqual(seen, {"all", "default", "lo", "come", "go"})

    def test_at_a_host_that_comes_to_be_as_it_was(self):
        FIREWALL.prepare()
        before = snapshot()
        run("ip", "link", "add", "more", "type", "bridge")
        self.addCleanup(run, "ip", "link", "del", "more", check=False)
        self.assertFalse(returns_to(before, timeout=0.3))
        run("ip", "link", "del", "more")
        self.assertTrue(returns_to(before))

    def test_at_an_engine_that_cannot_say(self):
        class Engine:
            answers = 0

            def inventory(self):
                self.answers += 1
                if self.answers < 3:
                    raise AssertionError("no such container")
                return {}

        engine = Engine()
        FIREWALL.prepare()
        self.assertTrue(returns_to(snapshot(), engine))
        self.assertEqual(engine.answers, 3)


class Registered(unittest.TestCase):
    def test_every_program_of_this_folder_is_run(self):
        here = Path(__file__).parent
        build = (here / "meson.build").read_text()
        # A name before a colon only says how long the program takes.
        missing = [path.name for path in sorted(here.glob("test_*.py")) if not re.search(rf"'{path.name}'(?!:)", build)]
        self.assertEqual(missing, [])


if __name__ == "__main__":
    main()
