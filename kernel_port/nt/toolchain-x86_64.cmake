# x86-64 NT drivers with mingw-w64. Read by build_driver.cmake; another machine is another file of these names
# (i686: entry _DriverEntry@8, -mgeneral-regs-only, an import library whose names carry @bytes).
set(nt_machine x86_64)
set(nt_debian_package g++-mingw-w64-x86-64-win32)
find_program(SLUICE_NT_X86_64_COMPILER NAMES x86_64-w64-mingw32-g++-win32 x86_64-w64-mingw32-g++)
find_program(SLUICE_NT_X86_64_OBJDUMP NAMES x86_64-w64-mingw32-objdump)
find_program(SLUICE_NT_X86_64_DLLTOOL NAMES x86_64-w64-mingw32-dlltool)
set(nt_dlltool ${SLUICE_NT_X86_64_DLLTOOL})
set(nt_compiler ${SLUICE_NT_X86_64_COMPILER})
set(nt_objdump ${SLUICE_NT_X86_64_OBJDUMP})
set(nt_ddk_include /usr/share/mingw-w64/include/ddk)

set(nt_machine_compile_options)
set(nt_machine_link_options
  -Wl,--entry,DriverEntry
  -Wl,--image-base,0x140000000
  -Wl,--high-entropy-va)
