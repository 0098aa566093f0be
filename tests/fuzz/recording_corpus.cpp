// Writes recording_checked.bin and recording_signed.bin: a whole recording of several blocks, with own types, anchors, an index and
// accounts. They differ in the first byte, which tests/fuzz/recording_fuzz.cpp takes.
#include <fstream>

#include "tests/consumers/recording_support.h"

using namespace sluice;
using namespace sluice::test;

int main(int count, char** arguments) {
  if (count != 2) return 1;
  memory_file file;
  recording::about_recording what = about();
  const bytes declared = declaration(40, "request", {field("id", 0, 4, field_kind::unsigned_integer), field("who", 8, 8, field_kind::utf16_string)});
  what.types = declared;
  what.types.resize((declared.size() + 7) / 8 * 8);
  {
    recording::recording_writer writer(file, what, 700);
    batch_builder batches;
    for (uint32_t i = 0; i < 8; ++i) {
      const uint64_t time = 1000 + 100 * i;
      batches.add({event_type_process_create, process_create(100 + i, u"\\Device\\HarddiskVolume1\\a.exe", u"a.exe -x"), time});
      batches.add({event_type_thread_create, thread_create(100 + i, 200 + i), time + 1, 1});
      batches.add({event_type_image_load, image_load(100 + i, u"x.dll"), time + 2});
      if (i == 2) batches.add({record_type_loss, loss({{event_type_process_create, 2}}), time + 3, 1});
      if (i == 4) batches.add({record_type_type_declaration, declared, time + 3});
      if (i == 5) {
        bytes anchor;
        append(anchor, anchor_payload{time, batch_builder::frequency, 134'000'000'000'000'000 + time});
        batches.add({record_type_anchor, anchor, time + 3, 0, 0, 1, batch_flag_stream, 0});
      }
      if (!writer.add(batches.finish())) return 1;
    }
    driver_statistics statistics{};
    statistics.header.version = protocol::version;
    statistics.rows.push_back({0, event_type_process_create, 0, {8, 8, 0, 0, {}, 0}, {}});
    statistics.header.row_count = 1;
    raised_callbacks raised;
    raised.by_type[event_type_process_create] = 8;
    writer.end(&statistics, &raised);
  }
  if (read_all(file.content).times.size() < 26) return 1;
  for (const char signs : {0, 1}) {
    std::ofstream to(std::string(arguments[1]) + (signs != 0 ? "/recording_signed.bin" : "/recording_checked.bin"), std::ios::binary);
    to.put(signs);
    to.write(reinterpret_cast<const char*>(file.content.data()), static_cast<std::streamsize>(file.content.size()));
    if (!to) return 1;
  }
  return 0;
}
