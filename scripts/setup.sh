# Sourced by scripts/run, scripts/test and their kin after they have gone to the root of the tree:
#   . scripts/setup.sh
#   sheaf_install PACKAGE...
# Installs the Debian packages that are missing, and says which. On other systems it only tells what
# is needed, and the build finds out whether it is there.

sheaf_packages_build="gcc libc6-dev cmake ninja-build pkg-config libcjson-dev \
libcurl4-openssl-dev libcsv-dev libsqlite3-dev libmicrohttpd-dev zlib1g-dev libcmocka-dev"
sheaf_packages_test="$sheaf_packages_build g++ clang-14 clang-format-14 libclang-rt-14-dev python3 \
python3-jsonschema python3-pip python3-venv nghttp2-proxy openssl"
sheaf_packages_js="cmake ninja-build clang-14 lld-14 llvm-14 libclang-rt-14-dev-wasm32 wasi-libc \
emscripten binaryen chromium"

sheaf_say() { printf '== %s\n' "$*"; }

sheaf_root() {
  if [ "$(id -u)" -eq 0 ]; then
    "$@"
  elif command -v sudo >/dev/null 2>&1; then
    sudo -n "$@"
  else
    echo "setup: not root and no sudo: as root, run: $*" >&2
    return 1
  fi
}

sheaf_missing() {
  for package in "$@"; do
    status=$(dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null || true)
    case $status in
      ii*) ;;
      *) printf '%s ' "$package" ;;
    esac
  done
}

sheaf_install() {
  if ! command -v apt-get >/dev/null 2>&1; then
    sheaf_say "this is no Debian; needed are the equivalents of: $*"
    return 0
  fi
  missing=$(sheaf_missing "$@")
  if [ -z "$missing" ]; then
    return 0
  fi
  sheaf_say "installing: $missing"
  DEBIAN_FRONTEND=noninteractive
  export DEBIAN_FRONTEND
  sheaf_root apt-get -q update </dev/null
  # shellcheck disable=SC2086 # A list of words is what is meant.
  sheaf_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends install \
    $missing </dev/null
}

# Two jobs at least, so that one slow link does not hold up the rest.
sheaf_jobs() {
  jobs=$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)
  [ "$jobs" -ge 2 ] || jobs=2
  echo "$jobs"
}

# sheaf_build PRESET [CMAKE ARGUMENT]...: configures and builds; $sheaf_target alone where that is set.
sheaf_build() {
  preset=$1
  shift
  sheaf_say "building: $preset"
  cmake --preset "$preset" "$@" >"${TMPDIR:-/tmp}/sheaf-cmake.$$" 2>&1 || {
    cat "${TMPDIR:-/tmp}/sheaf-cmake.$$"
    rm -f "${TMPDIR:-/tmp}/sheaf-cmake.$$"
    return 1
  }
  rm -f "${TMPDIR:-/tmp}/sheaf-cmake.$$"
  # shellcheck disable=SC2086
  cmake --build --preset "$preset" --parallel "$(sheaf_jobs)" ${sheaf_target:+--target $sheaf_target}
}

# sheaf_node: a Node of 20.19 or newer on the PATH, for what is tested with npm packages: the machine's own, or one
# from npm (the package "node" carries the binary), kept in build-tools/.
sheaf_node_version=22.23.3
sheaf_node_is_enough() {
  command -v node >/dev/null 2>&1 && command -v npm >/dev/null 2>&1 &&
    node -e 'const [a, b] = process.versions.node.split("."); process.exit(a > 20 || (a == 20 && b >= 19) ? 0 : 1)'
}

sheaf_node() {
  if sheaf_node_is_enough; then
    return 0
  fi
  PATH=$(pwd)/build-tools/node_modules/node/bin:$PATH
  export PATH
  if sheaf_node_is_enough; then
    return 0
  fi
  sheaf_install nodejs npm
  sheaf_say "installing Node $sheaf_node_version from npm into build-tools/"
  mkdir -p build-tools
  npm install --prefix build-tools --no-save --no-audit --no-fund --loglevel=error \
    "node@$sheaf_node_version" </dev/null
  sheaf_node_is_enough || {
    echo "setup: Node 20.19 or newer is needed, and the one from npm does not run" >&2
    return 1
  }
}
