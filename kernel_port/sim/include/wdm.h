// Drivers that include <wdm.h> get the same simulated kernel as those that include <ntifs.h>.
#pragma once
#include <ntifs.h>
