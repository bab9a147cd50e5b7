"""Which builds are made, what runs in each, and the count at the end. Started by tools/test."""
import argparse
import sys

import build
import fuzz
import programs
from report import Report

RELEASE = build.Build("release", {"buildtype": "release", "werror": "true"})
# Unoptimised, and with line numbers for debug information: sanitized code takes four times as long to compile otherwise.
SANITIZED = {"optimization": "0", "debug": "false", "cpp_args": "-g1", "b_lundef": "false"}
# vptr: that check looks at memory through a pipe, and takes objects for broken where a test leaves no descriptors.
ASAN = build.Build("asan", SANITIZED | {"b_sanitize": "address,undefined", "cpp_args": "-g1 -fno-sanitize=vptr"},
                   sanitizer=True)
# Only what runs threads: the event loop, the exposer with its watcher and two processes at once, the tunnel's lanes, the
# helper and its callers, and a program that starts containers from many threads, by either path.
TSAN = build.Build("tsan", SANITIZED | {"b_sanitize": "thread"},
                   targets=("src/cli/tc-hostnet", "src/daemon/tc-hostnetd", "src/reaper/tc-hostnet-reaper",
                            "tests/unit/unit_core", "tests/netns/netns_exposer", "tests/netns/netns_ssh",
                            "tests/e2e/container_driver"), sanitizer=True)


def asan(report):
    if build.make(ASAN, report):
        programs.run(ASAN, "unit", report)
        programs.run(ASAN, "netns", report)
        programs.run(ASAN, "dbus", report)
        programs.run(ASAN, "e2e", report, only=("test_ssh.py",))


def tsan(report):
    if build.make(TSAN, report):
        programs.run(TSAN, "unit", report, only=("core",))
        programs.run(TSAN, "netns", report, only=("exposer", "ssh"))
        programs.run(TSAN, "dbus", report)
        programs.run(TSAN, "e2e", report, only=("test_container_many.py",))


# In the order in which they run. The first nine are about the release build.
STAGES = {
    "unit": lambda report: programs.run(RELEASE, "unit", report),
    "netns": lambda report: programs.run(RELEASE, "netns", report),
    "hosts": lambda report: programs.run(RELEASE, "hosts", report),
    "dbus": lambda report: programs.run(RELEASE, "dbus", report),
    "e2e": lambda report: programs.run(RELEASE, "e2e", report),
    "install": lambda report: programs.run(RELEASE, "install", report),
    "soak": lambda report: programs.run(RELEASE, "soak", report),
    "demo": programs.run_demo,
    "format": programs.check_format,
    "asan": asan,
    "tsan": tsan,
    "fuzz": fuzz.run,
}
OF_RELEASE = {"unit", "netns", "hosts", "dbus", "e2e", "install", "soak"}
BUILDS = {"asan": ASAN, "tsan": TSAN, "fuzz": fuzz.FUZZ}


def arguments():
    parser = argparse.ArgumentParser(prog="tools/test")
    parser.add_argument("stages", nargs="*", metavar="STAGE", help=f"only these, of {', '.join(STAGES)}; all unless told")
    options = parser.parse_args()
    for stage in options.stages:
        if stage not in STAGES:
            parser.error(f"there is no stage {stage!r}: {', '.join(STAGES)}")
    return options


def main():
    wanted = set(arguments().stages or STAGES)
    report = Report()
    built = not wanted & OF_RELEASE or build.make(RELEASE, report)
    ahead = build.Ahead([build for name, build in BUILDS.items() if name in wanted])
    for name, stage in STAGES.items():
        if name in wanted and name in BUILDS:
            ahead.wait_for(BUILDS[name])
        if name in wanted and (built or name not in OF_RELEASE):
            stage(report)
    return report.finish()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
