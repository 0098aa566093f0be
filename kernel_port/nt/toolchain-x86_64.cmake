# x86-64 NT drivers with mingw-w64. Read by build_driver.cmake; another machine is another file of these names.
set(nt_machine x86_64)
set(nt_debian_package g++-mingw-w64-x86-64-win32)
find_program(SLUICE_NT_X86_64_COMPILER NAMES x86_64-w64-mingw32-g++-win32 x86_64-w64-mingw32-g++)
find_program(SLUICE_NT_X86_64_OBJDUMP NAMES x86_64-w64-mingw32-objdump)
find_program(SLUICE_NT_X86_64_DLLTOOL NAMES x86_64-w64-mingw32-dlltool)
set(nt_dlltool ${SLUICE_NT_X86_64_DLLTOOL})
set(nt_compiler ${SLUICE_NT_X86_64_COMPILER})
set(nt_objdump ${SLUICE_NT_X86_64_OBJDUMP})
set(nt_ddk_include /usr/share/mingw-w64/include/ddk)

set(nt_fltmgr_definition fltmgr.def)
set(nt_dlltool_options)
set(nt_machine_libraries)

set(nt_machine_compile_options)
# The image says 6.1: kernels before 6.0 do not ask, and later ones give an older image less.
set(nt_machine_link_options
  -Wl,--subsystem,native:6.1 -Wl,--major-os-version,6 -Wl,--minor-os-version,1
  -Wl,--entry,DriverEntry
  -Wl,--image-base,0x140000000
  -Wl,--high-entropy-va)
