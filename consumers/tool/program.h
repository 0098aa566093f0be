// How the tool ends.
#pragma once

#include <exception>
#include <functional>
#include <string>

namespace sluice::tool {

// Runs the program and returns its exit code. What it throws is one line on stderr, and exit_wrong_use; `explain` adds what an error
// means. What was printed has reached stdout then, or that is the error; a reader of stdout that went away is none.
//
// Where memory, or a thread, cannot be had in a place from which nothing can be thrown (another thread, the simulated kernel), the process
// ends at once, with one line and exit_wrong_use: as if it had been killed, so what is on disk is as for that.
int run_program(const std::function<int()>& run, const std::function<std::string(const std::exception&)>& explain = {});

}  // namespace sluice::tool
