add_executable(driver_test
  driver_clock_test.cpp
  driver_code_sections_test.cpp
  driver_device_test.cpp
  driver_events_test.cpp
  driver_failures_test.cpp
  driver_hold_test.cpp
  driver_late_test.cpp
  driver_leaving_reader_test.cpp
  driver_overwrite_test.cpp
  driver_filter_limit_test.cpp
  driver_filter_path_test.cpp
  driver_filter_process_test.cpp
  driver_filter_swap_test.cpp
  driver_filter_test.cpp
  driver_load_test.cpp
  driver_mapping_test.cpp
  driver_mapping_wake_test.cpp
  driver_port_account_test.cpp
  driver_port_epoch_test.cpp
  driver_port_fault_test.cpp
  driver_port_filter_test.cpp
  driver_port_stream_test.cpp
  driver_port_test.cpp
  driver_processor_test.cpp
  driver_reconnect_test.cpp
  driver_snapshot_test.cpp
  driver_registry_load_test.cpp
  driver_registry_memory_test.cpp
  driver_registry_test.cpp
  driver_stream_test.cpp
  request_queue_test.cpp
  rundown_test.cpp)
target_link_libraries(driver_test PRIVATE sluice_sensor sluice_client sluice_simulated_system sluice_snapshot sluice_image GTest::gtest_main Threads::Threads)
compile_tests_together(driver_test ALONE driver_clock_test.cpp driver_filter_limit_test.cpp driver_filter_path_test.cpp
                       driver_port_account_test.cpp)
gtest_discover_tests(driver_test DISCOVERY_TIMEOUT 60 PROPERTIES TIMEOUT 300)

add_executable(driver_example_test driver_example_test.cpp)
target_link_libraries(driver_example_test PRIVATE sluice_heartbeat_driver GTest::gtest_main Threads::Threads)
gtest_discover_tests(driver_example_test DISCOVERY_TIMEOUT 60 PROPERTIES TIMEOUT 300)
