# Headers, libraries, the command, its manual and completions, and two ways to find the libraries:
# pkg-config (sheaf.pc, sheaf-core.pc, sheaf-serve.pc) and find_package(sheaf).

include(CMakePackageConfigHelpers)

set(sheaf_serve_header "")
if(NOT SHEAF_SERVE)
  set(sheaf_serve_header PATTERN "serve.h" EXCLUDE)
endif()
install(DIRECTORY "${PROJECT_SOURCE_DIR}/core/include/sheaf"
                  "${PROJECT_SOURCE_DIR}/native/include/sheaf"
        DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
        FILES_MATCHING PATTERN "*.h" PATTERN "sim.h" EXCLUDE # The simulator is not in libsheaf.
        ${sheaf_serve_header})

install(TARGETS ${sheaf_installed_targets} EXPORT sheaf_targets
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
        RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})

if(TARGET sheaf_cli)
  install(TARGETS sheaf_cli RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
  install(FILES "${PROJECT_SOURCE_DIR}/native/cli/sheaf.1"
          DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
  install(FILES "${PROJECT_SOURCE_DIR}/native/cli/sheaf.bash" RENAME sheaf
          DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
  install(FILES "${PROJECT_SOURCE_DIR}/native/cli/_sheaf"
          DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions)
endif()
install(FILES "${PROJECT_SOURCE_DIR}/LICENSE" DESTINATION ${CMAKE_INSTALL_DOCDIR})

# The prefix in a .pc file is found from the file itself, so that a copied tree keeps working.
file(RELATIVE_PATH sheaf_pc_prefix "/p/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/p")
set(sheaf_pc_cjson libcjson)
if(SHEAF_CJSON_BUNDLED)
  set(sheaf_pc_cjson "")
endif()
set(sheaf_packages sheaf sheaf-core)
if(SHEAF_SERVE)
  list(APPEND sheaf_packages sheaf-serve)
endif()
foreach(package IN LISTS sheaf_packages)
  configure_file("${PROJECT_SOURCE_DIR}/cmake/${package}.pc.in" "${PROJECT_BINARY_DIR}/${package}.pc"
                 @ONLY)
  install(FILES "${PROJECT_BINARY_DIR}/${package}.pc"
          DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endforeach()

set(sheaf_package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/sheaf)
install(EXPORT sheaf_targets NAMESPACE sheaf:: FILE sheaf-targets.cmake
        DESTINATION ${sheaf_package_dir})
configure_package_config_file(
  "${PROJECT_SOURCE_DIR}/cmake/sheaf-config.cmake.in" "${PROJECT_BINARY_DIR}/sheaf-config.cmake"
  INSTALL_DESTINATION ${sheaf_package_dir})
# Before 1.0 a minor version may change the interface.
write_basic_package_version_file("${PROJECT_BINARY_DIR}/sheaf-config-version.cmake"
                                 COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/sheaf-config.cmake"
              "${PROJECT_BINARY_DIR}/sheaf-config-version.cmake"
        DESTINATION ${sheaf_package_dir})
install(FILES "${PROJECT_SOURCE_DIR}/cmake/find.cmake" DESTINATION ${sheaf_package_dir}
        RENAME sheaf-find.cmake)
