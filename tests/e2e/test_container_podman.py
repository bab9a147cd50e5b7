#!/usr/bin/python3
"""The library's container API against a real Podman."""
import json

from container_bed import ContainerCase, Driver
from container_cases import Containers, Errors, Workflows
from container_crashes import Crashes, Many
from harness import IMAGE, PodmanWithSshd, main, run


class PodmanContainerCase(ContainerCase):
    engine_type = PodmanWithSshd


class PodmanWorkflows(Workflows, PodmanContainerCase):
    pass


class PodmanContainers(Containers, PodmanContainerCase):
    pass


class PodmanErrors(Errors, PodmanContainerCase):
    pass


class PodmanCrashes(Crashes, PodmanContainerCase):
    def test_a_container_in_one_record_only_does_not_keep_the_rest(self):
        """As Podman 4.3.1 is left with now and then, when it removes what it is making: no listing succeeds any more."""
        driver = Driver(self.env)
        self.addCleanup(driver.close)
        driver("start", **{"as": "a", "cmd": ["sleep", "600"], "network": "fresh"})
        broken = self.engine("create", "--name", "half", IMAGE, "true")
        record = self.engine.dir / "storage/overlay-containers/containers.json"
        record.write_text(json.dumps([one for one in json.loads(record.read_text()) if one["id"] != broken]))
        self.assertIn("container not known", self.listing())
        self.killed(driver)
        self.assertEqual(json.loads(self.listing()), [])

    def listing(self):
        return run("curl", "-s", "--unix-socket", self.engine.socket, "http://d/v1.41/containers/json?all=1").stdout


class PodmanMany(Many, PodmanContainerCase):
    pass


if __name__ == "__main__":
    main()
