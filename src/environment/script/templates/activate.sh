# Source this file: `. bin/activate` in sh, dash, bash, zsh, ksh or busybox. `deactivate` undoes it.

deactivate () {
    if [ -n "${_OLD_VIRTUAL_PATH+x}" ]; then
        PATH=$_OLD_VIRTUAL_PATH
        export PATH
        unset _OLD_VIRTUAL_PATH
    fi
    if [ -n "${_OLD_VIRTUAL_PYTHONHOME+x}" ]; then
        PYTHONHOME=$_OLD_VIRTUAL_PYTHONHOME
        export PYTHONHOME
        unset _OLD_VIRTUAL_PYTHONHOME
    fi
    if [ -n "${_OLD_VIRTUAL_PS1+x}" ]; then
        PS1=$_OLD_VIRTUAL_PS1
        unset _OLD_VIRTUAL_PS1
    fi
    hash -r 2>/dev/null || :
    unset VIRTUAL_ENV VIRTUAL_ENV_PROMPT
    if [ "${1:-}" != nondestructive ]; then
        unset -f deactivate
    fi
}

@LOCATE@

if [ -f "$_venvoy_env/pyvenv.cfg" ]; then
    # Another environment may be active: start from what was before it.
    deactivate nondestructive

    VIRTUAL_ENV=$_venvoy_env
    export VIRTUAL_ENV
    _OLD_VIRTUAL_PATH=${PATH:-}
    PATH=$VIRTUAL_ENV/bin${PATH:+:$PATH}
    export PATH
    if [ -n "${PYTHONHOME+x}" ]; then
        _OLD_VIRTUAL_PYTHONHOME=$PYTHONHOME
        unset PYTHONHOME
    fi
    VIRTUAL_ENV_PROMPT=@PROMPT@
    if [ -z "$VIRTUAL_ENV_PROMPT" ]; then
        VIRTUAL_ENV_PROMPT=${VIRTUAL_ENV##*/}
    fi
    export VIRTUAL_ENV_PROMPT
    if [ -z "${VIRTUAL_ENV_DISABLE_PROMPT:-}" ]; then
        _OLD_VIRTUAL_PS1=${PS1:-}
        # Shells expand their prompt each time they show it: nothing in a name may mean anything to them.
        _venvoy_shown=$VIRTUAL_ENV_PROMPT
        while :; do
            case $_venvoy_shown in
                *[!A-Za-z0-9._\ +@:,/=-]*)
                    _venvoy_shown=${_venvoy_shown%%[!A-Za-z0-9._\ +@:,/=-]*}_${_venvoy_shown#*[!A-Za-z0-9._\ +@:,/=-]}
                    ;;
                *) break ;;
            esac
        done
        PS1="($_venvoy_shown) ${PS1:-}"
        unset _venvoy_shown
    fi
    hash -r 2>/dev/null || :
    unset _venvoy_env
else
    echo "activate: no environment at '$_venvoy_env' (pyvenv.cfg is missing there)" >&2
    echo "activate: source this file from the environment's bin directory, or set VENVOY_ENV to the environment" >&2
    unset -f deactivate
    unset _venvoy_env
    false
fi
