# To be sourced by scripts that set `here`, the repository, and `folder`, where the environments go.
# They see this repository's .venv behind their own packages, so that torch isn't installed five times.
main=$("$here/.venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')

# environment NAME VARIABLE pip-arguments… : prints the line that sets VARIABLE to the environment's Python.
environment() {
    local own="$here/$folder/$1" variable=$2 sites
    shift 2
    if [ ! -f "$own/installed" ]; then
        "$here/.venv/bin/python" -m venv "$own" >&2 || return
        sites=$("$own/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
        echo "$main" > "$sites/zz-main.pth"
        if ! "$own/bin/pip" install --quiet --disable-pip-version-check "$@" >&2; then
            echo "left out: $* can't be installed or built here" >&2
            return
        fi
        touch "$own/installed"
    fi
    echo "export $variable='$own/bin/python'"
}
