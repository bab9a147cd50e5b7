"""Which builds are made, what runs in each, and the count at the end. Started by tools/test."""
import argparse
import sys

import build
import fuzz
import programs
from report import Report

SUITES = ("unit", "netns", "e2e")

RELEASE = build.Build("release", {"buildtype": "release", "werror": "true"})
ASAN = build.Build("asan", {"optimization": "1", "debug": "true", "b_sanitize": "address,undefined", "b_lundef": "false"},
                   sanitizer=True)
# Only what runs threads: the event loop, and the exposer with its watcher and two processes at once.
TSAN = build.Build("tsan", {"optimization": "1", "debug": "true", "b_sanitize": "thread", "b_lundef": "false"},
                   targets=("src/cli/tc-hostnet", "tests/unit/unit_core", "tests/netns/netns_exposer"), sanitizer=True)


def arguments():
    parser = argparse.ArgumentParser(prog="tools/test")
    parser.add_argument("suites", nargs="*", metavar="unit|netns|e2e",
                        help="only these suites, of the release build alone")
    parser.add_argument("--all", action="store_true", help="the sanitizer builds and the fuzz targets as well")
    options = parser.parse_args()
    for suite in options.suites:
        if suite not in SUITES:
            parser.error(f"there is no suite {suite!r}: {', '.join(SUITES)}")
    return options


def main():
    options = arguments()
    report = Report()
    if build.make(RELEASE, report):
        for suite in options.suites or SUITES:
            programs.run(RELEASE, suite, report)
        if not options.suites:
            programs.run_demo(report)
            programs.check_format(report)
    if options.all:
        if build.make(ASAN, report):
            programs.run(ASAN, "unit", report)
            programs.run(ASAN, "netns", report)
        if build.make(TSAN, report):
            programs.run(TSAN, "unit", report, only="core")
            programs.run(TSAN, "netns", report, only="exposer")
            programs.run(TSAN, "netns", report, only="ssh")
            programs.run(TSAN, "unit", report, only="ssh")
        fuzz.run(report)
    return report.finish()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
