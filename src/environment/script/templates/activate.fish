# Source this file: `source bin/activate.fish`. `deactivate` undoes it.

function deactivate -d "Leave the virtual environment"
    if set -q _OLD_VIRTUAL_PATH
        set -gx PATH $_OLD_VIRTUAL_PATH
        set -e _OLD_VIRTUAL_PATH
    end
    if set -q _OLD_VIRTUAL_PYTHONHOME
        set -gx PYTHONHOME $_OLD_VIRTUAL_PYTHONHOME
        set -e _OLD_VIRTUAL_PYTHONHOME
    end
    if functions -q _venvoy_old_fish_prompt
        functions -e fish_prompt
        functions -c _venvoy_old_fish_prompt fish_prompt
        functions -e _venvoy_old_fish_prompt
    end
    set -e VIRTUAL_ENV
    set -e VIRTUAL_ENV_PROMPT
    if test "$argv[1]" != nondestructive
        functions -e deactivate
    end
end

@LOCATE@

if test -f "$_venvoy_env/pyvenv.cfg"
    # Another environment may be active: start from what was before it.
    deactivate nondestructive

    set -gx VIRTUAL_ENV "$_venvoy_env"
    set -g _OLD_VIRTUAL_PATH $PATH
    set -gx PATH "$VIRTUAL_ENV/bin" $PATH
    if set -q PYTHONHOME
        set -g _OLD_VIRTUAL_PYTHONHOME $PYTHONHOME
        set -e PYTHONHOME
    end
    set -gx VIRTUAL_ENV_PROMPT @PROMPT@
    if test -z "$VIRTUAL_ENV_PROMPT"
        set -gx VIRTUAL_ENV_PROMPT (string split -r -m1 / -- "$VIRTUAL_ENV")[-1]
    end
    if test -z "$VIRTUAL_ENV_DISABLE_PROMPT"; and functions -q fish_prompt
        functions -c fish_prompt _venvoy_old_fish_prompt
        function fish_prompt
            # The old prompt may show the last command's status.
            set -l last $status
            printf '(%s) ' "$VIRTUAL_ENV_PROMPT"
            function _venvoy_status
                return $argv[1]
            end
            _venvoy_status $last
            _venvoy_old_fish_prompt
        end
    end
    set -e _venvoy_env
else
    echo "activate.fish: no environment at '$_venvoy_env' (pyvenv.cfg is missing there)" >&2
    set -e _venvoy_env
    functions -e deactivate
    false
end
