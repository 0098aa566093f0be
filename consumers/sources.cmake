# The sources that are the same on Linux (CMakeLists.txt) and on Windows (windows/CMakeLists.txt), by library. What depends on the system
# is not among them: each list of targets adds its own.
set(SLUICE_CONSUMERS_SOURCES
  accounting.cpp
  batch_reader.cpp
  decoder.cpp
  event_reader.cpp
  event_stream.cpp
  fields.cpp
  identity_tracker.cpp
  jsonl_sink.cpp
  nearest.cpp
  output_writer.cpp
  registry_decoder.cpp
  stream_clock.cpp
  summary.cpp
  text_sink.cpp
  type_names.cpp
  type_registry.cpp
  utf16.cpp)
set(SLUICE_FILTER_SOURCES
  filter/check.cpp
  filter/describe.cpp
  filter/diagnostic.cpp
  filter/file.cpp
  filter/load.cpp
  filter/message.cpp
  filter/parse.cpp
  filter/path_check.cpp
  filter/table_reader.cpp
  filter/text.cpp
  filter/values.cpp)
set(SLUICE_TRANSPORT_SOURCES
  ../pipeline/native_merge.cpp
  device_source.cpp
  driver_source.cpp
  mapping_source.cpp
  port_source.cpp)
set(SLUICE_CLIENT_SOURCES client/c_client.cpp client/client.cpp client/connection.cpp client/open.cpp client/read_ahead.cpp)
# The tool, as far as it is a client of a driver elsewhere.
set(SLUICE_CONNECTED_TOOL_SOURCES
  tool/connected_requests.cpp
  tool/connected_watch.cpp
  tool/filter_option.cpp
  tool/option_values.cpp
  tool/select_types.cpp
  tool/simulate_report.cpp
  tool/stop_signals.cpp)
