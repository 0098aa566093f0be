# The parts of filters, each alone.
add_executable(filter_test
  filter_limits_test.cpp
  filter_message_test.cpp
  filter_paths_test.cpp
  filter_processes_test.cpp)
target_link_libraries(filter_test PRIVATE sluice_sensor GTest::gtest_main Threads::Threads)
gtest_discover_tests(filter_test DISCOVERY_TIMEOUT 60 PROPERTIES TIMEOUT 300)

# The driver's form of a snapshot beside liburcu's; the latter is used here alone (docs/decisions/0012).
find_library(SLUICE_URCU_MEMB urcu-memb REQUIRED)
add_executable(snapshot_test snapshot_test.cpp)
target_link_libraries(snapshot_test PRIVATE sluice_sensor ${SLUICE_URCU_MEMB} GTest::gtest_main Threads::Threads)
gtest_discover_tests(snapshot_test DISCOVERY_TIMEOUT 60 PROPERTIES TIMEOUT 300)
