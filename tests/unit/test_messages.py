"""Every error and warning is in docs/troubleshooting.md, and no other."""
import importlib.machinery
import importlib.util
import unittest
from pathlib import Path

TOOL = Path(__file__).resolve().parent.parent.parent / "tools" / "messages"
loader = importlib.machinery.SourceFileLoader("messages", str(TOOL))
tool = importlib.util.module_from_spec(importlib.util.spec_from_loader("messages", loader))
loader.exec_module(tool)


class Messages(unittest.TestCase):
    maxDiff = None

    def test_the_file_is_what_the_sources_say(self):
        self.assertEqual(tool.TARGET.read_text().splitlines(), tool.document().splitlines(),
                         "update it: tools/messages --write")

    def test_the_sources_are_read(self):
        found = tool.messages()
        self.assertGreater(sum(map(len, found.values())), 250)
        self.assertGreater(len(found["warnings"]), 40)
        self.assertIn("there is no configuration …", found["not_found"])
        self.assertIn("unknown option …: did you mean '…'?", found["invalid_argument"])


if __name__ == "__main__":
    unittest.main()
