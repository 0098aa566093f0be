#!/usr/bin/env python3
"""Gate: the Visual Studio projects of windows/ list the sources that CMake builds from, each once, and nothing else.

    windows_projects.py [--root DIRECTORY]

The driver's are those of kernel_port/driver/sources.cmake and the files of kernel_port/nt/; the client's those of
consumers/sources.cmake and what consumers/windows/CMakeLists.txt adds. Also: the projects are well-formed, each configuration of the
solution exists in them, and a driver is linked with /INTEGRITYCHECK. That Visual Studio builds them is not shown.
Exit status: 0 kept, 1 broken.
"""
import argparse
import pathlib
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree

HERE = pathlib.Path(__file__).resolve().parent
SPACE = {"m": "http://schemas.microsoft.com/developer/msbuild/2003"}


class Broken(Exception):
    pass


def lists_of(root, directory):
    """The lists that a sources.cmake sets, as CMake sees them."""
    with tempfile.TemporaryDirectory() as scratch:
        script = pathlib.Path(scratch) / "lists.cmake"
        script.write_text(f'include("{root / directory}/sources.cmake")\nget_cmake_property(names VARIABLES)\n'
                          "foreach(name IN LISTS names)\n  if(name MATCHES \"^SLUICE_.*_SOURCES$\")\n"
                          '    message(NOTICE "${name}=${${name}}")\n  endif()\nendforeach()\n')
        text = subprocess.run(["cmake", "-P", script], capture_output=True, text=True, check=True).stderr
    return {name: [(root / directory / each).resolve() for each in value.split(";") if each]
            for name, value in re.findall(r"^(\w+)=(.*)$", text, re.M)}


def expected(root):
    driver, client = lists_of(root, "kernel_port/driver"), lists_of(root, "consumers")
    nt = list((root / "kernel_port/nt").glob("*.cpp"))
    # What the targets of the Windows project add to the lists.
    own = {}
    text = re.sub(r"#.*", "", (root / "consumers/windows/CMakeLists.txt").read_text())
    for target, body in re.findall(r"add_(?:library|executable)\((\w+)([^)]*)\)", text):
        own[target] = [(root / "consumers/windows" / name).resolve() for name in re.findall(r"[\w./-]+\.cpp", body)]
    parts = ("sluice_consumers", "sluice_filter", "sluice_sources", "sluice_windows_system", "sluice_client")
    return {
        "sluice_driver": driver["SLUICE_DRIVER_SOURCES"] + nt,
        "heartbeat_driver": driver["SLUICE_SENSOR_SOURCES"] + nt + [root / "kernel_port/driver/example/heartbeat_driver.cpp"],
        "sluice_client": [path for part in ("CONSUMERS", "FILTER", "TRANSPORT", "CLIENT") for path in client[f"SLUICE_{part}_SOURCES"]]
                         + [path for part in parts for path in own[part]],
        "sluice_tool": client["SLUICE_CONNECTED_TOOL_SOURCES"] + own["sluice"],
    }


def check_project(root, name, sources, pairs):
    path = root / "windows" / f"{name}.vcxproj"
    if not path.exists():
        raise Broken(f"windows/{name}.vcxproj is missing")
    project = xml.etree.ElementTree.parse(path).getroot()
    listed = [(root / "windows" / each.get("Include").replace("\\", "/")).resolve()
              for each in project.findall("m:ItemGroup/m:ClCompile", SPACE)]
    wanted = {path.resolve() for path in sources}
    for why, paths in (("does not list", wanted - set(listed)), ("lists what CMake does not build:", set(listed) - wanted)):
        if paths:
            raise Broken(f"windows/{name}.vcxproj {why} {' '.join(sorted(str(each.relative_to(root)) for each in paths))}\n"
                         "(windows/write_projects.py writes the projects anew)")
    if len(listed) != len(set(listed)):
        raise Broken(f"windows/{name}.vcxproj lists a source twice")
    for each in listed:
        if not each.is_file():
            raise Broken(f"windows/{name}.vcxproj: there is no {each.relative_to(root)}")
    there = {each.get("Include") for each in project.findall("m:ItemGroup/m:ProjectConfiguration", SPACE)}
    if there != pairs:
        raise Broken(f"windows/{name}.vcxproj has other configurations than the solution: {' '.join(sorted(there ^ pairs))}")
    if name.endswith("_driver"):
        options = project.findtext("m:ItemDefinitionGroup/m:Link/m:AdditionalOptions", "", SPACE)
        if "/INTEGRITYCHECK" not in options.split():
            raise Broken(f"windows/{name}.vcxproj links without /INTEGRITYCHECK: process callbacks are refused then")
    return len(listed)


def check(root):
    """Raises Broken with what is wrong; otherwise returns the number of projects and of the sources they list."""
    solution = (root / "windows/sluice.sln").read_text(encoding="utf-8-sig")
    pairs = set(re.findall(r"^\t\t([\w]+\|\w+) = \1$", solution, re.M))
    names = re.findall(r'^Project\("[^"]*"\) = "(\w+)", "\1\.vcxproj"', solution, re.M)
    sources = expected(root)
    if set(names) != set(sources) or not pairs:
        raise Broken(f"windows/sluice.sln has other projects than {' '.join(sorted(sources))}")
    return len(names), sum(check_project(root, name, sources[name], pairs) for name in names)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=lambda text: pathlib.Path(text).resolve(), default=HERE.parent.parent)
    try:
        projects, sources = check(parser.parse_args().root)
    except (Broken, xml.etree.ElementTree.ParseError) as broken:
        print(f"windows_projects: {broken}")
        return 1
    print(f"windows_projects: {projects} projects list {sources} sources, as CMake does")
    return 0


if __name__ == "__main__":
    sys.exit(main())
