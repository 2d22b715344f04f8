#!/bin/sh
# test_install.sh: what `cmake --install` leaves behind can be used by a stranger: with pkg-config (shared
# and static) and with find_package (all four targets), from a prefix that was moved after installing.
set -eu
: "${SHEAF_BUILD:?is set by ctest}" "${CC:=cc}" "${CMAKE:=cmake}"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0
failed=0

check() { # NAME COMMAND...
  name=$1
  shift
  if "$@" >"$work/out" 2>&1; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
    printf 'FAILED %s\n' "$name"
    cat "$work/out"
  fi
}

"$CMAKE" --install "$SHEAF_BUILD" --prefix "$work/first" >"$work/out" 2>&1 || {
  cat "$work/out"
  exit 1
}
mv "$work/first" "$work/moved"
prefix=$work/moved
pc=$(dirname "$(find "$prefix" -name sheaf.pc)")
libdir=$(dirname "$pc")

cat >"$work/core.c" <<'C'
#include <sheaf/sheaf.h>
#include <stdio.h>
#include <string.h>
int main(void) {
  puts(sheaf_version());
  return strcmp(sheaf_version(), SHEAF_VERSION_STRING) != 0;
}
C
cat >"$work/whole.c" <<'C'
#include <sheaf/client.h>
#include <sheaf/curl.h>
#include <sheaf/files.h>
#include <sheaf/store.h>
#include <stdio.h>
#include <string.h>
int main(void) {
  sheaf_client_free(NULL);
  sheaf_files_close(NULL);
  sheaf_jobs_store_close(NULL);
  printf("%s %d\n", sheaf_version(), sheaf_now_ns() > 0);
  return strcmp(sheaf_version(), SHEAF_VERSION_STRING) != 0;
}
C
cat >"$work/serve.c" <<'C'
#include <sheaf/serve.h>
#include <string.h>
int main(void) {
  sheaf_serve_options options = SHEAF_SERVE_OPTIONS_INIT;
  char message[256];
  sheaf_serve *serve = NULL;
  options.port = 70000; /* there is no client either */
  sheaf_serve_free(NULL);
  return sheaf_serve_start(&options, &serve, message, sizeof message) == SHEAF_OK;
}
C

PKG_CONFIG_PATH=$pc
export PKG_CONFIG_PATH
run() { LD_LIBRARY_PATH="$libdir" "$@"; }

# with_pkg_config NAME PACKAGE SOURCE PKG_CONFIG_FLAG...
with_pkg_config() {
  program=$work/$1
  package=$2
  source=$3
  shift 3
  # shellcheck disable=SC2046 # Flags are words.
  "$CC" -std=c11 $(pkg-config --cflags "$package") "$source" -o "$program" \
    $(pkg-config "$@" "$package") && run "$program"
}

# Our own archive, with what its .pc file names as private. `pkg-config --static` would ask for the static
# needs of curl's archive too, and those are not on every system.
with_static_archive() { # NAME PACKAGE LIBRARY SOURCE
  private=$(sed -n 's/^Libs.private: *//p' "$pc/$2.pc")
  requires=$(pkg-config --print-requires-private "$2")
  # shellcheck disable=SC2046,SC2086
  "$CC" -std=c11 $(pkg-config --cflags "$2") "$4" -o "$work/$1" "$libdir/lib$3.a" \
    $(pkg-config --libs $requires) $private && "$work/$1"
}

has_serve=OFF # libsheaf-serve is static alone, and stands on libsheaf as it is there.
if [ -e "$libdir/libsheaf-serve.a" ]; then
  has_serve=ON
fi
if [ -e "$libdir/libsheaf.so" ]; then
  check "pkg-config, shared core" with_pkg_config pc_core sheaf-core "$work/core.c" --libs
  check "pkg-config, shared whole" with_pkg_config pc_whole sheaf "$work/whole.c" --libs
  if [ "$has_serve" = ON ]; then
    check "pkg-config, endpoint" with_pkg_config pc_serve sheaf-serve "$work/serve.c" --libs
  fi
fi
check "pkg-config, static core" with_static_archive pc_core_static sheaf-core sheaf-core "$work/core.c"
check "pkg-config, static whole" with_static_archive pc_whole_static sheaf sheaf "$work/whole.c"

mkdir "$work/project"
cat >"$work/project/CMakeLists.txt" <<'CMAKE'
cmake_minimum_required(VERSION 3.22)
project(stranger LANGUAGES C)
find_package(sheaf 0.1 REQUIRED)
foreach(target core core_static)
  add_executable(use_${target} ../core.c)
  target_link_libraries(use_${target} PRIVATE sheaf::${target})
endforeach()
foreach(target sheaf sheaf_static)
  add_executable(use_${target} ../whole.c)
  target_link_libraries(use_${target} PRIVATE sheaf::${target})
endforeach()
if(HAS_SERVE)
  add_executable(use_serve ../serve.c)
  target_link_libraries(use_serve PRIVATE sheaf::serve)
endif()
CMAKE
check "find_package configures" "$CMAKE" -S "$work/project" -B "$work/project/build" \
  -DHAS_SERVE=$has_serve \
  -DCMAKE_C_COMPILER="$CC" -DCMAKE_PREFIX_PATH="$prefix"
check "find_package builds" "$CMAKE" --build "$work/project/build"
for target in core core_static sheaf sheaf_static; do
  check "find_package runs $target" run "$work/project/build/use_$target"
done
if [ "$has_serve" = ON ]; then
  check "find_package runs serve" run "$work/project/build/use_serve"
fi

# What else was promised to be there.
for file in share/man/man1/sheaf.1 share/bash-completion/completions/sheaf \
  share/zsh/site-functions/_sheaf include/sheaf/sheaf.h include/sheaf/client.h bin/sheaf; do
  check "$file is installed" test -e "$prefix/$file"
done
check "the private headers stay at home" sh -c "! ls '$prefix'/include/sheaf/*_int.h 2>/dev/null"

printf '%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ]
