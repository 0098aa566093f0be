# What an outside project links: the client library with its headers, for find_package(sluice) and pkg-config. Headers keep the
# paths that they have here, below include/sluice. And the tool.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(package_directory ${CMAKE_INSTALL_LIBDIR}/cmake/sluice)
set(header_directory ${CMAKE_INSTALL_INCLUDEDIR}/sluice)

# These know neither a simulated kernel nor a driver's code.
set(SLUICE_CLIENT_LIBRARIES sluice_client sluice_sources sluice_consumers)
if(TARGET sluice_socket_system)
  list(APPEND SLUICE_CLIENT_LIBRARIES sluice_socket_system)
endif()
foreach(library IN LISTS SLUICE_CLIENT_LIBRARIES)
  string(REPLACE sluice_ "" name ${library})
  set_target_properties(${library} PROPERTIES EXPORT_NAME ${name})
endforeach()
set_target_properties(sluice_options PROPERTIES EXPORT_NAME options)
install(TARGETS ${SLUICE_CLIENT_LIBRARIES} sluice_options EXPORT sluice ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT client)
install(EXPORT sluice NAMESPACE sluice:: FILE sluice-targets.cmake DESTINATION ${package_directory} COMPONENT client)

file(GLOB headers RELATIVE ${PROJECT_SOURCE_DIR} CONFIGURE_DEPENDS
     ${PROJECT_SOURCE_DIR}/consumers/*.h ${PROJECT_SOURCE_DIR}/consumers/client/*.h ${PROJECT_SOURCE_DIR}/consumers/os/*.h
     ${PROJECT_SOURCE_DIR}/pipeline/*.h)
list(APPEND headers consumers/nt/status.h consumers/nt/system.h kernel_port/driver/protocol.h producers/epoch_news.h producers/events.h
     producers/filter_message.h)
if(TARGET sluice_socket_system)
  list(APPEND headers consumers/nt/socket_system.h)
endif()
foreach(header IN LISTS headers)
  cmake_path(GET header PARENT_PATH directory)
  install(FILES ${PROJECT_SOURCE_DIR}/${header} DESTINATION ${header_directory}/${directory} COMPONENT client)
endforeach()

configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/sluice-config.cmake.in ${PROJECT_BINARY_DIR}/sluice-config.cmake
                              INSTALL_DESTINATION ${package_directory})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/sluice-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/sluice-config.cmake ${PROJECT_BINARY_DIR}/sluice-config-version.cmake
        DESTINATION ${package_directory} COMPONENT client)

# Static libraries, each before what it needs.
set(SLUICE_PC_LIBRARIES -lsluice_client)
if(TARGET sluice_socket_system)
  string(APPEND SLUICE_PC_LIBRARIES " -lsluice_socket_system")
endif()
string(APPEND SLUICE_PC_LIBRARIES " -lsluice_sources -lsluice_consumers")
file(RELATIVE_PATH SLUICE_PC_TO_PREFIX /prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig /prefix)
configure_file(${PROJECT_SOURCE_DIR}/cmake/sluice.pc.in ${PROJECT_BINARY_DIR}/sluice.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/sluice.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT client)

if(TARGET sluice)
  install(TARGETS sluice RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT tool)
endif()
