# The WebAssembly builds, chosen by toolchain: the core and the shell in wasm/, and nothing native.
#
#   sheaf_wasm            the core                         sheaf.wasm (+ sheaf.mjs of Emscripten)
#   sheaf_tokens_wasm     the tokenizer, as a reactor only  sheaf-tokens.wasm
#   sheaf_described_wasm  the core with its help texts, from which the package is made  sheaf-described.wasm
#   sheaf_checked         the core for the tests: unit tests and the simulation run inside the runtime
#
# cJSON has no package for WebAssembly and the product does not call it: wire/json.c stays out. The
# tokenizer is a module of its own.

set(CMAKE_POSITION_INDEPENDENT_CODE OFF)
set(SHEAF_WASM_STACK 131072 CACHE STRING "Bytes of stack in a module")

file(GLOB token_sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/core/src/*/*.c")
list(FILTER token_sources EXCLUDE REGEX "/wire/json\\.c$")
set(core_sources ${token_sources})
list(FILTER core_sources EXCLUDE REGEX "/src/tokens/")
file(GLOB token_sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/core/src/tokens/*.c")
file(GLOB shell_sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/wasm/*.c")

set(core_include "${PROJECT_SOURCE_DIR}/core/include")
set(core_private "${PROJECT_SOURCE_DIR}/core/src")

# The hash of every request's body: at -Oz the parts of a round are calls, which cost a third of a request's whole time.
set_source_files_properties("${PROJECT_SOURCE_DIR}/core/src/wire/fingerprint.c"
                            PROPERTIES COMPILE_OPTIONS -O2)

# What keeps a module small beside -Oz, in bytes after brotli of a core of 71 KB:
#   no inlining but of what becomes smaller by it          -1.7 KB
#   no rewriting of loops, no values carried over paths    -0.6 KB   (disable-lsr, enable-pre)
#   instructions in the order of the source, no common ends of branches made one -0.1 KB (pre-RA-sched, simplifycfg-sink-common)
#   -O0 of the linker: strings stay in their order         -0.1 KB   (it sorts them by their ends otherwise)
#   wasm-opt once more, told that nothing is ever at the addresses below 1024: -1.6 KB
#   functions that are alike next to one another, data in few pieces -1.4 KB (wasm/order_module.mjs)
set(small_passes inline-threshold=-50 enable-pre=false pre-RA-sched=source simplifycfg-sink-common=false)
if(NOT EMSCRIPTEN)
  list(APPEND small_passes disable-lsr) # Emscripten says so itself
endif()
set(small_compile -Oz -flto -mbulk-memory -finline-functions) # Emscripten forbids inlining otherwise: -1.7 KB
set(small_link -flto -mbulk-memory LINKER:-O0)
foreach(pass IN LISTS small_passes)
  list(APPEND small_compile "SHELL:-mllvm -${pass}")
  list(APPEND small_link "LINKER:-mllvm,-${pass}")
endforeach()
find_program(SHEAF_NODE node REQUIRED)
find_program(SHEAF_WASM_OPT wasm-opt HINTS "${EMSCRIPTEN_ROOT}/../bin" REQUIRED)
set(small_rewrite -Oz --converge --one-caller-inline-max-function-size=0 --low-memory-unused --zero-filled-memory
                  --enable-bulk-memory --strip-producers --strip-target-features)

# sheaf_listed(<variable> <symbols file>): the symbols of a file, one a line.
function(sheaf_listed variable symbols)
  file(STRINGS "${symbols}" lines REGEX "^sheaf_")
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${symbols}")
  set(listed "")
  foreach(line IN LISTS lines)
    string(REGEX REPLACE "[ \t].*" "" symbol "${line}")
    list(APPEND listed ${symbol})
  endforeach()
  set(${variable} "${listed}" PARENT_SCOPE)
endfunction()

# sheaf_module(<target> <output name> <symbols file> <sources>...): a module that exports just what the file lists.
function(sheaf_module target name symbols)
  sheaf_listed(exported "${symbols}")
  add_executable(${target} ${ARGN})
  sheaf_warnings(${target})
  target_include_directories(${target} PRIVATE ${core_include} ${core_private}
                                               "${PROJECT_SOURCE_DIR}/wasm")
  target_compile_definitions(${target} PRIVATE SHEAF_SMALL=1 SHEAF_NO_HELP=1 SHEAF_MODULE=1 SHEAF_ONE_ALLOCATOR=1
                                               WASM_OWN_HEAP=1)
  # Memory is copied and cleared by the engine's own instructions: smaller, and half the time.
  target_compile_options(${target} PRIVATE ${small_compile})
  target_link_options(${target} PRIVATE ${small_link})
  set_target_properties(${target} PROPERTIES OUTPUT_NAME ${name})
  if(EMSCRIPTEN)
    list(TRANSFORM exported PREPEND "_")
    list(JOIN exported "," exported)
    set_target_properties(${target} PROPERTIES SUFFIX ".mjs")
    target_link_options(${target} PRIVATE -Oz ${SHEAF_MODULE_LINK} "-sEXPORTED_FUNCTIONS=${exported}")
  else()
    # No -O for the link: clang would run a wasm-opt of its own.
    target_link_options(${target} PRIVATE -O0 -mexec-model=reactor -Wl,--strip-all)
    foreach(symbol IN LISTS exported)
      target_link_options(${target} PRIVATE "-Wl,--export=${symbol}")
    endforeach()
  endif()
  set(module "$<TARGET_FILE_DIR:${target}>/${name}.wasm")
  add_custom_command(TARGET ${target} POST_BUILD VERBATIM
                     COMMAND ${SHEAF_WASM_OPT} ${module} -o ${module} ${small_rewrite}
                     COMMAND ${SHEAF_NODE} "${PROJECT_SOURCE_DIR}/wasm/order_module.mjs" ${module})
endfunction()

if(EMSCRIPTEN)
  # The web alone, which serves workers and Node as well, because the compiled module is always handed in: the
  # node environment of Emscripten 3.1.6 is broken on Node >= 18 and installs process-wide handlers.
  set(SHEAF_MODULE_LINK
      --no-entry -sMODULARIZE=1 -sEXPORT_ES6=1 -sUSE_ES6_IMPORT_META=0 -sEXPORT_NAME=createSheaf
      -sENVIRONMENT=web -sWASM_BIGINT=1 -sALLOW_MEMORY_GROWTH=1 -sFILESYSTEM=0 -sMALLOC=emmalloc
      -sINITIAL_MEMORY=1048576
      "-sINCOMING_MODULE_JS_API=[instantiateWasm]")
  if(EMSCRIPTEN_VERSION VERSION_LESS 3.1.27)
    list(APPEND SHEAF_MODULE_LINK -sTOTAL_STACK=${SHEAF_WASM_STACK})
  else()
    list(APPEND SHEAF_MODULE_LINK -sSTACK_SIZE=${SHEAF_WASM_STACK})
  endif()
  set(SHEAF_TEST_LINK -sSINGLE_FILE=1 -sENVIRONMENT=node -sEXIT_RUNTIME=1 -sALLOW_MEMORY_GROWTH=1
                      -sNODERAWFS=1)
else()
  add_link_options(-Wl,-z,stack-size=${SHEAF_WASM_STACK} -Wl,--stack-first)
  set(SHEAF_TEST_LINK "")
endif()

set(module_sources ${shell_sources})
list(FILTER module_sources EXCLUDE REGEX "/wasm/abi\\.c$")
sheaf_module(sheaf_wasm sheaf "${PROJECT_SOURCE_DIR}/wasm/exports.txt" ${core_sources}
             ${module_sources})

# Jobs (sheaf/jobs of the package): the same core with their lane, without what lets requests share calls, which
# wasm/jobs/alone.c stands in for. As a reactor only: it serves every runtime.
if(NOT EMSCRIPTEN)
  set(jobs_sources ${core_sources} ${module_sources})
  list(FILTER jobs_sources EXCLUDE REGEX
       "/(base/histogram|engine/(company|groups|group_end|canary|twins|cache|answers|bonds|stream_in)|lanes/(prompts|agreement)|providers/(ollama|sharing|sharing_reply|[a-z]+_share)|wire/stream)\\.c$")
  file(GLOB jobs_shell_sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/wasm/jobs/*.c")
  sheaf_module(sheaf_jobs_wasm sheaf-jobs "${PROJECT_SOURCE_DIR}/wasm/jobs/exports.txt" ${jobs_sources}
               ${jobs_shell_sources})
  target_compile_definitions(sheaf_jobs_wasm PRIVATE SHEAF_MODULE_JOBS=1 WASM_LISTED=1)
endif()

# The core as it describes itself (abi.c), for bindings/js/generate.mjs.
if(NOT EMSCRIPTEN)
  add_executable(sheaf_described_wasm ${core_sources} ${shell_sources}
                                      "${PROJECT_SOURCE_DIR}/wasm/reactor/wasi_stubs.c")
  target_include_directories(sheaf_described_wasm PRIVATE ${core_include} ${core_private})
  target_compile_definitions(sheaf_described_wasm PRIVATE SHEAF_DESCRIBED=1)
  target_compile_options(sheaf_described_wasm PRIVATE -O0)
  target_link_options(sheaf_described_wasm PRIVATE -O0 -mexec-model=reactor -Wl,--strip-all)
  set_target_properties(sheaf_described_wasm PROPERTIES OUTPUT_NAME sheaf-described)
endif()

# The tokenizer, for speed and not for size. No -O for the link: then clang runs no wasm-opt, whose rewriting makes
# an engine's first, hurried code of it slower. No -flto either: what is a call stays a call (see vocab_open.c).
if(NOT EMSCRIPTEN)
  set(reader_sources ${core_sources})
  list(FILTER reader_sources INCLUDE REGEX "/(base/[a-z0-9_]+|wire/json_scan|wire/json_value)\\.c$")
  file(GLOB token_shell_sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/wasm/tokens/*.c")
  sheaf_listed(token_exports "${PROJECT_SOURCE_DIR}/wasm/tokens/exports.txt")
  add_executable(sheaf_tokens_wasm ${reader_sources} ${token_sources} ${token_shell_sources}
                                   "${PROJECT_SOURCE_DIR}/wasm/reactor/wasi_stubs.c")
  sheaf_warnings(sheaf_tokens_wasm)
  target_include_directories(sheaf_tokens_wasm PRIVATE ${core_include} ${core_private})
  target_compile_options(sheaf_tokens_wasm PRIVATE -O2 -mbulk-memory -msign-ext)
  target_link_options(sheaf_tokens_wasm PRIVATE -O0 -mexec-model=reactor -Wl,--strip-all)
  foreach(symbol IN LISTS token_exports)
    target_link_options(sheaf_tokens_wasm PRIVATE "-Wl,--export=${symbol}")
  endforeach()
  set_target_properties(sheaf_tokens_wasm PROPERTIES OUTPUT_NAME sheaf-tokens)
endif()

if(SHEAF_TESTS)
  enable_testing()
  add_library(sheaf_checked STATIC ${core_sources} ${token_sources})
  sheaf_warnings(sheaf_checked)
  target_compile_definitions(sheaf_checked PUBLIC SHEAF_CHECKS=1 PRIVATE SHEAF_SMALL=1)
  target_include_directories(sheaf_checked PUBLIC ${core_include} ${core_private})

  function(sheaf_wasm_program name)
    add_executable(${name} ${ARGN})
    sheaf_warnings(${name})
    target_include_directories(${name} PRIVATE "${PROJECT_SOURCE_DIR}/tests/support"
                                               "${PROJECT_SOURCE_DIR}/tests")
    target_compile_definitions(${name} PRIVATE "SHEAF_SOURCE_DIR=\"${PROJECT_SOURCE_DIR}\"")
    target_link_libraries(${name} PRIVATE sheaf_checked)
    target_link_options(${name} PRIVATE ${SHEAF_TEST_LINK})
    set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/bin/tests")
  endfunction()
  # sheaf_wasm_test(<name> <program> <arguments>...)
  function(sheaf_wasm_test name program)
    if(EMSCRIPTEN)
      add_test(NAME ${name} COMMAND ${SHEAF_NODE} $<TARGET_FILE:${program}> ${ARGN})
    else()
      # Node's WASI crashes now and then where V8 calls it directly (seen with 20.20 and 22).
      add_test(NAME ${name} COMMAND ${SHEAF_NODE} --no-warnings --no-turbo-fast-api-calls
                                    "${PROJECT_SOURCE_DIR}/wasm/reactor/run_wasi.mjs"
                                    "${PROJECT_SOURCE_DIR}" $<TARGET_FILE:${program}> ${ARGN})
    endif()
    set_tests_properties(${name} PROPERTIES TIMEOUT 300)
  endfunction()

  file(GLOB sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/tests/unit/test_*.c")
  list(FILTER sources EXCLUDE REGEX "/test_(json|json_scan|line_out|sha256_x86)\\.c$")
  foreach(source IN LISTS sources)
    get_filename_component(name ${source} NAME_WE)
    sheaf_wasm_program(${name} ${source})
    sheaf_wasm_test(${name} ${name})
  endforeach()
  target_sources(test_wasm PRIVATE ${shell_sources})
  target_sources(test_wasm_heap PRIVATE "${PROJECT_SOURCE_DIR}/wasm/heap.c")
  target_sources(test_wasm_jobs PRIVATE ${shell_sources} "${PROJECT_SOURCE_DIR}/wasm/jobs/jobs.c"
                                        "${PROJECT_SOURCE_DIR}/wasm/jobs/spool.c")
  target_compile_definitions(test_wasm_jobs PRIVATE SHEAF_MODULE_JOBS=1)

  set(sim "${PROJECT_SOURCE_DIR}/tests/sim")
  sheaf_wasm_program(sim_live "${sim}/sim_live.c" "${sim}/sim_check.c" "${sim}/sim_run.c"
                     "${sim}/sim_transport.c" "${sim}/sim_world.c")
  sheaf_wasm_test(sim_live sim_live --seeds 500)
  sheaf_wasm_test(sim_traces sim_live --traces "${sim}/traces.txt")
  file(GLOB queue_parts CONFIGURE_DEPENDS "${sim}/queue_*.c")
  sheaf_wasm_program(sim_queue "${sim}/sim_queue.c" ${queue_parts})
  sheaf_wasm_test(sim_queue sim_queue --seeds 300)
  sheaf_wasm_test(sim_queue_traces sim_queue --traces "${sim}/queue_traces.txt")

  # The module as it ships: its exports are those of the list, and it asks for nothing of the host's.
  add_test(NAME exports COMMAND ${SHEAF_NODE} "${PROJECT_SOURCE_DIR}/wasm/check_module.mjs"
                                "${PROJECT_SOURCE_DIR}/wasm/exports.txt"
                                "$<TARGET_FILE_DIR:sheaf_wasm>/sheaf.wasm")
  if(NOT EMSCRIPTEN)
    add_test(NAME jobs_exports COMMAND ${SHEAF_NODE} "${PROJECT_SOURCE_DIR}/wasm/check_module.mjs"
                                       "${PROJECT_SOURCE_DIR}/wasm/jobs/exports.txt"
                                       "$<TARGET_FILE_DIR:sheaf_jobs_wasm>/sheaf-jobs.wasm")
    add_test(NAME token_exports COMMAND ${SHEAF_NODE} "${PROJECT_SOURCE_DIR}/wasm/check_module.mjs"
                                        "${PROJECT_SOURCE_DIR}/wasm/tokens/exports.txt"
                                        "$<TARGET_FILE:sheaf_tokens_wasm>")
  endif()
endif()
