# Libraries: the system's package first. Only cJSON, which the core cannot do without, has a pinned
# download as second choice; the others are on every system that would run this.

include(find)
find_package(Threads REQUIRED)

function(sheaf_require name package)
  if(NOT TARGET sheaf_dep_${name})
    message(FATAL_ERROR "${package} was not found; on Debian: apt-get install ${package}")
  endif()
endfunction()

# The sources write <cjson/cJSON.h>, as Debian, Fedora, Homebrew and cJSON's own install have it.
sheaf_find(cjson libcjson cjson/cJSON.h cjson)
set(SHEAF_CJSON_BUNDLED OFF)
if(NOT TARGET sheaf_dep_cjson)
  include(cjson)
endif()

sheaf_find(curl libcurl curl/curl.h curl)
sheaf_require(curl libcurl4-openssl-dev)

sheaf_find(csv libcsv csv.h csv)
sheaf_require(csv libcsv-dev)

sheaf_find(sqlite3 sqlite3 sqlite3.h sqlite3)
sheaf_require(sqlite3 libsqlite3-dev)

if(SHEAF_SIM OR SHEAF_SERVE)
  sheaf_find(microhttpd libmicrohttpd microhttpd.h microhttpd)
  sheaf_require(microhttpd libmicrohttpd-dev)
endif()

if(SHEAF_SIM)
  sheaf_find(zlib zlib zlib.h z)
  sheaf_require(zlib zlib1g-dev)
endif()

if(SHEAF_TESTS)
  sheaf_find(cmocka cmocka cmocka.h cmocka)
  sheaf_require(cmocka libcmocka-dev)
endif()
