"""Decides which builds are made and what runs in each, and prints the count at the end. Started by
tools/test."""
import argparse
import os
import sys
import tempfile

import build
import changed
import fuzz
import programs
from pool import Pool
from report import Report

RELEASE = build.Build("release", build.of_release())
# Unoptimised, with only line numbers as debug information: otherwise sanitized code takes four times as long
# to compile. clang takes two thirds of g++'s time. b_lundef=false: clang's sanitizers resolve symbols of
# their run-time library only in the final link.
SANITIZED = {name: value for name, value in RELEASE.options.items() if name != "buildtype"} | {
    "optimization": "0", "debug": "false", "cpp_args": "-g1", "b_lundef": "false"}
# vptr is off: that check reads memory through a pipe, and reports valid objects when a test leaves no
# descriptors.
ASAN = build.Build("asan", SANITIZED | {"b_sanitize": "address,undefined", "cpp_args": "-g1 -fno-sanitize=vptr",
                                        "fuzz": "true"}, compiler="clang++", sanitizer=True)
TSAN = build.Build("tsan", SANITIZED | {"b_sanitize": "thread"}, compiler="clang++", sanitizer=True)

# What runs of each build: {suite: programs}; an empty tuple means the whole suite.
OF_RELEASE = {suite: () for suite in ("unit", "netns", "hosts", "dbus", "e2e", "install", "soak")}
# The sanitizer builds run these on a host without rules, so the release build runs them only on hosts with
# rules.
ON_HOSTS = ("reach", "reach-nft", "sharing", "sharing-nft")
# What a sanitizer can observe: our processes at work. Excluded are tests of the kernel's rules or of the
# installed files, a thousand leases if ten suffice, and tests that start the command repeatedly under ptrace.
HELPER = tuple(f"test_{name}.py" for name in ("authorisation", "bus_restart", "hostile", "leases", "messages",
                                              "port_changes_hands", "prompt", "waiting"))
OF_ASAN = {"unit": (),
           "netns": ("cli", "engine", "native", "native-nft", "netlink", "reach", "reach-nft", "relay", "sharing", "sharing-nft", "ssh"),
           "dbus": (*HELPER, "test_terminals.py"), "e2e": ("test_container_many.py", "test_ssh_faults.py")}
# Only code with threads: the event loop, the exposer with its monitor and two processes at once, the tunnel's
# lanes, the helper and its callers, and a program that starts containers from many threads, on both paths.
OF_TSAN = {"unit": ("core", "relay"), "netns": ("native", "reach", "relay", "sharing", "ssh"), "dbus": HELPER, "e2e": ("test_container_many.py",)}
STAGES = (*OF_RELEASE, "demo", "format", "asan", "tsan", "fuzz")

# What runs on another release of Debian unless stages are named: all that its libraries, engines and daemons can change. Not
# there: the formatting, since each clang-format has its own; rules of this host and the soak, since the kernel is the same; the
# sanitizers, which find the same faults.
OTHER_RELEASES = ("trixie", "forky")
ON_OTHERS = ("unit", "netns", "dbus", "install", "e2e")


def arguments():
    parser = argparse.ArgumentParser(prog="tools/test", description="Installs missing packages, builds, and runs the tests.")
    parser.add_argument("stages", nargs="*", metavar="STAGE", help=f"only these, of {', '.join(STAGES)}; default all")
    parser.add_argument("--jobs", type=int, default=1 + 2 * (os.cpu_count() or 1), metavar="N",
                        help="programs at a time; default two for each processor and one more, since most of them wait")
    parser.add_argument("--fail-fast", action="store_true", help="stop at the first program that fails")
    parser.add_argument("--changed", nargs="?", const="HEAD", metavar="COMMIT",
                        help="only what the changes since COMMIT can affect; default the last commit")
    parser.add_argument("--release", choices=OTHER_RELEASES,
                        help="in a folder with that release of Debian, /var/cache/tc-hostnet/RELEASE, which is made if it is "
                             f"missing: 2 GB, 4 minutes (tools/debian); by default the stages {', '.join(ON_OTHERS)}")
    parser.add_argument("--list", action="store_true", help="print what would run, and run nothing")
    options = parser.parse_args()
    for stage in options.stages:
        if stage not in STAGES:
            parser.error(f"there is no stage {stage!r}: {', '.join(STAGES)}")
    if options.jobs < 1:
        parser.error("--jobs must be at least 1")
    if options.release and options.changed:
        parser.error("--release runs whole stages: leave --changed out")
    return options


class Plan:
    """What runs, given the stages and changes on the command line."""

    def __init__(self, options):
        self.stages = set(options.stages or STAGES)
        self.touched = changed.touched(options.changed) if options.changed else None

    def chosen(self, found):
        return found if self.touched is None else [program for program in found if self.touched(program)]

    def of_release(self):
        found = programs.of_build(RELEASE, {suite: () for suite in OF_RELEASE if suite in self.stages})
        elsewhere = {"hosts", "asan"} <= self.stages
        return self.chosen([one for one in found if not (elsewhere and one.stage == "netns" and one.name in ON_HOSTS)])

    def of_sanitizer(self, one, suites):
        return self.chosen(programs.of_build(one, suites, prefix=f"{one.name} "))

    def of_commands(self):
        found = programs.demo() if "demo" in self.stages else []
        return self.chosen(found + (programs.formatting() if "format" in self.stages else []))

    def fuzzers(self):
        return self.chosen(fuzz.programs(ASAN))

    def builds(self):
        """(what to make, what then runs), one for each build of this plan besides the release."""
        made = []
        for one, suites in ((ASAN, OF_ASAN), (TSAN, OF_TSAN)):
            if one.name in self.stages:
                def run(one=one, suites=suites):
                    return self.of_sanitizer(one, suites)
                made.append((build.Make(one, lambda one=one, run=run: needed(one, run())), run))
        if "fuzz" in self.stages:
            made.append((build.Make(ASAN, lambda: fuzz.TARGETS), self.fuzzers))
        return made


def needed(one, found):
    """Ninja's targets for these programs. An empty list would mean all, so build.ninja stands in for it."""
    return programs.targets_of(one, found) or ["build.ninja"]


def on_other_release(options):
    """Becomes this program on that release."""
    again = [build.ROOT / "tools" / "debian", options.release, "tools/test", *(options.stages or ON_OTHERS), "--jobs", options.jobs]
    again += [f"--{name.replace('_', '-')}" for name in ("fail_fast", "list") if getattr(options, name)]
    os.execv(again[0], [str(word) for word in again])


def main():
    options = arguments()
    if options.release:
        on_other_release(options)
    plan = Plan(options)
    report = Report()
    pool = Pool(options.jobs, report, options.fail_fast)
    release = build.Make(RELEASE, lambda: needed(RELEASE, plan.of_release()) + ["src/cli/tc-hostnet"])
    report.say(f"release: building in {RELEASE.folder.relative_to(build.ROOT)}")
    release.run()
    if not release.tell(report):
        return report.finish()
    pool.add(plan.of_release() + plan.of_commands())
    if options.list:
        for program in pool.waiting:
            print(f"{program.stage}: {program.name}")
        return 0
    for make, then in plan.builds():
        make.run()
        if make.tell(report):
            pool.add(then())
    # tests/support/images caches images here for the engines of this run. The folder is private to the run.
    with tempfile.TemporaryDirectory(prefix="hostnet-images-") as folder:
        os.environ["ENGINE_IMAGES"] = folder
        pool.run()
    return report.finish()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
