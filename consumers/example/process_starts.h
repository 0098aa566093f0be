#pragma once

#include "consumers/event_source.h"

// Prints the process starts of the stream until `stop`. One thread reads a source.
void print_process_starts(sluice::event_source& source, const bool& stop);
