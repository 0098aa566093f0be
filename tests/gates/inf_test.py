#!/usr/bin/env python3
"""sluice.inf: what it refers to is there, and the filter manager finds what the port needs. Nothing here was installed.

Usage: inf_test.py INF
"""
import re
import sys
import unittest

PATH = sys.argv.pop(1)


def sections():
    found = {}
    current = None
    with open(PATH, encoding="ascii") as file:
        for line in file:
            line = re.sub(r"\s+;.*|^;.*", "", line.rstrip("\n")).strip()
            if not line:
                continue
            if line.startswith("["):
                current = found.setdefault(line.strip("[]"), [])
            else:
                current.append(line)
    return found


INF = sections()
STRINGS = dict(re.split(r"\s*=\s*", line, maxsplit=1) for line in INF["Strings"])


def values(section):
    return {key: value for key, _, value in (line.partition("=") for line in INF[section])
            for key, value in [(key.strip(), value.strip())]}


class Inf(unittest.TestCase):
    def test_every_section_that_is_named_is_there_and_every_one_there_is_named(self):
        known = {"Version", "SourceDisksNames", "SourceDisksFiles", "DestinationDirs", "Strings", "DefaultInstall.NTamd64",
                 "DefaultInstall.NTamd64.Services"}
        named = {values("DefaultInstall.NTamd64")["CopyFiles"]}
        service = values("DefaultInstall.NTamd64.Services")["AddService"].split(",")
        named.add(service[2])
        named |= {name.strip() for name in values(service[2])["AddReg"].split(",")}
        self.assertEqual(set(INF), known | named)
        self.assertEqual(service[0], "sluice")

    def test_every_string_is_defined_and_used(self):
        used = {name for section, lines in INF.items() if section != "Strings" for line in lines
                for name in re.findall(r"%([A-Za-z]+)%", line)}
        self.assertEqual(used, set(STRINGS))

    def test_the_service_is_a_minifilter_of_the_activity_monitors(self):
        service = values("Sluice.Service")
        self.assertEqual(service["ServiceType"], "2")
        self.assertEqual(service["StartType"], "3")
        self.assertEqual(service["Dependencies"], "FltMgr")
        self.assertEqual(service["LoadOrderGroup"], '"FSFilter Activity Monitor"')
        self.assertEqual(service["ServiceBinary"], r"%12%\sluice.sys")
        self.assertEqual(values("Version")["ClassGuid"], "{b86dff51-a31e-4bac-b3cf-e8cfe75c9fc2}")

    def test_the_filter_manager_finds_an_instance_with_its_altitude(self):
        instances = INF["Sluice.Instances"]
        self.assertEqual(instances[0], 'HKR,"Instances","DefaultInstance",0x00000000,%Instance%')
        self.assertEqual(instances[1], 'HKR,"Instances\\"%Instance%,"Altitude",0x00000000,%Altitude%')
        self.assertTrue(instances[2].startswith('HKR,"Instances\\"%Instance%,"Flags",0x00010001,'))
        altitude = STRINGS["Altitude"].strip('"')
        self.assertRegex(altitude, r"^[0-9]+(\.[0-9]+)?$")
        self.assertTrue(360000 <= float(altitude) < 390000, altitude)


if __name__ == "__main__":
    unittest.main()
