# What a user may choose, and the language settings that nobody chooses.

include(GNUInstallDirs)

option(SHEAF_CLI "Build the sheaf command" ON)
option(SHEAF_SIM "Build the simulated provider into the command (needs libmicrohttpd)" ON)
option(SHEAF_SERVE "Build the endpoint of `sheaf serve`, libsheaf-serve (needs libmicrohttpd)" ON)
option(SHEAF_SHARED "Build the shared libraries beside the static ones" ON)
option(SHEAF_TESTS "Build the tests" ON)
option(SHEAF_BENCH "Build the benchmarks in tests/bench" ON)
option(SHEAF_FUZZ "Build tests/fuzz with libFuzzer instead of the replay driver (clang only)" OFF)
option(SHEAF_WERROR "Treat warnings as errors" OFF)
option(SHEAF_COVERAGE "Compile for line coverage with gcov" OFF)
set(SHEAF_SANITIZE "" CACHE STRING "Sanitizers, for example address,undefined or thread")

if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Build type" FORCE)
endif()

set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/bin")
set(CMAKE_LIBRARY_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/lib")
set(CMAKE_ARCHIVE_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/lib")

# SHEAF_ASSERT does not look at NDEBUG, so -O2 alone says all there is to say about a release.
set(CMAKE_C_FLAGS_RELEASE "-O2" CACHE STRING "Flags of the Release build" FORCE)
