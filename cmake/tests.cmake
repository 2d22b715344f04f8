# The tests, found by name like the sources: tests/README.md says what each folder is for.

set(sheaf_tests "${PROJECT_SOURCE_DIR}/tests")
find_program(SHEAF_CXX NAMES g++ clang++ c++ DOC "A C++ compiler, for the headers' test only")

# What every test is told, by macro and by environment.
set(sheaf_test_environment
    "SHEAF_SOURCE=${PROJECT_SOURCE_DIR}" "SHEAF_BUILD=${PROJECT_BINARY_DIR}"
    "CC=${CMAKE_C_COMPILER}" "CXX=${SHEAF_CXX}" "CMAKE=${CMAKE_COMMAND}"
    "UBSAN_OPTIONS=print_stacktrace=1"
    "TSAN_OPTIONS=halt_on_error=1")
if(TARGET sheaf_cli)
  list(APPEND sheaf_test_environment "SHEAF_BIN=$<TARGET_FILE:sheaf_cli>")
endif()

# sheaf_test(<name> <label> <seconds> <command>...)
function(sheaf_test name label seconds)
  add_test(NAME ${name} COMMAND ${ARGN})
  set_tests_properties(${name} PROPERTIES LABELS ${label} TIMEOUT ${seconds} SKIP_RETURN_CODE 77
                                          ENVIRONMENT "${sheaf_test_environment}")
endfunction()

# sheaf_program(<target> <source> <libraries>...): one source, one binary, in bin/tests.
function(sheaf_program target source)
  add_executable(${target} ${source})
  sheaf_warnings(${target})
  target_include_directories(${target} PRIVATE "${sheaf_tests}/support" "${sheaf_tests}"
                                               "${sheaf_native_include}")
  target_compile_definitions(${target} PRIVATE "SHEAF_SOURCE_DIR=\"${PROJECT_SOURCE_DIR}\"")
  target_link_libraries(${target} PRIVATE ${ARGN} m)
  set_target_properties(${target} PROPERTIES RUNTIME_OUTPUT_DIRECTORY
                                             "${CMAKE_BINARY_DIR}/bin/tests")
endfunction()

# ---- unit and conformance: one binary a file, on the checked core ----
foreach(folder unit conformance)
  file(GLOB sources CONFIGURE_DEPENDS "${sheaf_tests}/${folder}/test_*.c")
  foreach(source IN LISTS sources)
    get_filename_component(name ${source} NAME_WE)
    sheaf_program(${name} ${source} sheaf_checked)
    sheaf_test(${name} ${folder} 120 ${name})
  endforeach()
endforeach()

# The WebAssembly shell's calls, as C.
file(GLOB sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/wasm/*.c")
target_sources(test_wasm PRIVATE ${sources})
target_sources(test_wasm_heap PRIVATE "${PROJECT_SOURCE_DIR}/wasm/heap.c")
target_sources(test_wasm_jobs PRIVATE ${sources} "${PROJECT_SOURCE_DIR}/wasm/jobs/jobs.c"
                                      "${PROJECT_SOURCE_DIR}/wasm/jobs/spool.c")
target_compile_definitions(test_wasm_jobs PRIVATE SHEAF_MODULE_JOBS=1)

# ---- sim: a file with a main is a program, the others are parts that all of them share ----
file(GLOB sources CONFIGURE_DEPENDS "${sheaf_tests}/sim/*.c")
set(programs "")
set(parts "")
foreach(source IN LISTS sources)
  file(STRINGS ${source} main_line REGEX "^int main\\(")
  if(main_line)
    list(APPEND programs ${source})
  else()
    list(APPEND parts ${source})
  endif()
endforeach()
foreach(source IN LISTS programs)
  get_filename_component(name ${source} NAME_WE)
  sheaf_program(${name} ${source} sheaf_checked)
  target_sources(${name} PRIVATE ${parts})
  if(name MATCHES "^(test|sim)_")
    sheaf_test(${name} sim 300 ${name})
    if(name STREQUAL "sim_live")
      sheaf_test(sim_traces sim 60 ${name} --traces "${sheaf_tests}/sim/traces.txt")
    elseif(name STREQUAL "sim_queue")
      sheaf_test(sim_queue_traces sim 60 ${name} --traces "${sheaf_tests}/sim/queue_traces.txt")
    endif()
  elseif(name STREQUAL "scenarios") # A change of scheduling shows in its table.
    sheaf_test(${name} sim 120 ${name} check "${sheaf_tests}/sim/scenarios.csv")
  endif()
endforeach()

# ---- integration: on libsheaf as it ships, with cmocka and the parts in support/ ----
file(GLOB support CONFIGURE_DEPENDS "${sheaf_tests}/support/*.c")
if(support)
  # The front of the simulator stands alone, so that builds without the simulator test with it, too.
  add_library(sheaf_test_support STATIC ${support} "${PROJECT_SOURCE_DIR}/native/sim/sim_front.c")
  sheaf_warnings(sheaf_test_support)
  target_include_directories(sheaf_test_support PUBLIC "${sheaf_tests}/support")
  target_compile_definitions(sheaf_test_support
                             PRIVATE "SHEAF_SOURCE_DIR=\"${PROJECT_SOURCE_DIR}\"")
  target_link_libraries(sheaf_test_support PUBLIC sheaf sheaf_dep_cmocka Threads::Threads)
endif()
file(GLOB sources CONFIGURE_DEPENDS "${sheaf_tests}/integration/test_*.c")
foreach(source IN LISTS sources)
  get_filename_component(name ${source} NAME_WE)
  if(NOT TARGET sheaf_sim AND name MATCHES "^test_(sim(_.*)?|curl_jobs|client(_queue|_tasks|_merge|_jobs)?|readme_(client|jobs)|serve_.*)$")
    continue() # They talk to the simulator, which this build leaves out.
  endif()
  if(NOT TARGET sheaf_serve AND name MATCHES "^test_serve_")
    continue()
  endif()
  sheaf_program(${name} ${source} $<TARGET_NAME_IF_EXISTS:sheaf_test_support>
                $<TARGET_NAME_IF_EXISTS:sheaf_sim> $<TARGET_NAME_IF_EXISTS:sheaf_serve> sheaf
                sheaf_dep_cmocka Threads::Threads)
  target_include_directories(${name} PRIVATE ${sheaf_core_private})
  if(name STREQUAL "test_store")
    target_link_libraries(${name} PRIVATE sheaf_dep_sqlite3) # It looks into the file by itself, too.
  endif()
  sheaf_test(${name} integration 300 ${name})
endforeach()

# Scripts that use the command or the libraries from outside. test_install.sh compiles strangers'
# programs against the libraries, which sanitizers and coverage would have to follow: plain builds only.
set(SHEAF_PLAIN ON)
if(SHEAF_SANITIZE OR SHEAF_COVERAGE OR SHEAF_FUZZ)
  set(SHEAF_PLAIN OFF)
endif()
file(GLOB sources CONFIGURE_DEPENDS "${sheaf_tests}/integration/test_*.sh")
foreach(source IN LISTS sources)
  get_filename_component(name ${source} NAME_WE)
  if(SHEAF_PLAIN OR NOT name STREQUAL "test_install")
    sheaf_test(${name} integration 300 sh ${source})
  endif()
endforeach()

# The command as its users meet it, driven from outside.
find_program(SHEAF_PYTHON python3)
if(SHEAF_PYTHON AND TARGET sheaf_cli)
  file(GLOB sources CONFIGURE_DEPENDS "${sheaf_tests}/integration/test_*.py")
  foreach(source IN LISTS sources)
    get_filename_component(name ${source} NAME_WE)
    if(name STREQUAL "test_serve" AND NOT (TARGET sheaf_serve AND TARGET sheaf_sim))
      continue()
    endif()
    sheaf_test(${name} integration 300 ${SHEAF_PYTHON} ${source} $<TARGET_FILE:sheaf_cli>)
  endforeach()
endif()

# ---- packages: what other people's packages are needed for, which the scripts install ----
option(SHEAF_PACKAGE_TESTS "Run the tests that install packages of npm and PyPI" OFF)
if(SHEAF_PACKAGE_TESTS AND TARGET sheaf_cli AND TARGET sheaf_sim)
  sheaf_test(sdk packages 900 sh "${sheaf_tests}/sdk/run.sh")
endif()

# ---- tokens: the tokenizer against others, where tests/tokens/setup.sh has fetched them ----
sheaf_program(tokens_tool "${sheaf_tests}/tokens/tokens_tool.c" sheaf)
set(sheaf_vocab_dir "${PROJECT_SOURCE_DIR}/build-vocab")
if(DEFINED ENV{SHEAF_VOCAB_DIR})
  set(sheaf_vocab_dir "$ENV{SHEAF_VOCAB_DIR}")
endif()
if(SHEAF_PACKAGE_TESTS AND SHEAF_PYTHON)
  sheaf_test(tokens packages 300 ${SHEAF_PYTHON} "${sheaf_tests}/tokens/test_tokens.py"
             $<TARGET_FILE:tokens_tool> "${sheaf_vocab_dir}" "${PROJECT_BINARY_DIR}/vocab")
endif()

# ---- fuzz: the targets, under libFuzzer or replayed ----
file(GLOB sources CONFIGURE_DEPENDS "${sheaf_tests}/fuzz/fuzz_*.c")
foreach(source IN LISTS sources)
  get_filename_component(name ${source} NAME_WE)
  sheaf_program(${name} ${source} sheaf_checked)
  if(SHEAF_FUZZ)
    target_link_options(${name} PRIVATE -fsanitize=fuzzer)
  else()
    target_sources(${name} PRIVATE "${sheaf_tests}/fuzz/replay.c")
    string(REGEX REPLACE "^fuzz_" "" corpus ${name})
    sheaf_test(${name} fuzz 120 ${name} "${sheaf_tests}/fuzz/corpus/${corpus}" 50000)
  endif()
endforeach()

# ---- bench: built so that they keep compiling, run by hand ----
if(SHEAF_BENCH)
  file(GLOB sources CONFIGURE_DEPENDS "${sheaf_tests}/bench/bench_*.c")
  foreach(source IN LISTS sources)
    get_filename_component(name ${source} NAME_WE)
    if(name MATCHES "^bench_(sim|gather)$" AND NOT TARGET sheaf_sim)
      continue()
    endif()
    sheaf_program(${name} ${source} sheaf Threads::Threads)
    target_include_directories(${name} PRIVATE ${sheaf_core_private})
    if(name MATCHES "^bench_(sim|gather)$")
      target_link_libraries(${name} PRIVATE sheaf_sim)
    endif()
  endforeach()
endif()

# ---- tidy: what can be said about the sources and the archives without running them ----
sheaf_test(tidy tidy 60 sh "${sheaf_tests}/tidy/tidy.sh")
sheaf_test(tidy_catches tidy 60 sh "${sheaf_tests}/tidy/test_tidy.sh")
sheaf_test(headers_alone tidy 120 sh "${sheaf_tests}/tidy/headers_alone.sh")
if(SHEAF_PLAIN)
  if(NOT SHEAF_CJSON_BUNDLED) # Its needs would be taken for the core's.
    sheaf_test(undefined_symbols tidy 60 sh "${sheaf_tests}/tidy/undefined_symbols.sh"
               $<TARGET_FILE:sheaf_core>)
  endif()
  if(SHEAF_SHARED)
    sheaf_test(exported_symbols tidy 60 sh "${sheaf_tests}/tidy/exported_symbols.sh"
               $<TARGET_FILE:sheaf_core_shared> $<TARGET_FILE:sheaf_shared>)
  endif()
endif()
