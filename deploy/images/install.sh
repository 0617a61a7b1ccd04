#!/bin/sh
# The install steps of the images. The tests run the same ones (tests/images).
#
#   install.sh tools FOLDER            pip and the build backend, for the steps below; stays out of the image
#   install.sh packages FOLDER LOCK    a virtual environment without pip, with the packages of a lock
#   install.sh torch FOLDER LOCK INDEX
#   install.sh project FOLDER SOURCE   the project itself
#   install.sh finish FOLDER           removes what nothing reads at run time, compiles the rest
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
python=${PYTHON:-python3}
tools=${TOOLS:-/opt/tools}
unset PYTHONPATH # its packages would count as installed

pip_into() {
    environment=$1
    shift
    "$tools/bin/python" -m pip --python "$environment/bin/python" install --quiet --no-compile --no-deps "$@"
}

case $1 in
tools)
    "$python" -m venv "$2"
    "$2/bin/python" -m pip install --quiet --no-deps --only-binary :all: --require-hashes -r "$here/build.lock"
    ;;
packages)
    "$python" -m venv --without-pip "$2"
    pip_into "$2" --only-binary :all: --require-hashes -r "$3"
    ;;
torch)
    pip_into "$2" --only-binary :all: --require-hashes --index-url "$4" -r "$3"
    ;;
project)
    wheels=$(mktemp -d)
    "$tools/bin/python" -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir "$wheels" "$3"
    pip_into "$2" --no-index "$wheels"/headway-*.whl
    rm -r "$wheels"
    ;;
finish)
    site=$("$2/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    # the virtual environment's and the packages' own commands
    find "$2/bin" -type f ! -name headway -delete
    # tests, headers, stubs and sources of compiled modules
    rm -rf "${2:?}/include"
    find "$site" -depth -type d \( -name tests -o -name include \) -exec rm -r {} +
    find "$site" -type f \( -name '*.pyi' -o -name '*.pyx' -o -name '*.pxd' -o -name '*.h' -o -name '*.c' -o -name '*.cpp' -o -name '*.hpp' \) -delete
    # unchecked: nobody changes the sources of a read-only tree, so the start need not look at them
    "$2/bin/python" -W ignore -m compileall -q -j 0 --invalidation-mode unchecked-hash "$site"
    ;;
*)
    echo "install.sh: $1: must be tools, packages, torch, project or finish" >&2
    exit 2
    ;;
esac
