"""The helper during a password prompt, with a scripted agent."""
import os
import signal
import subprocess
import time
import unittest

from harness import (ACCESS_DENIED, ERROR, HERE, MUST_ASK, PYTHON, UIDS, Helped, add_bridge, eventually, fetch, firewall,
                     helper_log, run, settings)


def start_polkit_again():
    """It ends with the bus."""
    os.kill(int(os.environ["HELPER_POLKIT_PID"]), signal.SIGKILL)
    polkit = subprocess.Popen(["/usr/lib/polkit-1/polkitd", "--no-debug", "--replace"], stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL)
    os.environ["HELPER_POLKIT_PID"] = str(polkit.pid)
    time.sleep(0.2)  # the old one's name
    run("gdbus", "wait", "--system", "--timeout", "10", "org.freedesktop.PolicyKit1")


class Agent:
    """agent.py for one caller's process."""

    def __init__(self, caller, user):
        self._start(caller, user)
        if self.line() != "ready":
            # Debian 12's polkitd may answer nobody any more after a caller has died during its prompt.
            self.stop()
            start_polkit_again()
            self._start(caller, user)
            assert self.line() == "ready"

    def _start(self, caller, user):
        self.process = subprocess.Popen([PYTHON, "-B", HERE / "agent.py", str(caller.pid), str(UIDS[user])],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def line(self):
        return self.process.stdout.readline().strip()

    def prompted(self):
        """(action, message) of the current prompt."""
        action, _, message = self.line().partition("\t")
        return action.removeprefix("io.github.tchostnet.hostnet1."), message

    def answer(self, word):
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()

    def stop(self):
        self.process.kill()
        self.process.wait(10)
        self.process.stdin.close()
        self.process.stdout.close()


class Prompt(Helped):
    def agent(self, caller, user="bob"):
        agent = Agent(caller, user)
        self.addCleanup(agent.stop)
        return agent

    def prompted_caller(self, *ports, user="bob", **options):
        """A caller of bob's with a pending request, and the agent that shows its prompt."""
        caller = self.caller(user)
        agent = self.agent(caller, user)
        caller.begin_expose(self.bridge, *ports, interactive=True, **options)
        return caller, agent

    def nothing_was_made(self):
        self.assertEqual((firewall(), settings()), self.before)

    def test_approved(self):
        self.service("bob", 8088)
        caller, agent = self.prompted_caller(8088)
        action, message = agent.prompted()
        self.assertEqual(action, "expose-own")
        self.assertIn("containers on br-test reach your service on port 8088/tcp", message)
        self.nothing_was_made()
        agent.answer("approve")
        caller.result()
        self.assertEqual(fetch(8088), "bob")

    def test_the_flag_of_the_message_does_as_the_option(self):
        self.service("bob", 8088)
        caller = self.caller("bob")
        agent = self.agent(caller)
        caller.begin_expose(self.bridge, 8088, flag=True)
        self.assertEqual(agent.prompted()[0], "expose-own")
        agent.answer("approve")
        path = caller.result()
        other = self.caller("mallory")
        self.refused(ACCESS_DENIED, other.release, path=path, flag=True)

    def test_without_either_nobody_is_asked(self):
        self.service("bob", 8088)
        caller = self.caller("bob")
        self.agent(caller)
        self.refused(MUST_ASK, caller.expose, self.bridge, 8088)
        self.refused(MUST_ASK, caller.expose, self.bridge, 8088, interactive=False)

    def test_without_an_agent_nobody_can_be_asked(self):
        self.service("bob", 8088)
        self.refused(MUST_ASK, self.caller("bob").expose, self.bridge, 8088, interactive=True)

    def test_dismissed(self):
        self.service("bob", 8088)
        caller, agent = self.prompted_caller(8088)
        agent.prompted()
        agent.answer("dismiss")
        self.refused(ACCESS_DENIED, caller.result)
        self.nothing_was_made()

    def test_somebody_who_is_no_administrator(self):
        self.service("bob", 8088)
        caller, agent = self.prompted_caller(8088)
        agent.prompted()
        agent.answer("wrong")
        self.refused(ACCESS_DENIED, caller.result)
        self.nothing_was_made()

    def test_what_was_kept_does_not_carry_a_riskier_request(self):
        """A rule keeps an administrator's approval of expose-own for a while, as polkit does in the user's own session."""
        self.service("bob", 8088)
        self.service("alice", 8089)
        with self.rule('if (action.id == "io.github.tchostnet.hostnet1.expose-own") return polkit.Result.AUTH_ADMIN_KEEP;'):
            caller, agent = self.prompted_caller(8088)
            self.assertEqual(agent.prompted()[0], "expose-own")
            agent.answer("approve")
            caller.release(path=caller.result())
            # The approval is kept: the same request shows no prompt,
            caller.release(path=caller.expose(self.bridge, 8088, interactive=True))
            # and a request for another user's listener does.
            caller.begin_expose(self.bridge, 8089, interactive=True)
            action, message = agent.prompted()
            self.assertEqual(action, "expose-foreign")
            self.assertIn("not served by you alone", message)
            agent.answer("dismiss")
            self.refused(ACCESS_DENIED, caller.result)
        self.nothing_was_made()

    def rule(self, text):
        import contextlib
        import os
        from pathlib import Path

        @contextlib.contextmanager
        def standing():
            path = Path(os.environ["HELPER_RULES"]) / "10-now.rules"
            path.write_text("polkit.addRule(function (action, subject) { %s });" % text)
            time.sleep(0.7)  # polkitd reloads changed rules without a signal
            try:
                yield
            finally:
                path.unlink()
                time.sleep(0.7)
        return standing()

    def test_the_caller_is_killed_while_the_prompt_is_open(self):
        self.service("bob", 8088)
        caller, agent = self.prompted_caller(8088)
        agent.prompted()
        agent.answer("wait")
        caller.kill()
        self.assertEqual(agent.line(), "cancelled")
        self.assertTrue(eventually(lambda: "left the bus before its request was answered" in helper_log()))
        time.sleep(0.2)
        self.nothing_was_made()

    def test_the_bridge_is_another_one_after_the_prompt(self):
        """Same name and same index: only the facts judged earlier tell the two interfaces apart."""
        run("ip", "link", "del", "br-other", check=False)
        number = add_bridge("br-other", "198.18.9.1")
        self.addCleanup(run, "ip", "link", "del", "br-other")
        self.service("bob", 8088)
        for why, swap in (("gone", lambda: None), ("made anew", lambda: add_bridge("br-other", "198.18.9.1")),
                          ("another address", lambda: add_bridge("br-other", "198.18.8.1", number))):
            with self.subTest(why):
                caller = self.caller("bob")
                agent = self.agent(caller)
                caller.begin_expose(number, 8088, interactive=True)
                agent.prompted()
                run("ip", "link", "del", "br-other")
                swap()
                agent.answer("approve")
                self.refused(ERROR + "NetworkChanged", caller.result)
                self.assertEqual(firewall(), self.before[0])
                run("ip", "link", "del", "br-other", check=False)
                add_bridge("br-other", "198.18.9.1", number)
        self.before = (firewall(), settings())
        self.addCleanup(setattr, self, "before", (self.before[0], {k: v for k, v in self.before[1].items() if k != "br-other"}))

    def test_another_listens_after_the_prompt(self):
        mine = self.service("bob", 8088)
        caller, agent = self.prompted_caller(8088)
        agent.prompted()
        mine.stop()
        self.service("alice", 8088)
        agent.answer("approve")
        self.assertIn("expose-foreign", self.refused(ACCESS_DENIED, caller.result))
        self.nothing_was_made()

    def test_others_do_not_wait(self):
        self.service("bob", 8088)
        self.service("alice", 8089)
        _, agent = self.prompted_caller(8088)
        agent.prompted()
        alice = self.caller("alice")
        alice.probe(ifindex=self.bridge)
        times = []
        for _ in range(20):
            start = time.monotonic()
            alice.release(path=alice.expose(self.bridge, 8089))
            alice.probe(ifindex=self.bridge)
            times.append(time.monotonic() - start)
        # Three calls each, two of which change the kernel's tables, all from Python.
        self.assertLess(sorted(times)[len(times) // 2], 0.15, times)
        times = []
        for _ in range(50):
            start = time.monotonic()
            alice.probe(ifindex=self.bridge)
            times.append(time.monotonic() - start)
        self.assertLess(sorted(times)[len(times) // 2], 0.05, times)
        agent.answer("dismiss")

    def test_four_prompts_a_user(self):
        self.service("bob", 8088)
        waiting = []
        for _ in range(4):
            caller, agent = self.prompted_caller(8088)
            agent.prompted()
            agent.answer("wait")
            waiting.append((caller, agent))
        fifth = self.caller("bob")
        self.agent(fifth)
        self.assertIn("4 requests", self.refused(ERROR + "QuotaExceeded", fifth.expose, self.bridge, 8088, interactive=True))
        # Another user has four more.
        self.service("alice", 8089)
        alice = self.caller("alice")
        alice.release(path=alice.expose(self.bridge, 8089))
        waiting[0][0].kill()
        self.assertEqual(waiting[0][1].line(), "cancelled")
        fifth.begin_expose(self.bridge, 8088, interactive=True)
        self.assertFalse(fifth.answered(0.3))


if __name__ == "__main__":
    unittest.main()
