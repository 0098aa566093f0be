#!/usr/bin/env python3
"""sluice.exe without a driver, under Wine: its command line, its exit codes, and what it says.

What this shows: the file that is shipped starts, and does this, on Wine's reading of Windows. Not: that Windows does the same.

usage: tool_test.py PREFIX SLUICE.EXE
"""

import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "wine"))
from wine_prefix import Prefix

FILTER = """
types = ["registry_set_value"]
"""


class tool(unittest.TestCase):
    def run_tool(self, *arguments):
        return self.wine.run(self.program, *arguments)

    def test_help_names_the_commands_and_what_this_build_lacks(self):
        done = self.run_tool("--help")
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        for word in (b"watch", b"stats", b"filter", b"Recordings (record, stats FILE) are not part"):
            self.assertIn(word, done.stdout)

    def test_text_ends_its_lines_as_it_does_elsewhere(self):
        self.assertNotIn(b"\r", self.run_tool("--help").stdout)

    def test_a_command_that_there_is_not_is_wrong_use(self):
        done = self.run_tool("record", "events.sluice")
        self.assertEqual((done.returncode, done.stdout), (1, b""))
        self.assertIn(b"'record' is not a command here; there are: watch, stats, filter", done.stderr)

    def test_values_that_are_none_are_named(self):
        for arguments, reason in ((("--transport", "telepathy"), b"'telepathy' is not a transport"),
                                  (("--for", "soon"), b"'soon' is not a duration"),
                                  (("--format", "xml"), b"'xml' is not a format")):
            done = self.run_tool("watch", *arguments)
            self.assertEqual((done.returncode, done.stdout), (1, b""), arguments)
            self.assertIn(reason, done.stderr)

    def test_without_a_driver_it_says_so(self):
        for arguments in (("watch",), ("watch", "--transport", "ioctl"), ("watch", "--transport", "mapping"), ("stats",),
                          ("filter", "show"), ("filter", "clear")):
            done = self.run_tool(*arguments)
            self.assertEqual((done.returncode, done.stdout), (1, b""), arguments)
            self.assertIn(b"the driver is not loaded", done.stderr)
            self.assertIn(b"0xc0000034", done.stderr)  # STATUS_OBJECT_NAME_NOT_FOUND, as the kernel gave it

    def test_a_port_that_there_is_not_is_an_error_where_it_is_asked_for(self):
        done = self.run_tool("watch", "--transport", "port")
        self.assertEqual((done.returncode, done.stdout), (1, b""))
        self.assertIn(b"cannot connect to the driver's port", done.stderr)

    def test_a_filter_file_is_explained_whatever_its_name(self):
        path = pathlib.Path(self.directory) / "фильтр ü.toml"
        path.write_text(FILTER)
        done = self.run_tool("filter", "check", str(path))
        self.assertEqual((done.returncode, done.stderr), (0, b""), done.stderr.decode())
        self.assertIn(b"registry_set_value", done.stdout)

    def test_a_filter_file_that_is_none_is_refused_with_its_place(self):
        path = pathlib.Path(self.directory) / "wrong.toml"
        path.write_text("types = []\nnonsense = true\n")
        done = self.run_tool("filter", "check", str(path))
        self.assertEqual((done.returncode, done.stdout), (1, b""))
        self.assertIn(b":2:", done.stderr)

    def test_a_directory_or_a_missing_file_is_no_filter(self):
        for path, reason in ((self.directory, b"cannot be read: Is a directory"),
                             (self.directory + "/missing", b"cannot be read: No such file")):
            done = self.run_tool("filter", "check", path)
            self.assertEqual((done.returncode, done.stdout), (1, b""))
            self.assertIn(reason, done.stderr)


if __name__ == "__main__":
    tool.program = sys.argv[2]
    with Prefix(sys.argv[1]).running() as tool.wine, tempfile.TemporaryDirectory() as tool.directory:
        result = unittest.main(argv=sys.argv[:1], exit=False).result
    sys.exit(not result.wasSuccessful())
