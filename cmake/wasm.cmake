# The WebAssembly builds, chosen by toolchain: the core and the shell in wasm/, and nothing native.
#
#   sheaf_wasm      the core                         sheaf.wasm (+ sheaf.mjs of Emscripten)
#   sheaf_checked   the core for the tests           unit tests and the simulation run inside the runtime
#
# cJSON has no package for WebAssembly and the product does not call it: wire/json.c stays out.

set(CMAKE_POSITION_INDEPENDENT_CODE OFF)
set(SHEAF_WASM_STACK 131072 CACHE STRING "Bytes of stack in a module")

file(GLOB core_sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/core/src/*/*.c")
list(FILTER core_sources EXCLUDE REGEX "/wire/json\\.c$")
set(token_sources ${core_sources})
list(FILTER core_sources EXCLUDE REGEX "/src/tokens/")
set(token_sources ${core_sources}) # for now
file(GLOB shell_sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/wasm/*.c")

set(core_include "${PROJECT_SOURCE_DIR}/core/include")
set(core_private "${PROJECT_SOURCE_DIR}/core/src")

# sheaf_module(<target> <output name> <symbols file> <sources>...): a module that exports just what the file
# lists, one symbol a line.
function(sheaf_module target name symbols)
  file(STRINGS "${symbols}" lines REGEX "^sheaf_")
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${symbols}")
  set(exported "")
  foreach(line IN LISTS lines)
    string(REGEX REPLACE "[ \t].*" "" symbol "${line}")
    list(APPEND exported ${symbol})
  endforeach()
  add_executable(${target} ${ARGN})
  sheaf_warnings(${target})
  target_include_directories(${target} PRIVATE ${core_include} ${core_private}
                                               "${PROJECT_SOURCE_DIR}/wasm")
  target_compile_definitions(${target} PRIVATE SHEAF_SMALL=1)
  target_compile_options(${target} PRIVATE -Oz -flto)
  target_link_options(${target} PRIVATE -Oz -flto)
  set_target_properties(${target} PROPERTIES OUTPUT_NAME ${name})
  if(EMSCRIPTEN)
    list(TRANSFORM exported PREPEND "_")
    list(JOIN exported "," exported)
    set_target_properties(${target} PROPERTIES SUFFIX ".mjs")
    target_link_options(${target} PRIVATE ${SHEAF_MODULE_LINK} "-sEXPORTED_FUNCTIONS=${exported}")
  else()
    target_sources(${target} PRIVATE "${PROJECT_SOURCE_DIR}/wasm/reactor/wasi_stubs.c")
    target_link_options(${target} PRIVATE -mexec-model=reactor -Wl,--strip-all)
    foreach(symbol IN LISTS exported)
      target_link_options(${target} PRIVATE "-Wl,--export=${symbol}")
    endforeach()
  endif()
endfunction()

if(EMSCRIPTEN)
  # Web and worker only: the node environment of Emscripten 3.1.6 is broken on Node >= 18 and installs
  # process-wide handlers. The loader always hands the compiled module in.
  set(SHEAF_MODULE_LINK
      --no-entry -sMODULARIZE=1 -sEXPORT_ES6=1 -sUSE_ES6_IMPORT_META=0 -sEXPORT_NAME=createSheaf
      -sENVIRONMENT=web,worker -sWASM_BIGINT=1 -sALLOW_MEMORY_GROWTH=1 -sFILESYSTEM=0 -sMALLOC=emmalloc
      -sINITIAL_MEMORY=1048576 -sEXPORTED_RUNTIME_METHODS=HEAPU8
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

sheaf_module(sheaf_wasm sheaf "${PROJECT_SOURCE_DIR}/wasm/exports.txt" ${core_sources}
             ${shell_sources})

if(SHEAF_TESTS)
  enable_testing()
  add_library(sheaf_checked STATIC ${token_sources})
  sheaf_warnings(sheaf_checked)
  target_compile_definitions(sheaf_checked PUBLIC SHEAF_CHECKS=1 PRIVATE SHEAF_SMALL=1)
  target_include_directories(sheaf_checked PUBLIC ${core_include} ${core_private})

  find_program(SHEAF_NODE node REQUIRED)
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
      add_test(NAME ${name} COMMAND ${SHEAF_NODE} --no-warnings
                                    "${PROJECT_SOURCE_DIR}/wasm/reactor/run_wasi.mjs"
                                    "${PROJECT_SOURCE_DIR}" $<TARGET_FILE:${program}> ${ARGN})
    endif()
    set_tests_properties(${name} PROPERTIES TIMEOUT 300)
  endfunction()

  file(GLOB sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/tests/unit/test_*.c")
  list(FILTER sources EXCLUDE REGEX "/test_(json|json_scan|line_out|sha256_x86|tokens.*)\\.c$")
  foreach(source IN LISTS sources)
    get_filename_component(name ${source} NAME_WE)
    sheaf_wasm_program(${name} ${source})
    sheaf_wasm_test(${name} ${name})
  endforeach()
  target_sources(test_wasm PRIVATE ${shell_sources})

  set(sim "${PROJECT_SOURCE_DIR}/tests/sim")
  sheaf_wasm_program(sim_live "${sim}/sim_live.c" "${sim}/sim_check.c" "${sim}/sim_run.c"
                     "${sim}/sim_transport.c" "${sim}/sim_world.c")
  sheaf_wasm_test(sim_live sim_live --seeds 500)
  sheaf_wasm_test(sim_traces sim_live --traces "${sim}/traces.txt")

  # The module as it ships: its exports are those of the list, and it asks for nothing of the host's.
  add_test(NAME exports COMMAND ${SHEAF_NODE} "${PROJECT_SOURCE_DIR}/wasm/check_module.mjs"
                                "${PROJECT_SOURCE_DIR}/wasm/exports.txt"
                                "$<TARGET_FILE_DIR:sheaf_wasm>/sheaf.wasm")
endif()
