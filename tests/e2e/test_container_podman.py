#!/usr/bin/python3
"""The library's container API against a real Podman."""
import json
import re

from container_bed import ContainerCase, Driver
from container_cases import Containers, Errors, Networks, Workflows
from container_crashes import Crashes, Many
from engine_api import attempt
from engines import PodmanWithSshd
from harness import IMAGE, eventually, main, run


class PodmanContainerCase(ContainerCase):
    engine_type = PodmanWithSshd


class PodmanWorkflows(Workflows, PodmanContainerCase):
    network_before_start = True


class PodmanContainers(Containers, Networks, PodmanContainerCase):
    pass


class PodmanErrors(Errors, PodmanContainerCase):
    pass


class PodmanCrashes(Crashes, PodmanContainerCase):
    def mend(self):
        if half := re.search(r'from store \W+([0-9a-f]{64})\W+: container not known', self.listing()):
            attempt(self.engine.api.remove, half[1])

    def test_a_container_in_one_record_only_is_for_a_person_to_remove(self):
        """Podman 4.3.1 sometimes reaches this state when it removes a container during its creation: every listing fails
        from then on. The container that the error names may be a user's."""
        driver = Driver(self.env)
        self.addCleanup(driver.close)
        driver("start", **{"as": "a", "cmd": ["sleep", "600"], "network": "fresh"})
        broken = self.engine("create", "--name", "half", IMAGE, "true")
        self.addCleanup(attempt, self.engine.api.remove, broken)
        record = self.engine.dir / "storage/overlay-containers/containers.json"
        record.write_text(json.dumps([one for one in json.loads(record.read_text()) if one["id"] != broken]))
        self.assertIn("container not known", self.listing())
        driver.process.kill()
        driver.process.wait(10)
        # The next program names the repair command and continues.
        other = Driver(self.env)
        self.addCleanup(other.close)
        # On a separate network: requests about the first network fail until the record is repaired.
        other("start", **{"as": "b", "cmd": ["sleep", "600"], "network": "another"})
        self.assertTrue(eventually(lambda: "podman rm -f" in other.said(), timeout=60), other.said())
        (said,) = [line for line in other.said().splitlines() if "podman rm -f" in line]
        self.assertTrue(said.startswith("warning: ") and said.endswith(f"podman rm -f {broken}"), said)
        self.assertIn(broken, self.listing())
        self.mend()
        other("drop", of="b")
        # The third program finds the network that the first one left.
        third = Driver(self.env)
        self.addCleanup(third.close)
        third("start", **{"as": "c", "cmd": ["sleep", "600"]})
        third("drop", of="c")
        self.assertTrue(eventually(lambda: json.loads(self.listing()) == [], timeout=60))

    def listing(self):
        return run("curl", "-s", "--unix-socket", self.engine.socket, "http://d/v1.41/containers/json?all=1").stdout


class PodmanMany(Many, PodmanContainerCase):
    pass


if __name__ == "__main__":
    main()
