_venvoy_file=
if [ -n "${BASH_VERSION:-}" ]; then
    _venvoy_file=${BASH_SOURCE:-}
elif [ -n "${ZSH_VERSION:-}" ]; then
    eval '_venvoy_file=${(%):-%x}'
    # A prompt escape shows line breaks as `\n`; $0 does not, but follows FUNCTION_ARGZERO.
    [ -f "$_venvoy_file" ] || _venvoy_file=$0
elif [ -r /proc/self/stat ]; then
    # Other shells do not say which file they are reading, but they have it open. The redirection is the
    # shell's own, so this is its process even in a subshell. The innermost file has the highest number.
    read -r _venvoy_pid _venvoy_rest </proc/self/stat
    _venvoy_number=0
    for _venvoy_fd in "/proc/$_venvoy_pid/fd"/*; do
        _venvoy_open=$(readlink -n "$_venvoy_fd" 2>/dev/null; echo .)
        case $_venvoy_open in
            */bin/activate.)
                if [ "${_venvoy_fd##*/}" -gt "$_venvoy_number" ]; then
                    _venvoy_number=${_venvoy_fd##*/}
                    _venvoy_file=${_venvoy_open%.}
                fi
                ;;
        esac
    done
    unset _venvoy_pid _venvoy_rest _venvoy_number _venvoy_fd _venvoy_open
fi
if [ -n "$_venvoy_file" ]; then
    case $_venvoy_file in
        */*) ;;
        *) _venvoy_file=./$_venvoy_file ;;
    esac
    _venvoy_env=$(CDPATH='' cd -- "${_venvoy_file%/*}/.." >/dev/null && pwd -P && echo .)
    _venvoy_env=${_venvoy_env%??}
else
    _venvoy_env=${VENVOY_ENV:-}
fi
unset _venvoy_file
