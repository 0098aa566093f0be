# What decides, besides sources and compiler, which machine code ring and merge become: everybody compiles native_merge.cpp and
# kernel_rings.cpp with it, whatever the rest is compiled with (sluice.sys the most of the rest for size: kernel_port/nt/build_driver.cmake).
# The gates same_code.* compare what was linked.
set(SLUICE_CODE_OPTIONS -O2 -ffreestanding -fno-exceptions -fno-stack-protector -fasynchronous-unwind-tables)
