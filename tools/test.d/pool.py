"""Runs programs side by side, the longest first, each with its output in its own file."""
import contextlib
import os
import select
import signal
import subprocess
import tempfile
import time

LOOK = 0.5  # seconds between two checks of the programs' time limits


class Running:
    def __init__(self, program):
        self.program = program
        self.start = time.monotonic()
        self.output = tempfile.TemporaryFile("w+", errors="replace")
        self.process = subprocess.Popen([str(word) for word in program.command], stdin=subprocess.DEVNULL,
                                        stdout=self.output, stderr=subprocess.STDOUT, env=os.environ | program.environment, cwd=program.folder,
                                        start_new_session=True)
        self.pidfd = os.pidfd_open(self.process.pid)
        self.late = False

    def kill(self):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)

    def collect(self):
        """(exit status, seconds of processor time, output) of a process that has ended."""
        _, status, usage = os.wait4(self.process.pid, 0)
        self.process.returncode = os.waitstatus_to_exitcode(status)
        os.close(self.pidfd)
        self.output.seek(0)
        text = self.output.read()
        self.output.close()
        if self.late:
            text += f"\nkilled: it took longer than {self.program.limit:.0f} s"
        return self.process.returncode, usage.ru_utime + usage.ru_stime, text


class Pool:
    """Runs `jobs` programs at a time. A program that must be alone waits until all others have ended."""

    def __init__(self, jobs, report, fail_fast=False):
        self.jobs, self.report, self.fail_fast = jobs, report, fail_fast
        self.waiting, self.running = [], []
        self.stopped = False

    def add(self, programs):
        self.waiting += programs
        self.waiting.sort(key=lambda program: (program.alone, -program.seconds))

    def run(self):
        try:
            while not self.stopped and (self.waiting or self.running):
                while self.may_start():
                    self.running.append(Running(self.waiting.pop(0)))
                self.wait()
        finally:
            for one in self.running:
                one.kill()
            for one in self.running:
                one.collect()

    def may_start(self):
        if not self.waiting or len(self.running) >= self.jobs or any(one.program.alone for one in self.running):
            return False
        return not self.waiting[0].alone or not self.running

    def wait(self):
        select.select([one.pidfd for one in self.running], [], [], LOOK)
        for one in self.running.copy():
            if select.select([one.pidfd], [], [], 0)[0]:
                self.running.remove(one)
                self.judge(one)
            elif time.monotonic() - one.start > one.program.limit and not one.late:
                one.late = True
                one.kill()

    def judge(self, one):
        seconds = time.monotonic() - one.start
        status, processor, output = one.collect()
        passed, failed, shown = one.program.judge(output, status)
        if one.late and not failed:
            failed = 1
        self.report.add(one.program.stage, one.program.name, passed, failed, seconds, processor, shown)
        if failed and self.fail_fast:
            self.stopped = True
