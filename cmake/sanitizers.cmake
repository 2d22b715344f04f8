# Sanitizers and coverage touch every object and every link, so they are set for the whole tree.

if(SHEAF_SANITIZE)
  # No recovery: the first report ends the test, so that none is overlooked in a long log.
  add_compile_options(-fsanitize=${SHEAF_SANITIZE} -fno-sanitize-recover=all
                      -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${SHEAF_SANITIZE})
endif()

if(SHEAF_FUZZ)
  if(NOT CMAKE_C_COMPILER_ID MATCHES "Clang")
    message(FATAL_ERROR "SHEAF_FUZZ needs clang: libFuzzer is part of it")
  endif()
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()

if(SHEAF_COVERAGE)
  add_compile_options(--coverage -O0 -fprofile-update=atomic)
  add_link_options(--coverage)
endif()
