// What drivers with a communication port include.
#pragma once

#include "ntifs.h"

#include "kernel_port/nt/filter_manager.h"
