# What is built from core/ and native/.
#
#   sheaf_core     libsheaf-core: the core alone          static, and shared if SHEAF_SHARED
#   sheaf          libsheaf: core + native                static, and shared if SHEAF_SHARED
#   sheaf_checked  the core with SHEAF_CHECKS, for tests  static, not installed
#   sheaf_sim      the simulated provider                 static, not installed
#   sheaf_serve    libsheaf-serve: the endpoint           static, needs libmicrohttpd
#   sheaf_cli      the command `sheaf`
#
# The files of a folder are found by name, so that a new one needs no line here.

# sheaf_sources(<variable> <folder>...): the .c files of the folders, or an empty unit if there are none
# yet, because CMake knows no library without sources.
function(sheaf_sources variable)
  set(patterns "")
  foreach(folder IN LISTS ARGN)
    list(APPEND patterns "${PROJECT_SOURCE_DIR}/${folder}/*.c")
  endforeach()
  file(GLOB sources CONFIGURE_DEPENDS ${patterns})
  if(NOT sources)
    file(WRITE "${PROJECT_BINARY_DIR}/${variable}.c" "typedef int ${variable};\n")
    set(sources "${PROJECT_BINARY_DIR}/${variable}.c")
  endif()
  set(${variable} ${sources} PARENT_SCOPE)
endfunction()

sheaf_sources(sheaf_core_sources core/src/*)
sheaf_sources(sheaf_native_sources native/curl native/client native/files
              native/store native/tokens)
sheaf_sources(sheaf_sim_sources native/sim)
file(GLOB sheaf_cli_sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/native/cli/*.c")

set(sheaf_core_include "${PROJECT_SOURCE_DIR}/core/include")
set(sheaf_native_include "${PROJECT_SOURCE_DIR}/native/include")
set(sheaf_core_private "${PROJECT_SOURCE_DIR}/core/src")

# Objects once, for the static and the shared library alike.
function(sheaf_objects name)
  add_library(${name} OBJECT ${ARGN})
  sheaf_warnings(${name})
endfunction()

sheaf_objects(sheaf_core_objects ${sheaf_core_sources})
target_include_directories(sheaf_core_objects PUBLIC ${sheaf_core_include}
                                              PRIVATE ${sheaf_core_private})
target_link_libraries(sheaf_core_objects PUBLIC sheaf_dep_cjson)

# Native code sees the core's public headers only.
sheaf_objects(sheaf_native_objects ${sheaf_native_sources})
target_include_directories(sheaf_native_objects PUBLIC ${sheaf_core_include}
                                                       ${sheaf_native_include})
target_link_libraries(sheaf_native_objects PUBLIC sheaf_dep_curl sheaf_dep_csv sheaf_dep_sqlite3
                                                  Threads::Threads)

# sheaf_library(<target> STATIC|SHARED <file name> <export name> <objects>...)
function(sheaf_library target kind file_name export_name)
  add_library(${target} ${kind})
  foreach(objects IN LISTS ARGN)
    target_sources(${target} PRIVATE $<TARGET_OBJECTS:${objects}>)
  endforeach()
  if(SHEAF_CJSON_BUNDLED)
    target_sources(${target} PRIVATE $<TARGET_OBJECTS:sheaf_cjson_objects>)
  else()
    target_link_libraries(${target} PRIVATE sheaf_dep_cjson)
  endif()
  set_target_properties(${target} PROPERTIES OUTPUT_NAME ${file_name} EXPORT_NAME ${export_name}
                                             LINKER_LANGUAGE C VERSION ${PROJECT_VERSION}
                                             SOVERSION ${PROJECT_VERSION_MAJOR})
  target_include_directories(
    ${target} PUBLIC $<BUILD_INTERFACE:${sheaf_core_include}>
                     $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  if("sheaf_native_objects" IN_LIST ARGN)
    target_include_directories(${target} PUBLIC $<BUILD_INTERFACE:${sheaf_native_include}>)
    target_link_libraries(${target} PRIVATE sheaf_dep_curl sheaf_dep_csv sheaf_dep_sqlite3
                                            Threads::Threads)
  endif()
  if(kind STREQUAL "SHARED" AND NOT SHEAF_SANITIZE AND NOT APPLE AND NOT WIN32)
    target_link_options(${target} PRIVATE -Wl,--no-undefined)
  endif()
endfunction()

sheaf_library(sheaf_core STATIC sheaf-core core_static sheaf_core_objects)
sheaf_library(sheaf STATIC sheaf sheaf_static sheaf_core_objects sheaf_native_objects)
set(sheaf_installed_targets sheaf_core sheaf)
if(SHEAF_SHARED)
  sheaf_library(sheaf_core_shared SHARED sheaf-core core sheaf_core_objects)
  sheaf_library(sheaf_shared SHARED sheaf sheaf sheaf_core_objects sheaf_native_objects)
  list(APPEND sheaf_installed_targets sheaf_core_shared sheaf_shared)
endif()

if(SHEAF_SIM)
  add_library(sheaf_sim STATIC ${sheaf_sim_sources})
  set_target_properties(sheaf_sim PROPERTIES LINKER_LANGUAGE C)
  sheaf_warnings(sheaf_sim)
  target_include_directories(sheaf_sim PUBLIC "${PROJECT_SOURCE_DIR}/native")
  target_link_libraries(sheaf_sim PUBLIC sheaf sheaf_dep_microhttpd sheaf_dep_zlib
                                         Threads::Threads m)
endif()

if(SHEAF_SERVE)
  sheaf_sources(sheaf_serve_sources native/serve)
  add_library(sheaf_serve STATIC ${sheaf_serve_sources})
  set_target_properties(sheaf_serve PROPERTIES OUTPUT_NAME sheaf-serve EXPORT_NAME serve
                                               LINKER_LANGUAGE C)
  sheaf_warnings(sheaf_serve)
  target_link_libraries(sheaf_serve PUBLIC sheaf PRIVATE sheaf_dep_microhttpd Threads::Threads)
  list(APPEND sheaf_installed_targets sheaf_serve)
endif()

if(SHEAF_CLI AND sheaf_cli_sources)
  add_executable(sheaf_cli ${sheaf_cli_sources})
  set_target_properties(sheaf_cli PROPERTIES OUTPUT_NAME sheaf)
  sheaf_warnings(sheaf_cli)
  target_link_libraries(sheaf_cli PRIVATE sheaf Threads::Threads m)
  if(SHEAF_SIM)
    target_compile_definitions(sheaf_cli PRIVATE SHEAF_SIM=1)
    target_link_libraries(sheaf_cli PRIVATE sheaf_sim)
  endif()
  if(SHEAF_SERVE)
    target_compile_definitions(sheaf_cli PRIVATE SHEAF_SERVE=1)
    target_link_libraries(sheaf_cli PRIVATE sheaf_serve)
  endif()
endif()

# The core as the tests want it: with the walks over its invariants switched on.
if(SHEAF_TESTS)
  add_library(sheaf_checked STATIC ${sheaf_core_sources})
  set_target_properties(sheaf_checked PROPERTIES LINKER_LANGUAGE C)
  sheaf_warnings(sheaf_checked)
  target_compile_definitions(sheaf_checked PUBLIC SHEAF_CHECKS=1)
  target_include_directories(sheaf_checked PUBLIC ${sheaf_core_include} ${sheaf_core_private})
  target_link_libraries(sheaf_checked PUBLIC sheaf_dep_cjson)
endif()
