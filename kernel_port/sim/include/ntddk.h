// Drivers that include <ntddk.h> get the same simulated kernel as those that include <ntifs.h>.
#pragma once
#include <ntifs.h>
