# The driver, file by file: the same list is compiled for the simulated kernel and into sluice.sys.
# The library that a driver of one's own links: everything but DriverEntry.
set(SLUICE_SENSOR_SOURCES
    ${CMAKE_CURRENT_LIST_DIR}/../../pipeline/native_merge.cpp
    ${CMAKE_CURRENT_LIST_DIR}/../../producers/case_table.cpp
    ${CMAKE_CURRENT_LIST_DIR}/../../producers/channel.cpp
    ${CMAKE_CURRENT_LIST_DIR}/../../producers/compiled_filter.cpp
    ${CMAKE_CURRENT_LIST_DIR}/../../producers/event_filter.cpp
    ${CMAKE_CURRENT_LIST_DIR}/../../producers/filter_paths.cpp
    ${CMAKE_CURRENT_LIST_DIR}/../../producers/filter_validation.cpp
    ${CMAKE_CURRENT_LIST_DIR}/../../producers/image_producer.cpp
    ${CMAKE_CURRENT_LIST_DIR}/../../producers/kernel_functions.cpp
    ${CMAKE_CURRENT_LIST_DIR}/../../producers/kernel_rings.cpp
    ${CMAKE_CURRENT_LIST_DIR}/../../producers/own_types.cpp
    ${CMAKE_CURRENT_LIST_DIR}/../../producers/process_producer.cpp
    ${CMAKE_CURRENT_LIST_DIR}/../../producers/process_tree.cpp
    ${CMAKE_CURRENT_LIST_DIR}/../../producers/processors.cpp
    ${CMAKE_CURRENT_LIST_DIR}/../../producers/registry_capture.cpp
    ${CMAKE_CURRENT_LIST_DIR}/../../producers/registry_producer.cpp
    ${CMAKE_CURRENT_LIST_DIR}/../../producers/thread_producer.cpp
    ${CMAKE_CURRENT_LIST_DIR}/../../kernel_port/driver/client_filter.cpp
    ${CMAKE_CURRENT_LIST_DIR}/../../kernel_port/driver/client_stream.cpp
    ${CMAKE_CURRENT_LIST_DIR}/../../kernel_port/driver/device.cpp
    ${CMAKE_CURRENT_LIST_DIR}/../../kernel_port/driver/device_security.cpp
    ${CMAKE_CURRENT_LIST_DIR}/../../kernel_port/driver/distribution.cpp
    ${CMAKE_CURRENT_LIST_DIR}/../../kernel_port/driver/fan_out.cpp
    ${CMAKE_CURRENT_LIST_DIR}/../../kernel_port/driver/mapping.cpp
    ${CMAKE_CURRENT_LIST_DIR}/../../kernel_port/driver/options.cpp
    ${CMAKE_CURRENT_LIST_DIR}/../../kernel_port/driver/port.cpp
    ${CMAKE_CURRENT_LIST_DIR}/../../kernel_port/driver/port_callbacks.cpp
    ${CMAKE_CURRENT_LIST_DIR}/../../kernel_port/driver/port_client.cpp
    ${CMAKE_CURRENT_LIST_DIR}/../../kernel_port/driver/request_queue.cpp
    ${CMAKE_CURRENT_LIST_DIR}/../../kernel_port/driver/ring_copies.cpp
    ${CMAKE_CURRENT_LIST_DIR}/../../kernel_port/driver/ring_loan.cpp
    ${CMAKE_CURRENT_LIST_DIR}/../../kernel_port/driver/sensor.cpp
    ${CMAKE_CURRENT_LIST_DIR}/../../kernel_port/driver/statistics.cpp
    ${CMAKE_CURRENT_LIST_DIR}/../../kernel_port/driver/time_watch.cpp
    ${CMAKE_CURRENT_LIST_DIR}/../../kernel_port/driver/worker.cpp)

set(SLUICE_DRIVER_SOURCES ${SLUICE_SENSOR_SOURCES} ${CMAKE_CURRENT_LIST_DIR}/../../kernel_port/driver/driver_entry.cpp)

# What is compiled for speed; the rest of the driver is compiled for size (kernel_port/nt/build_driver.cmake).
set(SLUICE_FAST_SOURCES ${CMAKE_CURRENT_LIST_DIR}/../../pipeline/native_merge.cpp ${CMAKE_CURRENT_LIST_DIR}/../../producers/kernel_rings.cpp)
