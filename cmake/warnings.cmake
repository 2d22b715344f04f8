# The strictest common set of gcc and clang. The sources are silent under it; -Werror is a choice,
# so that a newer compiler's new warning does not break a user's build.

set(SHEAF_WARNINGS
    -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wstrict-prototypes
    -Wmissing-prototypes -Wcast-qual -Wwrite-strings -Wundef -Wvla -Wformat=2 -Wdouble-promotion
    -Wswitch-enum)
if(NOT CMAKE_C_COMPILER_ID MATCHES "GNU|Clang")
  set(SHEAF_WARNINGS "")
endif()
if(SHEAF_SANITIZE AND CMAKE_C_COMPILER_ID STREQUAL "GNU")
  # gcc's manual, under -fsanitize: instrumented code hides from these what they need to know, and they
  # then see bounds that are not there. The plain build has them.
  list(APPEND SHEAF_WARNINGS -Wno-stringop-overread -Wno-stringop-overflow -Wno-maybe-uninitialized)
endif()
if(SHEAF_WERROR)
  list(APPEND SHEAF_WARNINGS -Werror)
endif()

function(sheaf_warnings target)
  target_compile_options(${target} PRIVATE ${SHEAF_WARNINGS})
endfunction()
