"""What bash, zsh and fish offer for an unfinished command line, as their users see it."""
import os
import pty
import re
import select
import subprocess
import tempfile
import time

PATIENCE = 30  # seconds, for one shell
CONTROL = re.compile(r"\x1b(?:\[[0-9;?=>]*[a-zA-Z]|[=>]|\][^\x07]*\x07)|[\r\x07]")

BASH = """
source <("$1" completion bash)
COMP_LINE="tc-hostnet $2" COMP_POINT=$((${#2} + 11))
PATH=${1%/*}:$PATH
_tc_hostnet
printf '%s\\n' "${COMPREPLY[@]}"
"""


class Shells:
    """Mixed into a HostCase: $PATH begins with the folder of the tested command."""

    def by_bash(self, line):
        """The words offered at the end of the line behind `tc-hostnet `, by bash's own protocol."""
        done = subprocess.run(["bash", "--norc", "-c", BASH, "bash", str(self.program), line], env=self.env, capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, timeout=PATIENCE, check=True)
        self.assertEqual(done.stderr, "")
        return sorted(filter(None, done.stdout.splitlines()))

    def by_fish(self, line):
        script = f"tc-hostnet completion fish | source; complete -C 'tc-hostnet {line}'"
        done = subprocess.run(["fish", "--no-config", "-c", script], env=self.with_path(), capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, timeout=PATIENCE, check=True)
        self.assertEqual(done.stderr, "")
        return sorted(word.partition("\t")[0] for word in done.stdout.splitlines())

    def with_path(self):
        return self.env | {"PATH": f"{os.path.dirname(self.program)}:{self.env['PATH']}", "HOME": self.home(), "TERM": "xterm",
                           "LC_ALL": "C.UTF-8"}

    def home(self):
        if not hasattr(self, "_home"):
            folder = tempfile.TemporaryDirectory(prefix="hostnet-e2e-")
            self.addCleanup(folder.cleanup)
            self._home = folder.name
        return self._home

    def tab(self, shell, line, wanted):
        """Types the line and a tab on a terminal of the shell, until the screen shows `wanted`."""
        commands = {
            "bash": (["bash", "--norc", "-i"], "PS1='ready> '; bind 'set enable-bracketed-paste off'; source <(tc-hostnet completion bash)"),
            "zsh": (["zsh", "-f", "-i"], "PS1='ready> '; unset zle_bracketed_paste; autoload -Uz compinit; compinit -u -D; "
                                         "source <(tc-hostnet completion zsh)"),
        }
        argv, setup = commands[shell]
        pid, terminal = pty.fork()
        if pid == 0:
            os.execvpe(argv[0], argv, self.with_path())
        try:
            os.write(terminal, f"{setup}\n".encode())
            self.await_text(terminal, "ready> ", after="completion " + shell)
            os.write(terminal, f"tc-hostnet {line}".encode())
            self.await_text(terminal, wanted, key=b"\t")
        finally:
            os.kill(pid, 9)
            os.close(terminal)
            os.waitpid(pid, 0)

    def await_text(self, terminal, wanted, after="", key=b""):
        """The key is pressed every second: an engine may not have answered in time."""
        seen = ""
        until = time.monotonic() + PATIENCE
        pressed = 0
        while True:
            shown = CONTROL.sub("", seen)
            behind = shown.rfind(after) + len(after) if after else 0
            if after in shown and wanted in shown[behind:]:
                return
            if key and time.monotonic() > pressed + 1:
                os.write(terminal, key)
                pressed = time.monotonic()
            if time.monotonic() > until:
                self.fail(f"the terminal never showed {wanted!r}: {shown!r}")
            if select.select([terminal], [], [], 1)[0]:
                seen += os.read(terminal, 65536).decode(errors="replace")
