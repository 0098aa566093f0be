# i686 NT drivers with mingw-w64, for the oldest kernel there is: NT 5.2. Read by build_driver.cmake.
set(nt_machine i686)
set(nt_debian_package g++-mingw-w64-i686-win32)
find_program(SLUICE_NT_I686_COMPILER NAMES i686-w64-mingw32-g++-win32 i686-w64-mingw32-g++)
find_program(SLUICE_NT_I686_OBJDUMP NAMES i686-w64-mingw32-objdump)
find_program(SLUICE_NT_I686_DLLTOOL NAMES i686-w64-mingw32-dlltool)
set(nt_dlltool ${SLUICE_NT_I686_DLLTOOL})
set(nt_compiler ${SLUICE_NT_I686_COMPILER})
set(nt_objdump ${SLUICE_NT_I686_OBJDUMP})
set(nt_ddk_include /usr/share/mingw-w64/include/ddk)

# Names in objects carry the bytes of their arguments, those in the filter manager do not.
set(nt_fltmgr_definition fltmgr-i686.def)
set(nt_dlltool_options --kill-at)
# Of libgcc: the division of 64-bit numbers, whole numbers only (tests/gates/pe_gate.py sees to it).
set(nt_machine_libraries -lgcc)

# A kernel may not touch x87, MMX or SSE registers without saving them.
# Unwind tables are for debuggers only: exceptions go by the chain of handlers.
set(nt_machine_compile_options -march=i686 -mgeneral-regs-only -fno-asynchronous-unwind-tables -fno-unwind-tables)
set(nt_machine_link_options
  -Wl,--subsystem,native:5.2 -Wl,--major-os-version,5 -Wl,--minor-os-version,2
  -Wl,--entry,_DriverEntry@8
  -Wl,--image-base,0x10000)
