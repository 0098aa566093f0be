add_executable(live_test
  live_correlator_test.cpp live_names_test.cpp live_parser_test.cpp live_perf_test.cpp live_process_test.cpp)
target_link_libraries(live_test PRIVATE sluice_live_linux GTest::gtest_main fmt::fmt)
gtest_discover_tests(live_test DISCOVERY_TIMEOUT 60 PROPERTIES TIMEOUT 300)

if(TARGET sluice_live)
  add_executable(live_machine_test live_machine_test.cpp)
  target_link_libraries(live_machine_test PRIVATE sluice_live GTest::gtest_main)
  gtest_discover_tests(live_machine_test DISCOVERY_TIMEOUT 60 PROPERTIES TIMEOUT 300)
endif()
