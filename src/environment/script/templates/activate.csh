# Source this file: `source bin/activate.csh` in csh or tcsh. `deactivate` undoes it.

@LOCATE@

alias deactivate 'test $?_OLD_VIRTUAL_PATH != 0 && setenv PATH "$_OLD_VIRTUAL_PATH:q" && unset _OLD_VIRTUAL_PATH; test $?_OLD_VIRTUAL_PYTHONHOME != 0 && setenv PYTHONHOME "$_OLD_VIRTUAL_PYTHONHOME:q" && unset _OLD_VIRTUAL_PYTHONHOME; test $?_OLD_VIRTUAL_PROMPT != 0 && set prompt="$_OLD_VIRTUAL_PROMPT:q" && unset _OLD_VIRTUAL_PROMPT; unsetenv VIRTUAL_ENV; unsetenv VIRTUAL_ENV_PROMPT; rehash; test "\!:*" != "nondestructive" && unalias deactivate'

if ( -f "$_venvoy_env:q/pyvenv.cfg" ) then
    # Another environment may be active: start from what was before it.
    deactivate nondestructive

    setenv VIRTUAL_ENV "$_venvoy_env:q"
    set _OLD_VIRTUAL_PATH = "$PATH:q"
    setenv PATH "$VIRTUAL_ENV:q/bin:$PATH:q"
    if ( $?PYTHONHOME ) then
        set _OLD_VIRTUAL_PYTHONHOME = "$PYTHONHOME:q"
        unsetenv PYTHONHOME
    endif
    setenv VIRTUAL_ENV_PROMPT @PROMPT@
    if ( "$VIRTUAL_ENV_PROMPT:q" == "" ) then
        setenv VIRTUAL_ENV_PROMPT "$VIRTUAL_ENV:t:q"
    endif
    # csh expands its prompt each time it shows it: nothing in a name may mean anything to it.
    set _venvoy_shown = "`printenv VIRTUAL_ENV_PROMPT | tr -c 'A-Za-z0-9._ +@:,/=\n-' _`"
    if ( $?prompt && ! $?VIRTUAL_ENV_DISABLE_PROMPT ) then
        set _OLD_VIRTUAL_PROMPT = "$prompt:q"
        set prompt = "($_venvoy_shown:q) $prompt:q"
    endif
    unset _venvoy_shown
    rehash
else
    echo "activate.csh: no environment at '$_venvoy_env:q' (pyvenv.cfg is missing there)"
    echo "activate.csh: source this file from the environment's bin directory, or setenv VENVOY_ENV"
    unalias deactivate
endif
unset _venvoy_env
