# What makes three whole builds in a row bearable: small sources compiled together, and headers that many include compiled once.
# Both hide a missing #include, so neither is done in a debug build, where every file is compiled as it stands, and
# tests/gates/includes_gate.py reads the sources for it. The driver's own sources are never touched.
set(SLUICE_SAVE_COMPILE_TIME ON)
if(CMAKE_BUILD_TYPE STREQUAL "Debug")
  set(SLUICE_SAVE_COMPILE_TIME OFF)
endif()

# compile_together(<target> ...): eight sources at a time. What files hold for themselves alone needs names that differ.
function(compile_together)
  if(SLUICE_SAVE_COMPILE_TIME)
    set_target_properties(${ARGV} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 8)
  endif()
endfunction()

# compile_tests_together(<target> [ALONE <source> ...]): the same for tests, which are larger. ALONE: those with names for themselves
# that are, or hide, those of another one.
function(compile_tests_together target)
  cmake_parse_arguments(PARSE_ARGV 1 tests "" "" "ALONE")
  if(SLUICE_SAVE_COMPILE_TIME)
    set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 4)
    target_compile_options(${target} PRIVATE -Wno-subobject-linkage)
    set_source_files_properties(${tests_ALONE} PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
  endif()
endfunction()

# add_headers_once(<name> LIBRARIES <library> ... HEADERS <header> ...): the headers, precompiled as those who link the libraries
# see them.
function(add_headers_once name)
  cmake_parse_arguments(PARSE_ARGV 1 once "" "" "LIBRARIES;HEADERS")
  file(CONFIGURE OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/${name}.cpp CONTENT "")
  add_library(${name} OBJECT ${CMAKE_CURRENT_BINARY_DIR}/${name}.cpp)
  target_link_libraries(${name} PRIVATE ${once_LIBRARIES})
  target_precompile_headers(${name} PRIVATE ${once_HEADERS})
endfunction()

# use_headers_once(<name> <library> <directory> ...): every program of these directories and of those below that links the library
# itself takes the headers of <name>.
function(use_headers_once name library)
  foreach(directory IN LISTS ARGN)
    get_property(targets DIRECTORY ${directory} PROPERTY BUILDSYSTEM_TARGETS)
    foreach(target IN LISTS targets)
      get_target_property(type ${target} TYPE)
      get_target_property(libraries ${target} LINK_LIBRARIES)
      if(type STREQUAL "EXECUTABLE" AND libraries MATCHES "${library}")
        target_precompile_headers(${target} REUSE_FROM ${name})
      endif()
    endforeach()
    get_property(below DIRECTORY ${directory} PROPERTY SUBDIRECTORIES)
    if(below)
      use_headers_once(${name} ${library} ${below})
    endif()
  endforeach()
endfunction()
