# sheaf_find(<name> <pkg-config name> <header> <library>): the imported target sheaf_dep_<name>, by
# pkg-config where it knows the library, else by looking for header and library; not defined when
# neither finds it. Used by this build and, installed, by find_package(sheaf).

find_package(PkgConfig QUIET)

function(sheaf_find name package header library)
  if(TARGET sheaf_dep_${name})
    return()
  endif()
  if(PkgConfig_FOUND)
    pkg_check_modules(SHEAF_${name} QUIET IMPORTED_TARGET GLOBAL ${package})
    if(SHEAF_${name}_FOUND)
      add_library(sheaf_dep_${name} INTERFACE IMPORTED GLOBAL)
      target_link_libraries(sheaf_dep_${name} INTERFACE PkgConfig::SHEAF_${name})
      return()
    endif()
  endif()
  find_path(SHEAF_${name}_INCLUDE ${header})
  find_library(SHEAF_${name}_LIBRARY ${library})
  mark_as_advanced(SHEAF_${name}_INCLUDE SHEAF_${name}_LIBRARY)
  if(SHEAF_${name}_INCLUDE AND SHEAF_${name}_LIBRARY)
    add_library(sheaf_dep_${name} INTERFACE IMPORTED GLOBAL)
    target_include_directories(sheaf_dep_${name} INTERFACE ${SHEAF_${name}_INCLUDE})
    target_link_libraries(sheaf_dep_${name} INTERFACE ${SHEAF_${name}_LIBRARY})
  endif()
endfunction()
