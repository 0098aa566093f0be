# add_nt_driver(NAME MACHINE <machine> SOURCES <file> ...): target NAME_sys (x86_64) or NAME_sys_<machine> builds
# <binary dir>/<machine>/NAME.sys for an NT kernel, from a Linux host. Machines: the files toolchain-*.cmake.
#
# Driver sources know nothing of this: they are compiled as they stand. The file is bit-reproducible: no time stamp, no
# path of the build machine, no debug information. Exports for gates: target properties NT_IMAGE, NT_OBJECTS, NT_COMPILER, NT_OBJDUMP.

set(nt_directory ${CMAKE_CURRENT_LIST_DIR})
get_filename_component(nt_project_root ${CMAKE_CURRENT_LIST_DIR}/../.. ABSOLUTE)
find_package(Python3 REQUIRED COMPONENTS Interpreter)

include(${nt_project_root}/pipeline/code_options.cmake)  # the same code as a client's

set(nt_compile_options
  -std=c++20 ${SLUICE_CODE_OPTIONS} -g0
  -fno-rtti
  -fno-threadsafe-statics -fno-use-cxa-atexit  # a static that needs code at start would never be constructed
  -mno-stack-arg-probe  # and no stack protector: their support routines live in a C run-time library; frames are bounded instead
  -fno-ident -ffile-prefix-map=${nt_project_root}=.
  -Wall -Wextra -Werror -Wshadow -Wdate-time -Wno-missing-field-initializers
  -Wframe-larger-than=1024 -fstack-usage       # a kernel stack is 12 to 24 KB, shared with everyone below us
  -D_WIN32_WINNT=0x0A00 -DNTDDI_VERSION=0x0A000000)

# Of the library's sources those in SLUICE_FAST_SOURCES, and every source that is none of the library's, are compiled for speed.
set(nt_small_options -Oz)

set(nt_link_options
  -nostdlib -nostartfiles -s
  -Wl,--section-alignment,0x1000 -Wl,--file-alignment,0x200
  -Wl,--dynamicbase -Wl,--nxcompat
  -Wl,--forceinteg                             # PsSetCreateProcessNotifyRoutineEx refuses images without it
  -Wl,--disable-auto-import -Wl,--disable-runtime-pseudo-reloc -Wl,--exclude-all-symbols
  -Wl,--no-insert-timestamp -Wl,--fatal-warnings)

function(add_nt_driver name)
  cmake_parse_arguments(PARSE_ARGV 1 driver "" "MACHINE" "SOURCES")
  include(${nt_directory}/toolchain-${driver_MACHINE}.cmake)
  if(NOT nt_compiler)
    message(STATUS "${name}.sys for ${driver_MACHINE} is not built: no compiler (Debian: ${nt_debian_package})")
    return()
  endif()

  set(output ${CMAKE_CURRENT_BINARY_DIR}/${driver_MACHINE})
  set(fltmgr ${output}/libfltmgr.a)
  get_property(known_libraries GLOBAL PROPERTY NT_KNOWN_LIBRARIES)
  if(NOT fltmgr IN_LIST known_libraries)
    set_property(GLOBAL APPEND PROPERTY NT_KNOWN_LIBRARIES ${fltmgr})
    file(MAKE_DIRECTORY ${output})
    add_custom_command(
      OUTPUT ${fltmgr}
      COMMAND ${nt_dlltool} --deterministic-libraries --temp-prefix fltmgr -d ${nt_directory}/imports/${nt_fltmgr_definition}
              ${nt_dlltool_options} -l libfltmgr.a
      WORKING_DIRECTORY ${output}
      DEPENDS ${nt_directory}/imports/${nt_fltmgr_definition}
      COMMENT "NT ${driver_MACHINE}: import library of the filter manager"
      VERBATIM)
  endif()
  # The fast ones first: of an inline function that several objects hold the linker takes the first copy.
  set(fast)
  foreach(source IN LISTS SLUICE_FAST_SOURCES)
    if(source IN_LIST driver_SOURCES)
      list(APPEND fast ${source})
      list(REMOVE_ITEM driver_SOURCES ${source})
    endif()
  endforeach()
  set(objects)
  foreach(source IN LISTS fast driver_SOURCES)
    get_filename_component(path ${source} ABSOLUTE BASE_DIR ${nt_project_root})
    file(RELATIVE_PATH relative ${nt_project_root} ${path})
    if(relative MATCHES "^\\.\\./")  # of a driver that lives elsewhere
      file(RELATIVE_PATH relative ${CMAKE_CURRENT_SOURCE_DIR} ${path})
      string(PREPEND relative ${name}/)
    endif()
    set(object ${output}/${relative}.o)
    list(APPEND objects ${object})
    get_property(known_objects GLOBAL PROPERTY NT_KNOWN_OBJECTS)
    if(object IN_LIST known_objects)
      continue()  # drivers share the objects of the sources they share
    endif()
    set_property(GLOBAL APPEND PROPERTY NT_KNOWN_OBJECTS ${object})
    set(size_options)
    if(source IN_LIST SLUICE_DRIVER_SOURCES AND NOT source IN_LIST SLUICE_FAST_SOURCES)
      set(size_options ${nt_small_options})
    endif()
    get_filename_component(object_directory ${object} DIRECTORY)
    file(MAKE_DIRECTORY ${object_directory})
    add_custom_command(
      OUTPUT ${object}
      COMMAND ${nt_compiler} ${nt_compile_options} ${size_options} ${nt_machine_compile_options} -frandom-seed=${relative}
              -I${nt_project_root} -isystem ${nt_ddk_include} -MD -MF ${object}.d -c ${path} -o ${object}
      DEPENDS ${path}
      DEPFILE ${object}.d
      COMMENT "NT ${driver_MACHINE}: compiling ${relative}"
      VERBATIM)
  endforeach()

  set(image ${output}/${name}.sys)
  # The linker sorts the imports by the names of their archives, as they are given: by a path of this build's the image would depend on
  # where it was built.
  add_custom_command(
    OUTPUT ${image}
    COMMAND ${nt_compiler} ${nt_link_options} ${nt_machine_link_options} -Wl,-Map,${output}/${name}.map ${objects}
            libfltmgr.a -lntoskrnl -lhal ${nt_machine_libraries} -o ${image}.linked
    COMMAND ${Python3_EXECUTABLE} ${nt_directory}/finish_image.py ${image}.linked ${image}
    WORKING_DIRECTORY ${output}
    DEPENDS ${objects} ${fltmgr} ${nt_directory}/finish_image.py
    COMMENT "NT ${driver_MACHINE}: linking ${name}.sys"
    VERBATIM)
  set(target ${name}_sys_${driver_MACHINE})
  if(driver_MACHINE STREQUAL "x86_64")
    set(target ${name}_sys)
  endif()
  add_custom_target(${target} ALL DEPENDS ${image})
  set_target_properties(${target} PROPERTIES NT_IMAGE ${image} NT_OBJECTS "${objects}" NT_OBJDUMP ${nt_objdump}
                        NT_COMPILER ${nt_compiler} NT_COMPILE_OPTIONS "${nt_compile_options};${nt_machine_compile_options}")
endfunction()
