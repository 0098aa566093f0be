if(SLUICE_TEST_ONE_THREAD)
  find_package(ZLIB REQUIRED)
  add_executable(replay_file_test replay_file_test.cpp)
  target_link_libraries(replay_file_test PRIVATE sluice_replay_file ZLIB::ZLIB GTest::gtest_main fmt::fmt)
  gtest_discover_tests(replay_file_test DISCOVERY_TIMEOUT 60 PROPERTIES TIMEOUT 300)
endif()

# The whole way, compared with the file by other code. Recordings of real machines stand beside the project, if at all.
if(TARGET sluice)
  set(check ${CMAKE_CURRENT_SOURCE_DIR}/replay_check.py $<TARGET_FILE:sluice>)
  set(own ${PROJECT_SOURCE_DIR}/tests/data)
  add_test(NAME replay_own COMMAND ${check} ${own}/causality.jsonl.gz)
  add_test(NAME replay_own_on_one_cpu COMMAND ${check} ${own}/causality.jsonl.gz --cpus 1)
  add_test(NAME replay_own_on_256_cpus COMMAND ${check} ${own}/causality.jsonl.gz --cpus 256 --ring-size 64KiB)
  add_test(NAME replay_own_with_small_rings COMMAND ${check} ${own}/causality.jsonl.gz --ring-size 16KiB)
  set(tests replay_own replay_own_on_one_cpu replay_own_on_256_cpus replay_own_with_small_rings)

  add_test(NAME replay_large COMMAND ${own}/make_recordings.py ${CMAKE_CURRENT_BINARY_DIR}/large.jsonl)
  set_tests_properties(replay_large PROPERTIES FIXTURES_SETUP large_recording)
  add_test(NAME replay_flood COMMAND ${check} ${CMAKE_CURRENT_BINARY_DIR}/large.jsonl --ring-size 4KiB --cpus 2 --flood)
  set_tests_properties(replay_flood PROPERTIES FIXTURES_REQUIRED large_recording)
  list(APPEND tests replay_flood)

  set(recordings lsass05_sharpdump_2023-09)
  if(SLUICE_TEST_ONE_THREAD)  # the threads are the same whatever is replayed; what differs is what is read from the file
    list(APPEND recordings dcom_iertutil_hijack_2020-10 lsass01_logonpasswords_2023-08 registry_rename_sample_2020-09 run_keys_2020-09
                           wevtutil_2022-07)
  endif()
  foreach(name IN LISTS recordings)
    add_test(NAME replay_${name} COMMAND ${check} ${PROJECT_SOURCE_DIR}/../shared/data/${name}.jsonl.gz)
    list(APPEND tests replay_${name})
  endforeach()
  add_test(NAME replay_flood_of_real_events
           COMMAND ${check} ${PROJECT_SOURCE_DIR}/../shared/data/lsass05_sharpdump_2023-09.jsonl.gz --ring-size 16KiB --flood)
  list(APPEND tests replay_flood_of_real_events)
  set_tests_properties(${tests} PROPERTIES TIMEOUT 300 SKIP_RETURN_CODE 77)
endif()
