# cJSON from its release, for systems without a package: compiled into our own libraries, its
# symbols hidden in the shared ones. Pinned by hash.

include(FetchContent)
FetchContent_Declare(
  cjson
  URL https://github.com/DaveGamble/cJSON/archive/refs/tags/v1.7.18.tar.gz
  URL_HASH SHA256=3aa806844a03442c00769b83e99970be70fbef03735ff898f4811dd03b9f5ee5)
FetchContent_GetProperties(cjson)
if(NOT cjson_POPULATED)
  message(STATUS "cJSON: no system package, downloading 1.7.18")
  FetchContent_Populate(cjson) # Its own CMakeLists.txt is not wanted: two files are all of it.
endif()

configure_file("${cjson_SOURCE_DIR}/cJSON.h" "${CMAKE_BINARY_DIR}/cjson/cjson/cJSON.h" COPYONLY)
add_library(sheaf_cjson_objects OBJECT "${cjson_SOURCE_DIR}/cJSON.c")
target_compile_definitions(sheaf_cjson_objects PRIVATE CJSON_HIDE_SYMBOLS)

set(SHEAF_CJSON_BUNDLED ON)
add_library(sheaf_dep_cjson INTERFACE IMPORTED GLOBAL)
target_include_directories(sheaf_dep_cjson INTERFACE "${CMAKE_BINARY_DIR}/cjson")
