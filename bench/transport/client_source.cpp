#include "bench/transport/client_source.h"

#include "consumers/batch_reader.h"
#include "consumers/device_source.h"
#include "consumers/mapping_source.h"
#include "consumers/nt/socket_system.h"
#include "consumers/port_source.h"

namespace sluice::bench {
namespace {

std::unique_ptr<event_source> connect(const std::string& what, const std::string& name) {
  if (what == "mapping") return std::make_unique<mapping_source>(connect_system(name));
  if (what == "port") return std::make_unique<port_source>(connect_system(name), port_source::wishes{});
  return std::make_unique<device_source>(connect_system(name));
}

}  // namespace

std::unique_ptr<event_source> open_source(const std::string& what, const std::string& name) {
  std::unique_ptr<event_source> source = connect(what, name);
  std::vector<uint8_t> buffer(client_buffer);
  // What lies there from before, and the driver's own records, until a flush brings nothing any more.
  for (bool news = true; news;) {
    source->flush();
    const read_result got = source->read(buffer, std::chrono::seconds(10));
    if (got.status != read_status::batch) throw source_error("a flush is not answered");
    batch_reader batch({buffer.data(), got.bytes});
    delivered_record record;
    news = batch.next(record) == batch_status::ok && !record.figures;
  }
  return source;
}

}  // namespace sluice::bench
