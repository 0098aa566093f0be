# What decides, besides sources and compiler, which machine code ring and merge become. sluice.sys is compiled with it as a whole;
# a client or another user build compiles native_merge.cpp and kernel_rings.cpp with it, whatever the rest of it is compiled with.
# The gates same_code.* compare what was linked.
set(SLUICE_CODE_OPTIONS -O2 -ffreestanding -fno-exceptions -fno-stack-protector -fasynchronous-unwind-tables)
