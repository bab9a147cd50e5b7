"""One minute of the soak, for CI. tools/soak runs it for any time."""
import os
import random
import unittest

import soak


class OneMinute(unittest.TestCase):
    def test_the_invariants_hold_and_everything_is_as_it_was(self):
        seed = os.environ.get("SOAK_SEED") or str(random.SystemRandom().randrange(1 << 32))
        one = soak.Soak(60, seed, os.environ["SOAK_OF"], os.environ["TC_HOSTNET"],
                        lambda text: print(text, flush=True))
        self.assertTrue(one.run(), one.report())
        # It passed with real work done.
        self.assertGreater(one.history.counts["a fetch that succeeded"], 50)
        self.assertGreater(one.checker.looks - one.checker.unsteady, 20)


if __name__ == "__main__":
    unittest.main()
