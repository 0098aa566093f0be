#include "kernel_port/sources/live/live_source.h"

#include "kernel_port/sources/live/pump.h"

namespace sluice::live {

live_source::live_source(const live_options& options, sink_factory make_sink)
    : pump_(std::make_unique<pump>(options, std::move(make_sink))) {}

live_source::~live_source() = default;

void live_source::start() { pump_->start(); }
void live_source::stop() { pump_->stop(); }
source_statistics live_source::statistics() const { return pump_->statistics(); }
std::optional<std::string> live_source::failure() const { return pump_->failure(); }

}  // namespace sluice::live
