#include "consumers/tool/image_session.h"

#include <fmt/format.h>

#include <memory>

#include "consumers/tool/progress.h"
#include "consumers/type_registry.h"

namespace sluice::tool {

image::image_options image_options_of(const image_choices& choices) {
  image::image_options options;
  options.choice.unread_only = choices.unread_only;
  options.boot = choices.boot;
  options.watch = [shown = std::make_shared<progress>(2)](uint64_t done, uint64_t of) {
    if (done >= of) {
      shown->clear();
    } else if (shown->due()) {
      shown->show(fmt::format("looking for rings: {} of {} MiB", done >> 20, of >> 20));
    }
  };
  return options;
}

std::string describe(const image::image_report& report) {
  std::string text = fmt::format("{} of {} bytes; boot {} ({}): ",
                                 report.kind == image::image_kind::core ? "a core file" : "a memory image", report.file_bytes,
                                 report.boot, iso8601(report.boot));
  const uint64_t expected = uint64_t{report.cpu_count} * lanes_per_cpu;
  text += expected == 0 ? fmt::format("{} rings", report.rings.size())
                        : fmt::format("{} CPUs, {} of {} rings", report.cpu_count, report.rings.size(), expected);
  text += fmt::format(", {} own types", report.own_types);
  if (!report.other_boots.empty()) {
    text += "; rings of other boots, which --boot chooses:";
    for (const uint64_t boot : report.other_boots) text += fmt::format(" {} ({})", boot, iso8601(boot));
  }
  return text;
}

image_session::image_session(const watch_options& options) : source_(options.source.path, image_options_of(options.image)) {}

std::string image_session::title() { return fmt::format("{}, {}", source_.report().path, describe(source_.report())); }

std::vector<std::string> image_session::notes() {
  decoder names;  // open reservations of own types have names, too
  std::string error;
  names.types().learn_all(source_.types(), error);
  return image::describe(source_.report(), names);
}

}  // namespace sluice::tool
