#!/usr/bin/env python3
"""Writes the Visual Studio projects of this directory from the lists of sources that CMake builds from.

    windows/write_projects.py            after a source was added to, or taken from, a sources.cmake

Nobody has built them yet: neither Visual Studio nor a WDK was at hand. tests/gates/windows_projects.py checks that the sources are those of
the lists.
"""
import pathlib
import subprocess
import tempfile
import uuid
import xml.sax.saxutils

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
PLATFORMS = ("x64", "ARM64")
CONFIGURATIONS = ("Debug", "Release")
CPP = "{8BC9CEB8-8B4A-11D0-8D11-00A0C91BC942}"  # the type of a C++ project, in a solution
NAMESPACE = "http://schemas.microsoft.com/developer/msbuild/2003"

# What stands in no list: by place and name.
NT_PATTERNS = ["kernel_port/nt/*.cpp"]
WINDOWS_PATTERNS = {
    "client": ["consumers/os/windows/*.cpp", "consumers/nt/windows_*.cpp", "consumers/client/c_event.cpp",
               "consumers/client/*_windows.cpp"],
    "tool": ["consumers/tool/*_windows.cpp", "consumers/windows/*.cpp"],
}


def cmake_lists(root):
    """The lists of the sources.cmake files, as CMake sees them: {name: [path from the root]}."""
    script = ""
    for directory in ("kernel_port/driver", "consumers"):
        script += f'set(CMAKE_CURRENT_LIST_DIR "{root}/{directory}")\ninclude("{root}/{directory}/sources.cmake")\n'
    script += ('get_cmake_property(all VARIABLES)\nforeach(name IN LISTS all)\n'
               '  if(name MATCHES "^SLUICE_.*_SOURCES$")\n    message(NOTICE "${name}=${${name}}")\n  endif()\nendforeach()\n')
    with tempfile.TemporaryDirectory() as directory:
        path = pathlib.Path(directory) / "lists.cmake"
        path.write_text(script)
        text = subprocess.run(["cmake", "-P", path], capture_output=True, text=True, check=True).stderr
    lists = {}
    for line in text.splitlines():
        name, _, value = line.partition("=")
        paths = []
        for each in filter(None, value.split(";")):
            base = pathlib.Path(each) if each.startswith("/") else root / "consumers" / each
            paths.append(str(pathlib.Path(base).resolve().relative_to(root)))
        lists[name] = paths
    return lists


def sources_of(root):
    """What each project compiles."""
    lists = cmake_lists(root)

    def found(patterns):
        return [str(path.relative_to(root)) for pattern in patterns for path in sorted(root.glob(pattern))]

    nt = found(NT_PATTERNS)
    return {
        "sluice_driver": lists["SLUICE_DRIVER_SOURCES"] + nt,
        "heartbeat_driver": lists["SLUICE_SENSOR_SOURCES"] + ["kernel_port/driver/example/heartbeat_driver.cpp"] + nt,
        "sluice_client": [path for name in ("CONSUMERS", "FILTER", "TRANSPORT", "CLIENT") for path in lists[f"SLUICE_{name}_SOURCES"]]
                         + found(WINDOWS_PATTERNS["client"]),
        "sluice_tool": lists["SLUICE_CONNECTED_TOOL_SOURCES"] + found(WINDOWS_PATTERNS["tool"]),
    }


TARGETS = {"sluice_driver": "sluice", "heartbeat_driver": "heartbeat", "sluice_client": "sluice_client", "sluice_tool": "sluice"}
KINDS = {"sluice_driver": "driver", "heartbeat_driver": "driver", "sluice_client": "library", "sluice_tool": "program"}
NOTE = "Written by write_projects.py. Never built: there was no Visual Studio and no WDK where it was made."


def guid(name):
    return "{" + str(uuid.uuid5(uuid.NAMESPACE_URL, "sluice/windows/" + name)).upper() + "}"


def configuration(kind):
    if kind == "driver":
        return """    <ConfigurationType>Driver</ConfigurationType>
    <DriverType>WDM</DriverType>
    <DriverTargetPlatform>Desktop</DriverTargetPlatform>
    <TargetVersion>Windows10</TargetVersion>
    <PlatformToolset>WindowsKernelModeDriver10.0</PlatformToolset>
    <SupportsPackaging>true</SupportsPackaging>"""
    return f"""    <ConfigurationType>{"StaticLibrary" if kind == "library" else "Application"}</ConfigurationType>
    <PlatformToolset>v143</PlatformToolset>
    <CharacterSet>Unicode</CharacterSet>"""


def settings(kind):
    if kind == "driver":
        return """    <ClCompile>
      <AdditionalIncludeDirectories>$(ProjectDir)..;%(AdditionalIncludeDirectories)</AdditionalIncludeDirectories>
      <LanguageStandard>stdcpp20</LanguageStandard>
      <ExceptionHandling>false</ExceptionHandling>
      <RuntimeTypeInfo>false</RuntimeTypeInfo>
      <WarningLevel>Level4</WarningLevel>
      <TreatWarningAsError>true</TreatWarningAsError>
      <AdditionalOptions>/Zc:threadSafeInit- /utf-8 %(AdditionalOptions)</AdditionalOptions>
      <ObjectFileName>$(IntDir)%(RelativeDir)</ObjectFileName>
    </ClCompile>
    <Link>
      <AdditionalDependencies>fltMgr.lib;%(AdditionalDependencies)</AdditionalDependencies>
      <AdditionalOptions>/INTEGRITYCHECK %(AdditionalOptions)</AdditionalOptions>
    </Link>
    <DriverSign>
      <FileDigestAlgorithm>sha256</FileDigestAlgorithm>
    </DriverSign>"""
    link = "" if kind == "library" else """
    <Link>
      <SubSystem>Console</SubSystem>
    </Link>"""
    return f"""    <ClCompile>
      <AdditionalIncludeDirectories>$(ProjectDir)..;%(AdditionalIncludeDirectories)</AdditionalIncludeDirectories>
      <LanguageStandard>stdcpp20</LanguageStandard>
      <WarningLevel>Level4</WarningLevel>
      <PreprocessorDefinitions>FMT_HEADER_ONLY=1;UNICODE;_UNICODE;WIN32_LEAN_AND_MEAN;NOMINMAX;_WIN32_WINNT=0x0A00;SLUICE_VERSION="0.1.0";%(PreprocessorDefinitions)</PreprocessorDefinitions>
      <AdditionalOptions>/Zc:__cplusplus /utf-8 %(AdditionalOptions)</AdditionalOptions>
      <ObjectFileName>$(IntDir)%(RelativeDir)</ObjectFileName>
    </ClCompile>{link}"""


def project(name, sources):
    kind = KINDS[name]
    pairs = [(configuration_name, platform) for configuration_name in CONFIGURATIONS for platform in PLATFORMS]
    made = f'<?xml version="1.0" encoding="utf-8"?>\n<!-- {NOTE} -->\n<Project DefaultTargets="Build" xmlns="{NAMESPACE}">\n'
    made += '  <ItemGroup Label="ProjectConfigurations">\n'
    for each, platform in pairs:
        made += (f'    <ProjectConfiguration Include="{each}|{platform}">\n      <Configuration>{each}</Configuration>\n'
                 f"      <Platform>{platform}</Platform>\n    </ProjectConfiguration>\n")
    made += f"""  </ItemGroup>
  <PropertyGroup Label="Globals">
    <ProjectGuid>{guid(name)}</ProjectGuid>
    <RootNamespace>{name}</RootNamespace>
    <VcpkgEnableManifest>{"false" if kind == "driver" else "true"}</VcpkgEnableManifest>
  </PropertyGroup>
  <Import Project="$(VCTargetsPath)\\Microsoft.Cpp.Default.props" />
  <PropertyGroup Label="Configuration">
{configuration(kind)}
  </PropertyGroup>
"""
    for each in CONFIGURATIONS:
        made += (f"  <PropertyGroup Condition=\"'$(Configuration)'=='{each}'\" Label=\"Configuration\">\n"
                 f"    <UseDebugLibraries>{str(each == 'Debug').lower()}</UseDebugLibraries>\n  </PropertyGroup>\n")
    made += f"""  <Import Project="$(VCTargetsPath)\\Microsoft.Cpp.props" />
  <PropertyGroup>
    <TargetName>{TARGETS[name]}</TargetName>
    <OutDir>$(ProjectDir)..\\build\\windows\\$(Platform)\\$(Configuration)\\</OutDir>
    <IntDir>$(ProjectDir)..\\build\\windows\\$(Platform)\\$(Configuration)\\{name}\\</IntDir>
  </PropertyGroup>
  <ItemDefinitionGroup>
{settings(kind)}
  </ItemDefinitionGroup>
  <ItemGroup>
"""
    for source in sources:
        made += '    <ClCompile Include="..\\' + xml.sax.saxutils.escape(source.replace("/", "\\")) + '" />\n'
    made += "  </ItemGroup>\n"
    if name == "sluice_driver":
        made += '  <ItemGroup>\n    <Inf Include="..\\kernel_port\\nt\\sluice.inf" />\n    <FilesToPackage Include="$(TargetPath)" />\n  </ItemGroup>\n'
    if kind == "program":
        made += (f'  <ItemGroup>\n    <ProjectReference Include="sluice_client.vcxproj">\n      <Project>{guid("sluice_client")}</Project>\n'
                 "    </ProjectReference>\n  </ItemGroup>\n")
    return made + '  <Import Project="$(VCTargetsPath)\\Microsoft.Cpp.targets" />\n</Project>\n'


def solution(names):
    made = ("\ufeff\nMicrosoft Visual Studio Solution File, Format Version 12.00\n# Visual Studio Version 17\n"
            "VisualStudioVersion = 17.0.31903.59\nMinimumVisualStudioVersion = 10.0.40219.1\n")
    for name in names:
        made += f'Project("{CPP}") = "{name}", "{name}.vcxproj", "{guid(name)}"\nEndProject\n'
    made += "Global\n\tGlobalSection(SolutionConfigurationPlatforms) = preSolution\n"
    pairs = [f"{each}|{platform}" for each in CONFIGURATIONS for platform in PLATFORMS]
    made += "".join(f"\t\t{pair} = {pair}\n" for pair in pairs)
    made += "\tEndGlobalSection\n\tGlobalSection(ProjectConfigurationPlatforms) = postSolution\n"
    for name in names:
        for pair in pairs:
            made += f"\t\t{guid(name)}.{pair}.ActiveCfg = {pair}\n\t\t{guid(name)}.{pair}.Build.0 = {pair}\n"
    return made + "\tEndGlobalSection\nEndGlobal\n"


def main():
    sources = sources_of(ROOT)
    for name, each in sources.items():
        (HERE / f"{name}.vcxproj").write_text(project(name, each), encoding="utf-8", newline="\n")
    (HERE / "sluice.sln").write_text(solution(sources), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
