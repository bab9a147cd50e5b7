"""Times set-up and release, beside the same work by hand. A time counts only after a check from the container
that the exposure, or the release, works."""
import json
import random
import shlex
import subprocess
import tempfile
from pathlib import Path

import report
import rules
from testbed import BRIDGE, Bed, Failed, Server, run

PORT = 8088
RECIPE, SPAWNED = "recipe, sh -c", "recipe, spawned"
GOAL_COLD = 1  # of the recipe's time
LEASES = 1000  # in one call
GOAL_LEASES = 100  # ms


class Detached:
    """`expose --detach`, until it exits."""

    firewall = "iptables"

    def __init__(self, bed, folder):
        self.bed = bed

    def set_up(self, ports):
        elapsed, self.lease = self.bed.time(self.bed.tools.command, "expose", *ports, "--bridge", BRIDGE, "--detach",
                                            "--firewall", self.firewall)
        return elapsed

    def take_down(self):
        return self.bed.time(self.bed.tools.command, "release", self.lease)[0]


class Foreground:
    """`expose`, until its ready line; SIGTERM ends it."""

    firewall = "iptables"

    def __init__(self, bed, folder):
        self.bed = bed

    def set_up(self, ports):
        command = self.bed.on_host(self.bed.tools.loadgen, "spawn-time", "--until-line", "--", self.bed.tools.command,
                                   "expose", *ports, "--bridge", BRIDGE, "--firewall", self.firewall)
        self.errors = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen([str(word) for word in command], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=self.errors, text=True)
        return self.next_figure()

    def take_down(self):
        self.process.stdin.close()
        elapsed = self.next_figure()
        self.process.wait()
        self.process.stdout.close()
        self.errors.close()
        return elapsed

    def next_figure(self):
        line = self.process.stdout.readline()
        if not line:
            self.errors.seek(0)
            raise Failed(f"tc-hostnet expose in the foreground: {self.errors.read().strip()}")
        return json.loads(line)["ms"]


class DetachedOnNftables(Detached):
    firewall = "nftables"


class ForegroundOnNftables(Foreground):
    firewall = "nftables"


class RecipeByShell:
    """The blog recipe, run by a shell."""

    def __init__(self, bed, folder):
        self.bed = bed

    def set_up(self, ports):
        lines = [rules.route_localnet(1), *(rules.recipe(port) for port in ports)]
        self.ports = ports
        return self.bed.time("sh", "-c", "set -e; " + "; ".join(map(shlex.join, lines)))[0]

    def take_down(self):
        lines = [*(rules.recipe(port, "-D") for port in self.ports), rules.route_localnet(0)]
        return self.bed.time("sh", "-c", "set -e; " + "; ".join(map(shlex.join, lines)))[0]


class RecipeSpawned:
    """The blog recipe's two programs, spawned without a shell."""

    def __init__(self, bed, folder):
        self.bed = bed

    def set_up(self, ports):
        self.port, = ports
        return self.bed.time(*rules.route_localnet(1), "+", *rules.recipe(self.port))[0]

    def take_down(self):
        return self.bed.time(*rules.recipe(self.port, "-D"), "+", *rules.route_localnet(0))[0]


class FullByRestore:
    """All guards and the DNAT by iptables-legacy-restore and sysctl, spawned without a shell."""

    def __init__(self, bed, folder):
        self.bed, self.rules, self.removal = bed, folder / "full", folder / "full-removal"
        self.removal.write_text(rules.full_set_removal())

    def set_up(self, ports):
        self.rules.write_text(rules.full_set(ports))
        return self.bed.time(*rules.restore(self.rules), "+", *rules.route_localnet(1))[0]

    def take_down(self):
        return self.bed.time(*rules.route_localnet(0), "+", *rules.restore(self.removal))[0]


CONTENDERS = {
    "tc-hostnet, --detach to exit": Detached,
    "tc-hostnet, to ready line": Foreground,
    "on nftables, --detach to exit": DetachedOnNftables,
    "on nftables, to ready line": ForegroundOnNftables,
    RECIPE: RecipeByShell,
    SPAWNED: RecipeSpawned,
    "all rules, restore + sysctl": FullByRestore,
}


def cold(beds, folder, rounds):
    """Contender → (set-up times, take-down times)."""
    contenders = {name: kind(beds[name], folder) for name, kind in CONTENDERS.items()}
    times = {name: ([], []) for name in contenders}
    for number in range(rounds + 1):
        for name in random.sample(list(contenders), len(contenders)):
            one, bed = contenders[name], beds[name]
            up = one.set_up([PORT])
            if not bed.reaches(PORT):
                raise Failed(f"{name}: reported ready, but the container does not reach the service")
            down = one.take_down()
            if bed.reaches(PORT):
                raise Failed(f"{name}: released, but the container still reaches the service")
            if number > 0:  # the first round creates the kernel's tables and fills the page cache
                times[name][0].append(up)
                times[name][1].append(down)
    return times


def one_call(beds, folder, rounds):
    """Count of ports → contender → set-up times."""
    kinds = {100: ("tc-hostnet, --detach to exit", RECIPE, "all rules, restore + sysctl"),
             1000: ("tc-hostnet, --detach to exit", "all rules, restore + sysctl")}
    times = {}
    for count, names in kinds.items():
        times[count] = {name: [] for name in names}
        for _ in range(rounds):
            for name in random.sample(names, len(names)):
                one = CONTENDERS[name](beds[name], folder)
                times[count][name].append(one.set_up(range(10000, 10000 + count)))
                one.take_down()
    return times


def add_one(beds, folder, rounds):
    """Count of exposed ports → contender → times to expose one more."""
    ours, recipe = beds["tc-hostnet, --detach to exit"], beds[RECIPE]
    present, empty = folder / "present", folder / "empty"
    empty.write_text(rules.empty_nat())
    times = {}
    for count in (1, 100, 1000, 10000):
        ports = range(20000, 20000 + count)
        many, one = Detached(ours, folder), Detached(ours, folder)
        many.set_up(ports)
        present.write_text(rules.recipe_set(ports))
        run(recipe.on_host(*rules.restore(present)))
        run(recipe.on_host(*rules.route_localnet(1)))
        of = times[count] = {"tc-hostnet": [], "iptables": []}
        for _ in range(rounds):
            of["tc-hostnet"].append(one.set_up([PORT]))
            of["iptables"].append(recipe.time(*rules.recipe(PORT))[0])
            for bed in (ours, recipe):
                if not bed.reaches(PORT):
                    raise Failed(f"{bed.name}: with {count} ports, one more is not reached")
            one.take_down()
            recipe.time(*rules.recipe(PORT, "-D"))
        many.take_down()
        run(recipe.on_host(*rules.restore(empty)))
    return times


def many_leases(bed, rounds):
    """Firewall → times of one library call that makes many leases."""
    times = {"nftables": [], "iptables": []}
    for _ in range(rounds):
        for firewall in random.sample(list(times), len(times)):
            command = bed.on_host(bed.tools.leases, firewall, BRIDGE, PORT, LEASES)
            with subprocess.Popen([str(word) for word in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, text=True) as process:
                took = process.stdout.readline()
                if not took:
                    raise Failed(f"{LEASES} leases in {firewall}: {process.stderr.read().strip()}")
                if not bed.reaches(PORT):
                    raise Failed(f"{LEASES} leases in {firewall}: the container does not reach the service")
                run(bed.on_host(bed.tools.command, "release", "--all"))
                if bed.reaches(PORT):
                    raise Failed(f"{LEASES} leases in {firewall}: released, but the container still reaches the service")
            times[firewall].append(float(took))
    return times


def print_cold(times, rounds):
    print(f"\nOne port, {rounds} rounds: median milliseconds (quartiles), and the median ratio to the recipe run by a "
          "shell.\n")
    rows = []
    for name, (up, down) in times.items():
        row = [name]
        for values, reference in ((up, times[RECIPE][0]), (down, times[RECIPE][1])):
            row += [report.cell(report.summary(values)), report.cell(report.ratios(values, reference))]
        rows.append(row)
    report.table(["", "set up, ms", "ratio", "take down, ms", "ratio"], rows)
    verdicts = [report.verdict((f"{ours.removeprefix('tc-hostnet, ')} against {reference}", "", True, GOAL_COLD),
                               report.ratios(times[ours][0], times[reference][0]))
                for reference in (RECIPE, SPAWNED) for ours, kind in CONTENDERS.items()
                if issubclass(kind, (Detached, Foreground))]
    print("Goals, set up: " + "; ".join(verdicts) + "\n", flush=True)


def print_one_call(times, rounds):
    print(f"Many ports at once, {rounds} rounds: median milliseconds (quartiles).\n")
    names = list(times[100])
    report.table(["ports", "tc-hostnet, one call", "recipe, a loop in sh", "all rules, restore + sysctl"],
                 [[str(count)] + [report.cell(report.summary(of[name])) if name in of else "" for name in names]
                  for count, of in times.items()])


def print_add_one(times, rounds):
    print(f"One more port beside the exposed ones, {rounds} rounds: median milliseconds (quartiles).\n")
    report.table(["exposed", "tc-hostnet --detach", "iptables command", "ratio"],
                 [[f"{count:,}", report.cell(report.summary(of["tc-hostnet"])),
                   report.cell(report.summary(of["iptables"])),
                   report.cell(report.ratios(of["tc-hostnet"], of["iptables"]))] for count, of in times.items()])


def print_leases(times, rounds):
    print(f"{LEASES:,} leases in one call of the library, {rounds} rounds: median milliseconds (quartiles).\n")
    summaries = {name: report.summary(values) for name, values in times.items()}
    report.table(["firewall", "ms"], [[name, report.cell(summary, 1)] for name, summary in summaries.items()])
    print("Goals: " + "; ".join(report.verdict((f"{LEASES:,} leases, {name}", "ms", True, GOAL_LEASES), summary)
                                for name, summary in summaries.items()), flush=True)


def bench(tools, pace):
    rounds, few = {"check": (2, 2), "quick": (8, 3), "full": (40, 11)}[pace]
    native, on_nftables, by_hand, restored, many = (
        Bed(name, tools) for name in ("ours", "ours-nft", "recipe", "restore", "many"))
    beds = dict(zip(CONTENDERS, (native, native, on_nftables, on_nftables, by_hand, by_hand, restored), strict=True))
    Server(tools, {bed: [f"127.0.0.1:{PORT}"] for bed in (native, on_nftables, by_hand, restored, many)})
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        try:
            results = {"cold": cold(beds, folder, rounds)}
            print_cold(results["cold"], rounds)
            results["one_call"] = one_call(beds, folder, few)
            print_one_call(results["one_call"], few)
            results["add_one"] = add_one(beds, folder, few)
            print_add_one(results["add_one"], few)
            results["leases"] = many_leases(many, few)
            print_leases(results["leases"], few)
        finally:
            for bed in (native, on_nftables, many):
                run(bed.on_host(tools.command, "release", "--all"), check=False)
    return {"rounds": rounds, "rounds_of_many": few, "milliseconds": results}
