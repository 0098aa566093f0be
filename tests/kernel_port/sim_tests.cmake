# Plain C, without our warnings: source as it comes from elsewhere.
add_library(sim_c_driver STATIC sim_c_driver.c)
target_link_libraries(sim_c_driver PRIVATE sluice_sim)

add_executable(sim_test
  sim_main.cpp
  sim_callback_object_test.cpp
  sim_device_test.cpp
  sim_dpc_test.cpp
  sim_driver_test.cpp
  sim_filter_manager_test.cpp
  sim_filter_message_test.cpp
  sim_filter_port_death_test.cpp
  sim_filter_port_test.cpp
  sim_interprocessor_test.cpp
  sim_irql_test.cpp
  sim_mapping_test.cpp
  sim_memory_file_test.cpp
  sim_message_test.cpp
  sim_notify_test.cpp
  sim_object_test.cpp
  sim_paged_memory_test.cpp
  sim_pool_test.cpp
  sim_process_test.cpp
  sim_processor_change_test.cpp
  sim_processor_test.cpp
  sim_registry_death_test.cpp
  sim_registry_test.cpp
  sim_request_test.cpp
  sim_rundown_test.cpp
  sim_scheduler_test.cpp
  sim_spin_lock_test.cpp
  sim_suspension_test.cpp
  sim_system_routine_test.cpp
  sim_thread_test.cpp
  sim_timer_test.cpp
  sim_wait_test.cpp)
target_link_libraries(sim_test PRIVATE sluice_options sim_c_driver sluice_sim GTest::gtest Threads::Threads)
compile_tests_together(sim_test ALONE sim_callback_object_test.cpp)
gtest_discover_tests(sim_test DISCOVERY_TIMEOUT 60 PROPERTIES TIMEOUT 300)
