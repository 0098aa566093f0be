#!/usr/bin/env python3
"""The gate of the Visual Studio projects, tested: each damage must be refused."""
import pathlib
import shutil
import sys
import tempfile
import unittest
import xml.etree.ElementTree

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import windows_projects as gate

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


class windows_projects_gate_refuses(unittest.TestCase):
    def setUp(self):
        self.scratch = tempfile.TemporaryDirectory()
        self.root = pathlib.Path(self.scratch.name).resolve()
        for directory in ("windows", "consumers", "pipeline", "producers", "kernel_port/driver", "kernel_port/nt"):
            shutil.copytree(ROOT / directory, self.root / directory)

    def tearDown(self):
        self.scratch.cleanup()

    def change(self, path, old, new):
        text = (self.root / path).read_text()
        self.assertIn(old, text, f"{path} has changed; this test must follow")
        (self.root / path).write_text(text.replace(old, new, 1))

    def refuses(self, because, kind=gate.Broken):
        with self.assertRaises(kind) as refusal:
            gate.check(self.root)
        self.assertRegex(str(refusal.exception), because)

    def test_nothing_in_an_undamaged_tree(self):
        gate.check(self.root)

    def test_a_source_that_is_not_listed(self):
        self.change("windows/sluice_driver.vcxproj", '    <ClCompile Include="..\\producers\\channel.cpp" />\n', "")
        self.refuses("sluice_driver.vcxproj does not list producers/channel.cpp")

    def test_a_new_source_of_the_driver(self):
        (self.root / "producers/new.cpp").write_text("")
        self.change("kernel_port/driver/sources.cmake", "set(SLUICE_SENSOR_SOURCES",
                    "set(SLUICE_SENSOR_SOURCES ${CMAKE_CURRENT_LIST_DIR}/../../producers/new.cpp")
        self.refuses("does not list producers/new.cpp")

    def test_a_new_source_of_the_client(self):
        (self.root / "consumers/windows/new.cpp").write_text("")
        self.change("consumers/windows/CMakeLists.txt", "add_executable(sluice ", "add_executable(sluice new.cpp ")
        self.refuses("sluice_tool.vcxproj does not list consumers/windows/new.cpp")

    def test_a_source_that_cmake_does_not_build(self):
        self.change("windows/sluice_client.vcxproj", '<ClCompile Include="..\\consumers\\accounting.cpp" />',
                    '<ClCompile Include="..\\consumers\\accounting.cpp" /><ClCompile Include="..\\consumers\\other.cpp" />')
        self.refuses("lists what CMake does not build: consumers/other.cpp")

    def test_a_source_listed_twice(self):
        line = '<ClCompile Include="..\\consumers\\accounting.cpp" />'
        self.change("windows/sluice_client.vcxproj", line, line + line)
        self.refuses("lists a source twice")

    def test_a_driver_without_the_integrity_check(self):
        self.change("windows/heartbeat_driver.vcxproj", "/INTEGRITYCHECK ", "")
        self.refuses("without /INTEGRITYCHECK")

    def test_a_configuration_that_a_project_lacks(self):
        self.change("windows/sluice_tool.vcxproj", 'Include="Debug|ARM64"', 'Include="Debug|Win32"')
        self.refuses("other configurations")

    def test_a_project_that_is_no_xml(self):
        self.change("windows/sluice_tool.vcxproj", "</Project>\n", "")
        self.refuses("mismatched tag|no element found", xml.etree.ElementTree.ParseError)

    def test_a_solution_without_a_project(self):
        self.change("windows/sluice.sln", '"heartbeat_driver"', '"heart_driver"')
        self.refuses("other projects")


if __name__ == "__main__":
    unittest.main(verbosity=2)
