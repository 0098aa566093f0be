# precompile_headers(DIRECTORIES <directory> ... HEADERS <header> ...): gives every C++ target of these directories, and of
# those below, that has enough files to gain from it a precompiled header.
#
# What is precompiled hides a missing #include. So the standard library is precompiled only where a sanitizer makes its
# headers dear; the release build sees every file as it stands.
function(precompile_headers)
  cmake_parse_arguments(PARSE_ARGV 0 precompile "" "" "DIRECTORIES;HEADERS")
  list(TRANSFORM precompile_HEADERS REPLACE "(.+)" "$<$<COMPILE_LANGUAGE:CXX>:<\\1$<ANGLE-R>>" OUTPUT_VARIABLE headers)
  foreach(directory IN LISTS precompile_DIRECTORIES)
    get_property(targets DIRECTORY ${directory} PROPERTY BUILDSYSTEM_TARGETS)
    foreach(target IN LISTS targets)
      get_target_property(type ${target} TYPE)
      get_target_property(sources ${target} SOURCES)
      list(LENGTH sources count)
      if(type MATCHES "EXECUTABLE|STATIC_LIBRARY" AND count GREATER 2)
        target_precompile_headers(${target} PRIVATE ${headers})
      endif()
    endforeach()
    get_property(below DIRECTORY ${directory} PROPERTY SUBDIRECTORIES)
    if(below)
      precompile_headers(DIRECTORIES ${below} HEADERS ${precompile_HEADERS})
    endif()
  endforeach()
endfunction()
